// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Writes a consistent copy of the store.
struct BackupCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Write a consistent copy of the store into an empty directory.",
        discussion: """
            The store stays in use meanwhile. On the same file system the copy shares its files \
            with the store and takes hardly any room; no shared file ever changes, so that a \
            tool which copies backups elsewhere copies each file once. The copy is a store: open \
            it with --store DIR and the key of this one. Check it with `cairn verify`.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: ArgumentHelp("A directory that is empty or not there yet.", valueName: "dir"))
    var directory: String

    @Flag(help: "Put keyring.key into the copy; whoever has the copy can read it then.")
    var withKeyFile = false

    func perform() async throws {
        let path = try Path.absolute(directory)
        let figures = try await withAccess {
            try await $0.backUp(to: path, includesKeyFile: withKeyFile)
        }
        if options.json { return try Output.json(figures) }
        try Output.table([
            ("segments", "\(figures.segmentCount)"),
            ("bytes shared", Quantity.exact(figures.linkedByteCount)),
            ("bytes copied", Quantity.exact(figures.copiedByteCount)),
            ("key file", figures.includesKeyFile ? "in the copy" : "not in the copy"),
        ])
    }
}
