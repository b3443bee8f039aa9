// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// A tenant: owns buckets and the deduplication domain that they share. Thread-safe.
public final class Account: Sendable {
    /// The name of the account.
    public let name: String
    let row: AccountRow
    let engine: Engine

    init(_ name: String, _ row: AccountRow, _ engine: Engine) {
        self.name = name
        self.row = row
        self.engine = engine
    }

    /// A UUID that outlives no account and is never reused.
    public var id: String { row.id.text }

    /// Creates an empty bucket with a data key of its own. Durable on return.
    ///
    /// - Parameters:
    ///   - name: an OCI repository name of 2 to 256 characters.
    ///   - configuration: how the bucket is made.
    /// - Throws: ``StoreError`` with code `nameInvalid`, `bucketExists`, `accountUnknown` (it was
    ///   deleted), `keyUnknown`, `keyDisabled`, `keyUnavailable`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func createBucket(
        _ name: String, configuration: BucketConfiguration = BucketConfiguration()
    ) async throws(StoreError) -> Bucket {
        try Names.checkBucket(name)
        try engine.checkOpen()
        let id = BucketID(octets: UUIDText.random(from: engine.random))
        let changeCount = engine.bucketChangeCount
        let customerKey = try await engine.keys.customerKey(configuration.encryption)
        let dataKey = try await engine.keys.generate(
            .bucketData, owner: id.octets, under: customerKey)
        let indexKey = try await engine.keys.generate(
            .bucketIndex, owner: id.octets, under: customerKey)
        let domain = try await engine.domain(
            configuration.deduplication, of: row, id, under: customerKey)
        let slot = try await engine.reserveKeySlots(2)
        let bucket = BucketRow(
            accountID: row.id, name: name, createdAt: engine.clock.now(), generation: 1,
            dataKeySlot: slot, indexKeySlot: slot + 1, domain: domain.reference,
            customerKey: customerKey, deduplication: configuration.deduplication)
        let sealed = try await engine.seal(bucket, id)
        let nameKey = RowKey.bucketName(row.id, name)
        let (accountName, accountRow) = (Array(self.name.utf8), row.encoded())
        try await engine.transact { (transaction) throws(StoreError) in
            // The row, not only the name: the account may have been deleted and made anew.
            guard try transaction.get(Tables.accounts, accountName) == accountRow else {
                throw StoreError(.accountUnknown, "the account was deleted")
            }
            guard try transaction.get(Tables.bucketNames, nameKey) == nil else {
                throw StoreError(.bucketExists, "a bucket of this name exists")
            }
            try transaction.put(Tables.bucketNames, nameKey, id.octets.bytes)
            try transaction.put(Tables.buckets, id.octets.bytes, sealed)
            try transaction.putNewKey(dataKey, in: slot)
            try transaction.putNewKey(indexKey, in: slot + 1)
            try transaction.put(domain)
            try transaction.putOwner(
                OwnerRow(account: bucket.accountID, number: bucket.indexKeySlot), of: id)
            // In memory from now on: the first upload need not wait for it.
            _ = try transaction.usage.ledger.node(of: id, transaction)
            try transaction.beginEvents(of: id)
        }
        return Bucket(id, bucket, engine, changeCount: changeCount)
    }

    /// Finds a bucket.
    ///
    /// - Throws: ``StoreError`` with code `nameInvalid`, `bucketUnknown`, `corrupted`, `io`,
    ///   `closed`.
    public func bucket(_ name: String) async throws(StoreError) -> Bucket {
        try Names.checkBucket(name)
        let key = RowKey.bucketName(row.id, name)
        let changeCount = engine.bucketChangeCount
        let found = try await engine.read("finding a bucket") {
            (index) throws(IndexError) -> (BucketID, [UInt8])? in
            guard let bytes = try index.get(Tables.bucketNames, key), bytes.count == 16,
                let row = try index.get(Tables.buckets, bytes)
            else { return nil }
            return (BucketID(octets: Octets16(bytes.span)), row)
        }
        guard let (id, sealed) = found else {
            throw StoreError(.bucketUnknown, "the account has no bucket of this name")
        }
        let bucket = Bucket(
            id, try await engine.openBucketRow(id, sealed), engine, changeCount: changeCount)
        // The name is part of what is sealed: two buckets cannot be exchanged behind our back.
        guard bucket.name == name, bucket.row.accountID == row.id else {
            throw StoreError(.corrupted, "a bucket's name leads to another bucket")
        }
        return bucket
    }

    /// Lists buckets in the order of their names.
    ///
    /// - Parameters:
    ///   - after: the last name already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 buckets. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `corrupted`, `io`,
    ///   `closed`.
    public func buckets(
        after: String? = nil, limit: Int = 1000
    ) async throws(StoreError) -> [BucketDescription] {
        try Bucket.checkPage(limit)
        let prefix = row.id.octets.bytes
        let start = after.map { prefix + Array($0.utf8) }
        let rows = try await engine.read("listing buckets") { (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            var rows: [(BucketID, [UInt8], [UInt8]?)] = []
            for entry in try snapshot.scan(
                Tables.bucketNames, prefix: prefix, after: start, limit: limit)
            where entry.value.count == 16 {
                let id = BucketID(octets: Octets16(entry.value.span))
                guard let row = try snapshot.get(Tables.buckets, entry.value) else { continue }
                rows.append((id, row, try snapshot.get(Tables.usage, entry.value)))
            }
            return rows
        }
        var buckets: [BucketDescription] = []
        for (id, sealed, usage) in rows {
            let row = try await engine.openBucketRow(id, sealed)
            buckets.append(row.describe(id, try Engine.decodeUsage(usage)))
        }
        return buckets
    }

    /// Deletes a bucket and destroys its data key. Durable on return.
    ///
    /// Returns at once, whatever the bucket holds: it is gone for everybody, and what only it held
    /// is freed by the next sweep.
    ///
    /// - Parameter contents: what to do when there are blobs, objects or upload sessions.
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `bucketNotEmpty` (and it was to be
    ///   empty), `nameInvalid`, `io`, `closed`.
    public func deleteBucket(
        _ name: String, contents: BucketContents = .mustBeEmpty
    ) async throws(StoreError) {
        let bucket = try await bucket(name)
        try await engine.act(bucket.act("DeleteBucket")) { () throws(StoreError) in
            _ = try await bucket.remove(contents)
        }
    }

    // MARK: -

    static func row(_ name: String, _ engine: Engine) async throws(StoreError) -> AccountRow? {
        let bytes = try await engine.read("reading an account") { (index) throws(IndexError) in
            try index.get(Tables.accounts, Array(name.utf8))
        }
        guard let bytes else { return nil }
        return try lower(
            "reading an account",
            core: { () throws(CoreError) in
                try AccountRow(decoding: bytes)
            })
    }
}

extension Engine {
    func seal(_ row: BucketRow, _ id: BucketID) async throws(StoreError) -> [UInt8] {
        try await pool.run { [sealingKey] (context) throws(StoreError) in
            try context.seal(
                row.encoded(), as: .metadata, name: Octets32(padding: id.octets),
                under: sealingKey)
        }
    }

    func openBucketRow(_ id: BucketID, _ sealed: [UInt8]) async throws(StoreError) -> BucketRow {
        try await pool.run { [self] (context) throws(StoreError) in
            try openBucketRow(id, sealed, &context)
        }
    }

    /// The same, on a worker thread.
    func openBucketRow(
        _ id: BucketID, _ sealed: [UInt8], _ context: inout WorkerContext
    ) throws(StoreError) -> BucketRow {
        let bytes = try context.open(
            sealed, as: .metadata, name: Octets32(padding: id.octets), under: sealingKey)
        return try lower(
            "reading a bucket",
            core: { () throws(CoreError) in
                try BucketRow(decoding: bytes)
            })
    }

    /// Takes slots of the key table; those of a creation that fails stay unused.
    func reserveKeySlots(_ count: UInt32) async throws(StoreError) -> UInt32 {
        try await transact { (transaction) throws(StoreError) in
            let row = try transaction.get(Tables.meta, MetaKey.nextKeySlot) ?? []
            guard let next = RowKey.number(row) else {
                throw StoreError(.corrupted, "the index has lost its count of keys")
            }
            guard next < UInt32.max - count else {
                throw StoreError(.limitExceeded, "the store has used up its key slots")
            }
            try transaction.put(Tables.meta, MetaKey.nextKeySlot, RowKey.bigEndian(next + count))
            return next
        }
    }
}
