// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Prints figures about the store.
struct StatisticsCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Print figures about the whole store.")

    @OptionGroup var options: StoreOptions

    func perform() async throws {
        let figures = try await withAccess { try await $0.statistics() }
        if options.json { return try Output.json(figures) }
        var rows = [
            ("accounts", "\(figures.accountCount)"),
            ("buckets", "\(figures.bucketCount)"),
            ("blobs", "\(figures.blobCount)"),
            ("logical bytes", Quantity.exact(figures.logicalByteCount)),
            ("stored bytes", Quantity.exact(figures.storedByteCount)),
            ("of them index", Quantity.exact(figures.indexByteCount)),
            ("of them catalogue", Quantity.exact(figures.catalogueByteCount)),
            ("catalogue complete", figures.isCatalogueComplete ? "yes" : "not yet"),
            ("chunks", "\(figures.chunkCount)"),
            ("segments", "\(figures.segmentCount)"),
            ("open uploads", "\(figures.openUploadCount)"),
        ]
        if figures.blobCount > 0,
            let ratio = Quantity.ratio(figures.logicalByteCount, to: figures.storedByteCount)
        {
            rows.append(("logical to stored", "\(ratio) : 1"))
        }
        try Output.table(rows)
    }
}
