// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// Counts anew what every bucket has: for an index that was made anew, and for a store that was
/// written before all of it was counted.
///
/// Begins from nothing each time, so that a kill in the middle does no harm.
struct UsageRebuild {
    private static let rowCountMax = 4096

    let engine: Engine
    /// The numbers by which chunks name buckets.
    private(set) var numbers: [BucketID: UInt32] = [:]
    private var births: [BucketID: (account: AccountID, day: UInt32)] = [:]

    init(engine: Engine) { self.engine = engine }

    /// Forgets what was counted, and finds out whose each bucket is.
    mutating func begin() async throws(StoreError) {
        for table in [Tables.usage, Tables.sharers, Tables.owners] { try await clear(table) }
        engine.ledger.forgetAll()
        for table in [Tables.buckets, Tables.deletedBuckets] {
            for try await rows in pages(of: table) {
                var owners: [(BucketID, OwnerRow)] = []
                let isThere = table == Tables.buckets
                for entry in rows {
                    let id = try RowKey.bucketID(of: entry.key)
                    // A damaged one belongs to nobody; whoever opens the bucket reports it.
                    guard let row = try? await engine.openBucketRow(id, entry.value) else {
                        continue
                    }
                    owners.append(
                        (id, OwnerRow(account: row.accountID, number: row.indexKeySlot)))
                    if isThere {
                        births[id] = (row.accountID, Meter.day(of: row.createdAt))
                    }
                }
                try await engine.transact { [owners] (transaction) throws(StoreError) in
                    for (id, owner) in owners { try transaction.putOwner(owner, of: id) }
                }
                for (id, owner) in owners { numbers[id] = owner.number }
            }
        }
    }

    /// Counts everything but what is stored in segments.
    func count() async throws(StoreError) {
        try await count(Tables.links) { (transaction, bucket, row) throws(StoreError) in
            // One that is damaged is reported by whoever reads it.
            guard let link = try? LinkRow(decoding: row.value) else { return }
            try transaction.addUsage(of: link, in: bucket)
        }
        try await count(Tables.objects) { (transaction, bucket, _) throws(StoreError) in
            try transaction.add(.objects, of: bucket, 1)
        }
        try await count(Tables.objectVersions) { (transaction, bucket, _) throws(StoreError) in
            try transaction.add(.olderVersions, of: bucket, 1)
        }
        try await count(Tables.uploads) { (transaction, bucket, row) throws(StoreError) in
            guard let upload = try? UploadRow(decoding: row.value) else { return }
            try transaction.add(.uploads, of: bucket, 1)
            try transaction.add(
                .inFlightBytes, of: bucket, Int64(clamping: upload.receivedByteCount))
        }
        try await count(Tables.multipartUploads) { (transaction, bucket, row) throws(StoreError) in
            guard (try? MultipartRow(decoding: row.value))?.state == .open else { return }
            try transaction.add(.uploads, of: bucket, 1)
        }
        try await count(Tables.parts) { (transaction, bucket, row) throws(StoreError) in
            guard let part = try? Engine.decodePart(row.value) else { return }
            try transaction.add(.inFlightBytes, of: bucket, Int64(clamping: part.byteCount))
        }
    }

    /// Meters again where the meters are lost: what a bucket has now it has had since the day after
    /// the last one that is known, or since it was created.
    func restoreMeters() async throws(StoreError) {
        for (bucket, birth) in births {
            var day = birth.day
            let prefix = birth.account.octets.bytes + bucket.octets.bytes
            for try await rows in engine.pages(
                of: Tables.meteredDays, prefix: prefix, for: "the count of usage")
            {
                guard let last = rows.last?.key else { continue }
                day = (RowKey.day(ofMetered: last) ?? day) + 1
            }
            let today = Meter.day(of: engine.ledger.meterClock.now())
            try await engine.transact { [day] (transaction) throws(StoreError) in
                transaction.usage.isEnforced = false
                transaction.meter(bucket, sinceDay: min(day, today))
            }
        }
    }

    /// Notes that all of it is counted.
    func end() async throws(StoreError) {
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.put(Tables.meta, MetaKey.usage, [rowVersion])
        }
    }

    /// Counts what lies in segments without anybody knowing who has brought it: all of it in a
    /// store whose chunks do not say so.
    func countStored() async throws(StoreError) {
        var stored = UsageCounts()
        let byteCounts = try await engine.read("counting what is stored") {
            (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            var byteCounts: [Int64] = []
            try snapshot.forEachRow(Tables.segmentUsage, prefix: []) { (row) throws(IndexError) in
                byteCounts.append(try snapshot.count(Tables.segmentUsage, row.key))
            }
            return byteCounts
        }
        for byteCount in byteCounts { try stored.add(byteCount, to: .storedBytes) }
        try await engine.transact { [stored] (transaction) throws(StoreError) in
            try transaction.add(stored: stored, by: 0)
        }
    }

    // MARK: -

    private func clear(_ table: IndexTable) async throws(StoreError) {
        while true {
            let isEmpty = try await engine.transact { (transaction) throws(StoreError) -> Bool in
                let rows = try transaction.scan(table, prefix: [], limit: Self.rowCountMax)
                for row in rows { try transaction.delete(table, row.key) }
                return rows.isEmpty
            }
            if isEmpty { return }
        }
    }

    private func count(
        _ table: IndexTable,
        _ body: @escaping @Sendable (Transaction, BucketID, IndexEntry) throws(StoreError) -> Void
    ) async throws(StoreError) {
        for try await rows in pages(of: table) {
            try await engine.transact { (transaction) throws(StoreError) in
                // What is there is there, whatever may be.
                transaction.usage.isEnforced = false
                for row in rows {
                    try body(transaction, RowKey.bucketID(prefixing: row.key), row)
                }
            }
        }
    }

    private func pages(of table: IndexTable) -> RowPages {
        engine.pages(of: table, for: "the count of usage")
    }
}

extension Engine {
    /// Counts what a release before this one has not counted.
    func completeUsage() async throws(StoreError) {
        let mark = try await read("looking for usage") { (index) throws(IndexError) in
            try index.get(Tables.meta, MetaKey.usage)
        }
        guard mark == nil else { return }
        var rebuild = UsageRebuild(engine: self)
        try await rebuild.begin()
        try await rebuild.count()
        try await rebuild.countStored()
        try await rebuild.end()
    }
}
