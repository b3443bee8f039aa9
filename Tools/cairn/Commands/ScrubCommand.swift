// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Reads everything that is stored again.
struct ScrubCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrub",
        abstract: "Read everything that is stored again, and name the blobs that are damaged.",
        discussion: """
            The store stays in use meanwhile. Storing the same bytes again, in any bucket that \
            shares chunks with the one that suffers, cures the blob everywhere. A running `cairn \
            serve` does the same by itself, at a bounded rate. The exit code is 5 when a blob is \
            damaged.
            """)

    @OptionGroup var options: StoreOptions

    func perform() async throws {
        let figures = try await withAccess { try await $0.scrub() }
        try print(figures)
        guard figures.damagedBlobs.isEmpty else {
            throw CommandFailure(
                code: "unsound", message: "\(figures.damagedBlobs.count) blobs are damaged")
        }
    }

    private func print(_ figures: ScrubInfo) throws {
        if options.json { return try Output.json(figures) }
        for blob in figures.damagedBlobs {
            try Output.line("damaged: \(blob.bucket) \(blob.digest)")
        }
        try Output.table([
            ("segments read", "\(figures.segmentCount)"),
            ("their bytes", Quantity.exact(figures.byteCount)),
            ("damaged chunks found", "\(figures.damagedChunkCount)"),
            ("damage nothing needs", "\(figures.unusedDamageCount)"),
            ("blobs damaged", "\(figures.damagedBlobs.count)"),
        ])
    }
}
