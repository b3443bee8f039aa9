// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import Synchronization

/// A scope for blobs and objects, one per repository.
///
/// A bucket owns its data key and its usage, and has two views on the same bytes: blobs by digest
/// and objects by key. It is a light handle: make as many as you like. Thread-safe.
public final class Bucket: Sendable {
    /// The name of the bucket: that of the repository.
    public let name: String
    let bucketID: BucketID
    let engine: Engine
    private let known: Mutex<(row: BucketRow, changeCount: UInt64)>

    /// - Parameter changeCount: that of the engine before the row was read.
    init(_ bucketID: BucketID, _ row: BucketRow, _ engine: Engine, changeCount: UInt64) {
        self.bucketID = bucketID
        self.engine = engine
        known = Mutex((row, changeCount))
        name = row.name
    }

    /// The bucket's row as last seen; what is in it beside keys and domains never changes.
    var row: BucketRow { known.withLock { $0.row } }

    /// The bucket's row as it is now. Reads it only when keys of some bucket were changed.
    func currentRow() async throws(StoreError) -> BucketRow {
        let changeCount = engine.bucketChangeCount
        let known = known.withLock { $0 }
        guard known.changeCount != changeCount else { return known.row }
        let row = try await engine.bucketRow(bucketID).row
        self.known.withLock { $0 = (row, changeCount) }
        return row
    }

    /// A UUID that outlives no bucket and is never reused.
    public var id: String { bucketID.text }

    /// What the bucket holds at this moment.
    ///
    /// - Throws: ``StoreError`` with code `bucketUnknown` (it was deleted), `io`, `closed`.
    public func describe() async throws(StoreError) -> BucketDescription {
        let bucketID = bucketID
        let (exists, usage) = try await engine.read("describing a bucket") {
            (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            let exists = try snapshot.get(Tables.buckets, bucketID.octets.bytes) != nil
            return (exists, try snapshot.get(Tables.usage, bucketID.octets.bytes))
        }
        guard exists else { throw StoreError(.bucketUnknown, "the bucket was deleted") }
        return try await currentRow().describe(bucketID, Engine.decodeUsage(usage))
    }

    func keys() async throws(StoreError) -> BucketKeys {
        try engine.checkOpen()
        return try await engine.keys.keys(of: currentRow(), bucketID)
    }

    /// The same; nil when the customer key may not be used.
    func keysUnlessLocked() async throws(StoreError) -> BucketKeys? {
        do throws(StoreError) { return try await keys() } catch {
            guard error.isLock else { throw error }
            return nil
        }
    }

    /// A name for a digest that says nothing to whoever has a copy of the store and no key.
    ///
    /// For keys of objects, which are stored in the clear so that they can be listed. The name is
    /// the same for the life of the bucket, and another one in every bucket.
    ///
    /// - Returns: 64 lower-case hexadecimal digits.
    /// - Throws: ``StoreError`` with code `keyUnavailable`, `io`, `closed`.
    public func privateName(of digest: Digest) async throws(StoreError) -> String {
        Hex.encode(try await keys().linkName(of: digest).octets.bytes)
    }

    static func checkPage(_ limit: Int) throws(StoreError) {
        guard (1...1000).contains(limit) else {
            throw StoreError(.invalidArgument, "a page has 1 to 1000 entries, not \(limit)")
        }
    }

    /// Checks the prefix, the delimiter or the start of a list.
    static func checkListText(_ text: String) throws(StoreError) {
        guard text.utf8.count <= Names.objectKeyByteCount.upperBound else {
            throw StoreError(
                .invalidArgument,
                "prefix, delimiter and start of a list have at most "
                    + "\(Names.objectKeyByteCount.upperBound) bytes")
        }
    }
}

extension BucketRow {
    func describe(_ id: BucketID, _ counts: UsageCounts) -> BucketDescription {
        BucketDescription(
            name: name, id: id.text, createdAt: createdAt, blobCount: counts.magnitude(.blobs),
            logicalByteCount: counts.magnitude(.logicalBytes),
            objectCount: counts.magnitude(.objects),
            olderVersionCount: counts.magnitude(.olderVersions),
            encryption: customerKey.map { .customerKey(KeyReference($0)) } ?? .storeManaged,
            keyGeneration: generation, deduplication: deduplication)
    }
}

extension IndexReader {
    /// The value of a counter; 0 where there is none.
    func count(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> Int64 {
        guard let bytes = try get(table, key), bytes.count == 8 else { return 0 }
        return bytes.span.littleEndian(Int64.self, at: 0)
    }
}
