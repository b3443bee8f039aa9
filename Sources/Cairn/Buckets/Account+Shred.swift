// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex
public import CairnKeys
internal import CairnSegments

/// What was destroyed with a bucket, for the record.
public struct ShredReceipt: Hashable, Sendable {
    /// The name of the bucket.
    public let bucket: String
    /// The UUID of the bucket, which is never used again.
    public let bucketID: String
    /// The customer key that its keys were wrapped by; nil is the store's default key.
    public let customerKey: KeyID?
    /// The generations of data keys that were destroyed.
    public let generationCount: UInt32
    /// The keys that were destroyed, that for names of digests and those of domains included.
    public let keyCount: Int
    /// The blobs that cannot be read any more.
    public let blobCount: UInt64
    /// The sum of their lengths.
    public let logicalByteCount: UInt64
    /// When it was done.
    public let time: Timestamp
    /// Whether nothing is left in the index's files. False while a verification, a backup or
    /// another long reader has them open: call ``Store/purgeDeletedKeys()`` when it has ended.
    public let isPurged: Bool
    /// Directories with an older index, kept aside by a repair, in which the wrapped keys still
    /// are: remove them.
    public let olderIndexes: [String]
    /// Where the audit log ended then.
    public let auditHead: AuditHead
}

extension Account {
    /// Destroys a bucket and its keys such that nobody can ever read it again, whatever files he
    /// has of the store as it is then. Durable on return.
    ///
    /// The wrapped keys, the sealed capabilities and the small blobs are gone from the index, its
    /// logs and the catalogue, not only marked as deleted. Chunks that other buckets share stay,
    /// and stay readable there; what only this bucket held is encrypted under keys that no longer
    /// exist, and is freed by the next sweep. Takes time in proportion to what the bucket holds.
    ///
    /// Not destroyed are copies elsewhere: backups, and snapshots of the file system. Where those
    /// count too, give the bucket a customer key of its own and destroy that key.
    ///
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `nameInvalid`, `cancelled`,
    ///   `outOfSpace`, `io`, `closed`. Once the bucket is gone, calling again throws
    ///   `bucketUnknown`; call ``Store/purgeDeletedKeys()`` when the first call failed behind that.
    public func shredBucket(_ name: String) async throws(StoreError) -> ShredReceipt {
        let bucket = try await bucket(name)
        let usage = try await bucket.describe()
        let row = try await engine.act(bucket.act("ShredBucket")) { () throws(StoreError) in
            try await bucket.remove(.delete)
        }
        // What is left of a damaged row is sealed with a key that no longer exists.
        try await engine.emptyDeletedBucket(bucket.bucketID)
        let isPurged = try await engine.purge(bucket.bucketID, row)
        let auditHead = try await engine.noteAuditHead()
        return ShredReceipt(
            bucket: name, bucketID: bucket.id, customerKey: row.customerKey,
            generationCount: row.generation, keyCount: row.ownSlots(bucket.bucketID).count,
            blobCount: usage.blobCount, logicalByteCount: usage.logicalByteCount,
            time: engine.clock.now(), isPurged: isPurged,
            olderIndexes: try await engine.olderIndexes(),
            auditHead: auditHead)
    }
}

extension Store {
    /// Removes from the files of the index and the catalogue all that deleted keys and buckets have
    /// left there. Durable on return.
    ///
    /// ``Account/shredBucket(_:)`` does so for its bucket. Rewrites what these tables hold; commits
    /// wait meanwhile.
    ///
    /// - Returns: false when a long reader still has some of it open; call again later.
    /// - Throws: ``StoreError`` with code `cancelled`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func purgeDeletedKeys() async throws(StoreError) -> Bool {
        try engine.checkOpen()
        var report = SweepReport()
        try await engine.emptyDeletedBuckets(&report)
        let tables = Engine.bucketTables + Engine.timeTables
        return try await engine.purge(tables.map { IndexPrefix($0, []) })
    }
}

extension Engine {
    /// Where a bucket has rows that seal something or tell what it held.
    fileprivate static let bucketTables = [
        Tables.keys, Tables.buckets, Tables.deletedBuckets, Tables.links, Tables.smallBlobs,
        Tables.objects, Tables.objectVersions, Tables.nullVersions, Tables.objectReferences,
        Tables.objectLocks, Tables.events,
        Tables.references, Tables.uploads, Tables.multipartUploads,
        Tables.multipartContents, Tables.parts, Tables.lifecycleKeys, Tables.bucketSettings,
    ]

    /// Whose rows tell keys of objects, and begin with a time.
    fileprivate static let timeTables = [Tables.multipartExpiry, Tables.lifecycleDue]

    fileprivate func purge(
        _ bucket: BucketID, _ row: BucketRow
    ) async throws(StoreError) -> Bool {
        let slots = row.ownSlots(bucket).map { IndexPrefix(Tables.keys, RowKey.keySlot($0)) }
        let tables = Self.bucketTables.filter { $0.name != Tables.keys.name }
        let own = tables.map { IndexPrefix($0, bucket.octets.bytes) }
        return try await purge(slots + own + Self.timeTables.map { IndexPrefix($0, []) })
    }

    fileprivate func purge(_ prefixes: [IndexPrefix]) async throws(StoreError) -> Bool {
        // The catalogue first: its base is written from the index as it is.
        try await foldCatalogue()
        return try await pool.run { [index] (_) throws(StoreError) in
            try lower(
                "removing what deleted rows have left",
                index: { () throws(IndexError) in
                    try index.purge(prefixes)
                })
        }
    }

    fileprivate func olderIndexes() async throws(StoreError) -> [String] {
        try await pool.run { [disk] (_) throws(StoreError) in
            try lower(
                "listing the store",
                disk: { () throws(DiskError) in
                    try disk.list("").filter { $0.hasPrefix(StoreFormat.oldIndex) }
                })
        }
    }
}
