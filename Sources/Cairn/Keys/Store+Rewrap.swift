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
                try await rewrap([AccountRow(row).domainSlot], under: nil)
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

    // What is to be wrapped, bucket by bucket.
    private mutating func load(_ ids: [BucketID]) async throws(StoreError) -> [[StoredKey]] {
        let walk = self
        let (buckets, seen) = try await engine.pool.run {
            (context) throws(StoreError) -> ([[StoredKey]], Set<UInt32>) in
            var seen = walk.seenSlots
            var buckets: [[StoredKey]] = []
            let (snapshot, values) = try walk.read(ids)
            for (id, sealed) in zip(ids, values) {
                guard let sealed else { continue }
                let row = try walk.engine.openBucketRow(id, sealed, &context)
                guard walk.includes(row.customerKey) else { continue }
                var slots = row.ownSlots(id)
                // The secret of the domain of a customer key is under that key.
                if row.deduplication == .key, row.customerKey != nil,
                    seen.insert(row.domain.slot).inserted
                {
                    slots.append(row.domain.slot)
                }
                buckets.append(
                    try slots.map { (slot) throws(StoreError) in
                        StoredKey(
                            slot: slot, row: try KeyTable.row(slot, in: snapshot),
                            customerKey: row.customerKey)
                    })
            }
            return (buckets, seen)
        }
        seenSlots = seen
        return buckets
    }

    // Buckets and keys as of one moment.
    private func read(
        _ ids: [BucketID]
    ) throws(StoreError) -> (any IndexSnapshot, [[UInt8]?]) {
        try lower(
            "reading buckets",
            index: { () throws(IndexError) in
                let snapshot = try engine.index.snapshot()
                let rows = try snapshot.getMany(Tables.buckets, ids.map(\.octets.bytes))
                return (snapshot, rows)
            })
    }

    // Several at once: each call is recorded, which waits for a worker.
    private func rewrapped(
        _ buckets: [[StoredKey]]
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
        _ keys: [StoredKey], _ engine: Engine
    ) async -> Result<[BucketChange.Key], StoreError> {
        do throws(StoreError) {
            var changes: [BucketChange.Key] = []
            for key in keys {
                if let change = try await engine.rewrapped(key, skippingCurrent: true) {
                    changes.append(change)
                }
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
