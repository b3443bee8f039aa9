// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnCore
internal import CairnServer

/// Makes a blob of one bucket a blob of another.
struct MountCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Make a blob of one bucket a blob of another, without copying its bytes.")

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket that gets the blob.")
    var bucket: String

    @Argument(help: "The blob's digest.")
    var digest: Digest

    @Option(help: ArgumentHelp("The bucket that has the blob.", valueName: "bucket"))
    var from: String

    func perform() async throws {
        let blob = try await withAccess {
            try await $0.mountBlob(digest, from: from, into: bucket)
        }
        if options.json { return try Output.json(blob) }
        try Output.line("\(blob.digest) \(blob.byteCount) \(blob.createdAt)")
    }
}
