// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Frees what nothing needs any more.
struct SweepCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Free what nothing needs any more, and give the disk its room back.",
        discussion: """
            The store stays in use meanwhile. A running `cairn serve` does the same by itself, \
            about once a minute.
            """)

    @OptionGroup var options: StoreOptions

    @Flag(help: "Only tell what would be freed.")
    var dryRun = false

    func perform() async throws {
        let figures = try await withAccess { try await $0.sweep(isPreview: dryRun) }
        if options.json { return try Output.json(figures) }
        var rows = [
            (dryRun ? "chunks to free" : "chunks freed", "\(figures.chunkCount)"),
            ("their bytes", Quantity.exact(figures.byteCount)),
        ]
        if figures.leasedCount > 0 { rows.append(("being read", "\(figures.leasedCount)")) }
        if figures.damagedCount > 0 { rows.append(("damaged", "\(figures.damagedCount)")) }
        if !dryRun {
            rows.append(("segments removed", "\(figures.segmentCount)"))
            rows.append(("disk freed", Quantity.exact(figures.freedByteCount)))
            rows.append(("bytes moved", Quantity.exact(figures.movedByteCount)))
        }
        try Output.table(rows)
    }
}
