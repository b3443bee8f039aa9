// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Prints what a bucket, or all of them, have.
struct UsageCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Print what a bucket has, or all buckets together.",
        discussion: """
            The figures of all buckets add up to those of the account, to the byte. Stored bytes \
            count for the bucket that has brought them first.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name; none is all buckets together.")
    var bucket: String?

    @Flag(help: "One line for each bucket.")
    var buckets = false

    @Flag(help: "What waits for the sweep, by the buckets that have brought it.")
    var garbage = false

    @Flag(help: "Where the bytes of the store's files are.")
    var files = false

    @Flag(help: "Comma-separated values, with --buckets.")
    var csv = false

    func validate() throws {
        let count = [bucket != nil, buckets, garbage, files].count { $0 }
        if count > 1 { throw ValidationError("Give a bucket, --buckets, --garbage or --files.") }
        if csv, !buckets { throw ValidationError("--csv goes with --buckets.") }
    }

    func perform() async throws {
        if garbage { return try await printGarbage() }
        if files { return try await printFiles() }
        if buckets { return try await printBuckets() }
        let usage = try await withAccess { try await $0.usage(of: bucket) }
        if options.json { return try Output.json(usage) }
        try Output.table([
            ("logical bytes", Quantity.exact(usage.logicalBytes)),
            ("  unique", Quantity.exact(usage.uniqueBytes)),
            ("  shared", Quantity.exact(usage.sharedBytes)),
            ("fair share", Quantity.exact(usage.fairShareBytes)),
            ("owned", Quantity.exact(usage.ownedBytes)),
            ("charged", Quantity.exact(usage.chargedBytes)),
            ("in flight", Quantity.exact(usage.inFlightBytes)),
            ("stored bytes", Quantity.exact(usage.storedBytes)),
            ("  before compression", Quantity.exact(usage.uncompressedBytes)),
            ("compression", "\(Quantity.factor(usage.compressionFactor)) : 1"),
            (
                "deduplication",
                usage.deduplicationFactor.map { "\(Quantity.factor($0)) : 1" } ?? "all of it"
            ),
            ("blobs", "\(usage.blobs)"),
            ("objects", "\(usage.objects)"),
            ("older versions", "\(usage.olderVersions)"),
            ("open uploads", "\(usage.uploads)"),
        ])
    }

    private func printBuckets() async throws {
        let usages = try await withAccess { access in
            try await Pages.all { last in
                try await access.usages(after: last?.bucket, limit: Pages.countMax)
            }
        }
        if options.json { return try Output.json(Document.Usages(buckets: usages)) }
        let columns: [(String, (UsageInfo) -> UInt64)] = [
            ("logicalBytes", \.logicalBytes), ("uniqueBytes", \.uniqueBytes),
            ("fairShareBytes", \.fairShareBytes), ("chargedBytes", \.chargedBytes),
            ("inFlightBytes", \.inFlightBytes), ("storedBytes", \.storedBytes),
            ("blobs", \.blobs), ("objects", \.objects),
        ]
        if csv {
            var rows = [["bucket"] + columns.map(\.0)]
            for usage in usages {
                rows.append([usage.bucket ?? ""] + columns.map { "\($0.1(usage))" })
            }
            return try Output.csv(rows)
        }
        for usage in usages {
            try Output.line(
                "\(usage.bucket ?? "")  \(Quantity.bytes(usage.logicalBytes)) logical, "
                    + "\(Quantity.bytes(usage.uniqueBytes)) unique, "
                    + "\(Quantity.bytes(usage.storedBytes)) stored, \(usage.blobs) blobs")
        }
    }

    private func printGarbage() async throws {
        let garbage = try await withAccess { try await $0.garbage() }
        if options.json { return try Output.json(Document.Garbage(garbage: garbage)) }
        for entry in garbage {
            let name = entry.bucket.isEmpty ? "(deleted buckets)" : entry.bucket
            try Output.line("\(name)  \(Quantity.exact(entry.garbageBytes))")
        }
    }

    private func printFiles() async throws {
        let usage = try await withAccess { try await $0.storeUsage() }
        if options.json { return try Output.json(usage) }
        try Output.table([
            ("stored for buckets", Quantity.exact(usage.storedBytes)),
            ("rest of the segments", Quantity.exact(usage.segmentOverheadBytes)),
            ("index", Quantity.exact(usage.indexBytes)),
            ("catalogue", Quantity.exact(usage.catalogueBytes)),
            ("audit log", Quantity.exact(usage.auditBytes)),
            ("other files", Quantity.exact(usage.otherBytes)),
            ("all files", Quantity.exact(usage.fileBytes)),
        ])
    }
}
