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
        try await engine.recordAct(AuditEvent(action: "RewrapKeys", key: key?.text ?? ""))
        var rewrap = Rewrap(engine: engine, only: only)
        try await rewrap.run(progress)
        return rewrap.report
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
    }

    // A page in one transaction: a bucket has two keys or three.
    private mutating func rewrapPage(_ rows: [IndexEntry]) async throws(StoreError) {
        while true {
            var page = self
            var changes: [BucketChange.Key] = []
            for row in rows {
                let id = try RowKey.bucketID(of: row.key)
                // As it is now: the page may be older than a change of the bucket.
                guard let bucket = try await current(id), includes(bucket.customerKey) else {
                    continue
                }
                do throws(StoreError) {
                    changes += try await page.rewrapped(bucket, id)
                } catch {
                    guard error.isLock else { throw error }
                    page.report.unavailableBucketCount += 1
                }
                page.report.bucketCount += 1
            }
            guard try await engine.replaceKeys(changes) else { continue }
            page.report.rewrappedCount += UInt64(changes.count)
            self = page
            return
        }
    }

    private func current(_ id: BucketID) async throws(StoreError) -> BucketRow? {
        do throws(StoreError) { return try await engine.bucketRow(id).row } catch {
            guard error.code == .bucketUnknown else { throw error }
            return nil
        }
    }

    private mutating func rewrapped(
        _ bucket: BucketRow, _ id: BucketID
    ) async throws(StoreError) -> [BucketChange.Key] {
        var slots = bucket.ownSlots(id)
        // Shared by buckets that are under the same customer key, or under the default one.
        let domainKey = bucket.deduplication == .key ? bucket.customerKey : nil
        var changes: [BucketChange.Key] = []
        if !slots.contains(bucket.domain.slot), seenSlots.insert(bucket.domain.slot).inserted {
            if domainKey == bucket.customerKey {
                slots.append(bucket.domain.slot)
            } else {
                changes = try await engine.rewrapped(
                    [bucket.domain.slot], under: domainKey, skippingCurrent: true)
            }
        }
        return try await changes
            + engine.rewrapped(slots, under: bucket.customerKey, skippingCurrent: true)
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
