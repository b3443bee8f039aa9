// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
public import CairnKeys

/// How far a rewrapping has come.
public struct RewrapReport: Hashable, Sendable {
    /// Buckets that were looked at.
    public internal(set) var bucketCount: UInt64 = 0
    /// Keys that were wrapped with the newest material of their customer key; all others were so
    /// already.
    public internal(set) var rewrappedCount: UInt64 = 0
    /// Buckets that were left out because their customer key cannot be used.
    public internal(set) var unavailableBucketCount: UInt64 = 0
}

extension Store {
    /// Wraps data keys with the newest material of their customer keys, after a rotation. Each is
    /// durable when it is counted.
    ///
    /// Some hundred bytes are written for each key, no data, and everything goes on meanwhile. A
    /// call after a kill or cancellation goes on where the last one was, as far as the provider can
    /// tell which keys are done; with the store's keyring it can.
    ///
    /// - Parameters:
    ///   - key: only keys under this customer key; nil is all.
    ///   - progress: called after every page of buckets.
    /// - Throws: ``StoreError`` with code `keyUnknown`, `keyDisabled` (the named key),
    ///   `keyUnavailable`, `cancelled`, `corrupted`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func rewrapKeys(
        under key: KeyReference? = nil, progress: (@Sendable (RewrapReport) -> Void)? = nil
    ) async throws(StoreError) -> RewrapReport {
        var only: KeyID??
        if let key { only = .some(try await engine.keys.customerKey(.customerKey(key))) }
        return try await engine.act(
            AuditEvent(action: "RewrapKeys", key: key?.text ?? "")
        ) { () throws(StoreError) in
            var rewrap = Rewrap(engine: engine, only: only)
            try await rewrap.run(progress)
            return rewrap.report
        }
    }
}

/// One walk over all buckets, and the domains that they share.
private struct Rewrap {
    let engine: Engine
    /// Which customer key to rewrap under; nil is any.
    let only: KeyID??
    var report = RewrapReport()
    /// Slots of domains that were seen on this walk, as many buckets share one.
    private var seenSlots = Set<UInt32>()

    init(engine: Engine, only: KeyID??) {
        self.engine = engine
        self.only = only
    }

    mutating func run(
        _ progress: (@Sendable (RewrapReport) -> Void)?
    ) async throws(StoreError) {
        if includes(nil) { try await rewrapStoreKeys() }
        for try await rows in engine.pages(of: Tables.buckets, for: "the rewrapping") {
            try await rewrapPage(rows)
            progress?(report)
        }
    }

    private func includes(_ customerKey: KeyID?) -> Bool {
        only.map { $0 == customerKey } ?? true
    }

    // What is under the store's default key beside the buckets' own keys.
    private mutating func rewrapStoreKeys() async throws(StoreError) {
        try await rewrap([StoreFormat.storeKeySlot], under: nil)
        for try await rows in engine.pages(of: Tables.accounts, for: "the rewrapping") {
            for row in rows {
                let account = try lower(
                    "reading an account",
                    core: { () throws(CoreError) in
                        try AccountRow(decoding: row.value)
                    })
                try await rewrap([account.domainSlot], under: nil)
            }
        }
        for try await rows in engine.pages(of: Tables.domains, for: "the rewrapping") {
            for row in rows {
                guard let slot = try SharedDomain.slotUnderDefaultKey(row) else { continue }
                try await rewrap([slot], under: nil)
            }
        }
    }

    // A page in one transaction: a bucket has two keys or three.
    private mutating func rewrapPage(_ rows: [IndexEntry]) async throws(StoreError) {
        var ids: [BucketID] = []
        for row in rows { ids.append(try RowKey.bucketID(of: row.key)) }
        while true {
            var page = self
            // As they are now: the page may be older than a change of a bucket.
            let buckets = try await page.load(ids)
            var changes: [BucketChange.Key] = []
            for result in await rewrapped(buckets) {
                do throws(StoreError) {
                    changes += try result.get()
                } catch {
                    guard error.isLock else { throw error }
                    page.report.unavailableBucketCount += 1
                }
            }
            page.report.bucketCount += UInt64(buckets.count)
            guard try await engine.replaceKeys(changes) else { continue }
            page.report.rewrappedCount += UInt64(changes.count)
            self = page
            return
        }
    }

    // What is to be wrapped for one bucket.
    private struct Bucket: Sendable {
        var keys: [(slot: UInt32, row: KeyRow, customerKey: KeyID?)] = []
    }

    private mutating func load(_ ids: [BucketID]) async throws(StoreError) -> [Bucket] {
        let (seen, only, engine) = (seenSlots, only, engine)
        let (buckets, slots) = try await engine.pool.run {
            (context) throws(StoreError) -> ([Bucket], Set<UInt32>) in
            var seen = seen
            var buckets: [Bucket] = []
            let (snapshot, values) = try lower(
                "reading buckets",
                index: { () throws(IndexError) in
                    let snapshot = try engine.index.snapshot()
                    return (
                        snapshot,
                        try snapshot.getMany(Tables.buckets, ids.map(\.octets.bytes))
                    )
                })
            for (id, sealed) in zip(ids, values) {
                guard let sealed else { continue }
                let row = try engine.openBucketRow(id, sealed, &context)
                guard only.map({ $0 == row.customerKey }) ?? true else { continue }
                var slots = row.ownSlots(id).map { ($0, row.customerKey) }
                // The secret of the domain of a customer key is under that key.
                if row.deduplication == .key, row.customerKey != nil,
                    seen.insert(row.domain.slot).inserted
                {
                    slots.append((row.domain.slot, row.customerKey))
                }
                var bucket = Bucket()
                for (slot, customerKey) in slots {
                    bucket.keys.append((slot, try KeyTable.row(slot, in: snapshot), customerKey))
                }
                buckets.append(bucket)
            }
            return (buckets, seen)
        }
        seenSlots = slots
        return buckets
    }

    // Several at once: each call is recorded, which waits for a worker.
    private func rewrapped(
        _ buckets: [Bucket]
    ) async -> [Result<[BucketChange.Key], StoreError>] {
        let engine = engine
        return await withTaskGroup(of: Result<[BucketChange.Key], StoreError>.self) { group in
            var results: [Result<[BucketChange.Key], StoreError>] = []
            for (number, bucket) in buckets.enumerated() {
                if number >= Self.taskCount, let result = await group.next() {
                    results.append(result)
                }
                group.addTask { await Self.rewrapped(bucket, engine) }
            }
            for await result in group { results.append(result) }
            return results
        }
    }

    private static let taskCount = 16

    private static func rewrapped(
        _ bucket: Bucket, _ engine: Engine
    ) async -> Result<[BucketChange.Key], StoreError> {
        do throws(StoreError) {
            var changes: [BucketChange.Key] = []
            for key in bucket.keys {
                if try await engine.keys.isCurrent(key.row, under: key.customerKey) { continue }
                changes.append(
                    .init(
                        slot: key.slot, old: key.row,
                        new: try await engine.keys.rewrap(key.row, under: key.customerKey)))
            }
            return .success(changes)
        } catch {
            return .failure(error)
        }
    }

    private mutating func rewrap(
        _ slots: [UInt32], under customerKey: KeyID?
    ) async throws(StoreError) {
        while true {
            let changes = try await engine.rewrapped(
                slots, under: customerKey, skippingCurrent: true)
            guard try await engine.replaceKeys(changes) else { continue }
            report.rewrappedCount += UInt64(changes.count)
            return
        }
    }
}
