// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Figures about a whole store, as of one moment.
public struct StoreStatistics: Hashable, Sendable {
    /// The accounts of the store.
    public var accountCount: UInt64 = 0
    /// The buckets of all accounts.
    public var bucketCount: UInt64 = 0
    /// The blobs of all buckets; one that is in two buckets counts twice.
    public var blobCount: UInt64 = 0
    /// The sum of the lengths of these blobs: what clients believe to have stored.
    public var logicalByteCount: UInt64 = 0
    /// Bytes of the segment files, the index and the catalogue together: what the disk holds.
    public var storedByteCount: UInt64 = 0
    /// The chunks that are stored, those included that wait for the sweep.
    public var chunkCount: UInt64 = 0
    /// Segment files.
    public var segmentCount: UInt64 = 0
    /// Bytes of the index, of ``storedByteCount``.
    public var indexByteCount: UInt64 = 0
    /// Bytes of the catalogue, the copy of the index that a repair starts from, of
    /// ``storedByteCount``.
    public var catalogueByteCount: UInt64 = 0
    /// Whether the catalogue has everything. It lacks something when it could not be written or
    /// the power failed, until the next ``Store/compact(_:)``.
    public var isCatalogueComplete = true
    /// Upload sessions that have a handle in this process.
    public var openUploadCount: UInt64 = 0

    /// Figures of an empty store.
    public init() {}
}

extension Store {
    /// Figures about the whole store.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    /// - Complexity: O(buckets).
    public func statistics() async throws(StoreError) -> StoreStatistics {
        var statistics = try await engine.countRows()
        statistics.openUploadCount = UInt64(engine.liveUploads.count)
        return statistics
    }
}

extension Engine {
    fileprivate func countRows() async throws(StoreError) -> StoreStatistics {
        try checkOpen()
        return try await pool.run { [self] (_) throws(StoreError) -> StoreStatistics in
            var (statistics, usage) = try lower(
                "counting rows",
                index: { () throws(IndexError) in
                    try Self.count(try index.snapshot(), storeID)
                })
            let counts = try Self.decodeUsage(usage)
            statistics.blobCount = counts.magnitude(.blobs)
            statistics.logicalByteCount = counts.magnitude(.logicalBytes)
            let figures = try lower(
                "counting rows",
                index: { () throws(IndexError) in
                    try index.statistics()
                })
            statistics.indexByteCount = figures.byteCount + figures.unflushedByteCount
            let summaries = try lower(
                "counting segments",
                segments: { () throws(SegmentError) in
                    try segments.segments()
                })
            statistics.segmentCount = UInt64(summaries.count)
            statistics.catalogueByteCount = catalogue.byteCount
            statistics.isCatalogueComplete = catalogue.isComplete
            statistics.storedByteCount =
                summaries.reduce(statistics.indexByteCount + statistics.catalogueByteCount) {
                    $0 + $1.byteCount
                }
            return statistics
        }
    }

    private static func count(
        _ snapshot: any IndexSnapshot, _ storeID: Octets16
    ) throws(IndexError) -> (StoreStatistics, usage: [UInt8]?) {
        var statistics = StoreStatistics()
        try snapshot.forEachRow(Tables.accounts, prefix: []) { (_) throws(IndexError) in
            statistics.accountCount += 1
        }
        let chunkCount = try snapshot.count(Tables.meta, MetaKey.chunkCount)
        statistics.chunkCount = UInt64(max(0, chunkCount))
        try snapshot.forEachRow(Tables.buckets, prefix: []) { (row) throws(IndexError) in
            statistics.bucketCount += 1
        }
        return (statistics, try snapshot.get(Tables.usage, storeID.bytes))
    }
}

extension IndexReader {
    /// Calls `body` for every row whose key begins with `prefix`, in order.
    func forEachRow(
        _ table: IndexTable, prefix: [UInt8], _ body: (IndexEntry) throws(IndexError) -> Void
    ) throws(IndexError) {
        let pageCount = 1024
        var after: [UInt8]?
        while true {
            let rows = try scan(table, prefix: prefix, after: after, limit: pageCount)
            for row in rows { try body(row) }
            guard rows.count == pageCount else { return }
            after = rows.last?.key
        }
    }
}
