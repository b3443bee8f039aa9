// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// What is promised to uploads, beside what is durable of them.
struct PromisedUsage: Hashable, Sendable {
    var byteCount: Int64 = 0
    var blobCount: Int64 = 0
    var uploadCount: Int64 = 0

    static let none = PromisedUsage()

    static func + (lhs: Self, rhs: Self) -> Self {
        PromisedUsage(
            byteCount: lhs.byteCount &+ rhs.byteCount, blobCount: lhs.blobCount &+ rhs.blobCount,
            uploadCount: lhs.uploadCount &+ rhs.uploadCount)
    }

    static prefix func - (promised: Self) -> Self {
        PromisedUsage(
            byteCount: -promised.byteCount, blobCount: -promised.blobCount,
            uploadCount: -promised.uploadCount)
    }
}

/// What one bucket, one account or the store has, is promised and may have. Thread-safe.
///
/// What it has is changed by the committer's thread alone, one transaction at a time; promises are
/// made and given back by any thread. One lock covers both, so that no byte is promised that the
/// transaction under way is about to take.
final class UsageNode: Sendable {
    enum Kind: Hashable, Sendable {
        /// With the number by which chunks name it.
        case bucket(number: UInt32)
        case account
        case store
    }

    struct State: Sendable {
        var row: UsageRow
        var settings: QuotaRow
        var promised = PromisedUsage.none
        /// What the transaction under way gives back: it is there for others when that is certain.
        var leaving = PromisedUsage.none
        /// Whether the bucket is deleted.
        var isRemoved = false
        /// Upload sessions that have the node in their hands.
        var holderCount = 0
    }

    /// What a transaction changes.
    struct Change: Sendable {
        var counts = UsageCounts()
        /// Of these, what somebody else has done to it: no limit stops that.
        var passive = UsageCounts()
        var promised = PromisedUsage.none
        var settings: QuotaRow?
        /// From which day on what is there now counts as having been there.
        var day: UInt32?
        /// Whether it begins an upload, which is the one time when their number is limited.
        var beginsUpload = false
        var isEnforced = true
        /// Whether the bucket is deleted with that.
        var isRemoval = false
        /// False for work that counts anew what is there.
        var isMetered = true
    }

    /// What a transaction has changed, to be taken back should it not take place.
    struct Undo: Sendable {
        let node: UsageNode
        let row: UsageRow
        let settings: QuotaRow
        let isRemoved: Bool
        let promised: PromisedUsage

        /// The transaction took place.
        func discard() { node.state.withLock { $0.leaving = .none } }

        func run() {
            node.state.withLock { state in
                state.leaving = .none
                state.isRemoved = isRemoved
                state.row = row
                state.settings = settings
                state.promised = state.promised + -promised
            }
        }
    }

    let id: Octets16
    let kind: Kind
    let parent: UsageNode?
    let state: Mutex<State>

    init(_ id: Octets16, _ kind: Kind, parent: UsageNode?, _ row: UsageRow, _ settings: QuotaRow) {
        self.id = id
        self.kind = kind
        self.parent = parent
        state = Mutex(State(row: row, settings: settings))
    }

    var number: UInt32 { if case .bucket(let number) = kind { number } else { 0 } }

    /// What is set for it.
    var settings: QuotaRow { state.withLock { $0.settings } }

    /// Of whatever account the node belongs to.
    var charging: ChargingMode {
        switch kind {
        case .bucket: parent?.charging ?? .logical
        case .account: state.withLock { $0.settings.charging }
        case .store: .logical
        }
    }

    private var scope: QuotaScope { if case .bucket = kind { .bucket } else { .account } }

    // MARK: - Promises

    /// Promises room to an upload, in the bucket and its account.
    ///
    /// - Parameter blobByteCount: the length of the blob as far as it is known.
    /// - Throws: ``StoreError`` with code `quotaExceeded`: nothing was promised.
    func promise(_ more: PromisedUsage, blobByteCount: UInt64) throws(StoreError) {
        let charging = charging
        try take(more, blobByteCount, charging)
        do throws(StoreError) { try parent?.take(more, blobByteCount, charging) } catch {
            state.withLock { $0.promised = $0.promised + -more }
            throw error
        }
    }

    /// Gives room back that was promised.
    func giveBack(_ promised: PromisedUsage) {
        state.withLock { $0.promised = $0.promised + -promised }
        parent?.state.withLock { $0.promised = $0.promised + -promised }
    }

    private func take(
        _ more: PromisedUsage, _ blobByteCount: UInt64, _ charging: ChargingMode
    ) throws(StoreError) {
        try state.withLock { (state) throws(StoreError) in
            guard !state.isRemoved else {
                throw StoreError(.bucketUnknown, "the bucket was deleted")
            }
            try check(blobByteCount: blobByteCount, state.settings.quota)
            let (_, overflow) = state.promised.byteCount.addingReportingOverflow(more.byteCount)
            guard !overflow else {
                throw StoreError(.limitExceeded, "uploads announce more than 2^63 bytes")
            }
            let (counts, promised) = (state.row.counts, state.promised + more)
            // Room that a transaction is about to give back is not there yet.
            let held = state.promised + state.leaving
            try check(state.settings.quota, beginsUpload: true) { limit in
                Self.used(limit, counts, held, charging)
            } after: { limit in
                Self.used(limit, counts, held + more, charging)
            }
            state.promised = promised
        }
    }

    // MARK: - Transactions

    /// Makes a change that is about to be committed.
    ///
    /// - Parameters:
    ///   - now: from when on it counts.
    ///   - warn: told of each limit whose threshold the change crosses.
    ///   - close: told of a day that is over.
    /// - Throws: ``StoreError`` with code `quotaExceeded`, `limitExceeded`: nothing was changed.
    func admit(
        _ change: Change, at now: Timestamp, warn: (QuotaWarning) -> Void,
        close: (UInt32, MeteredDay) -> Void
    ) throws(StoreError) -> (UsageRow, Undo) {
        let charging = charging
        return try state.withLock { (state) throws(StoreError) in
            let undo = Undo(
                node: self, row: state.row, settings: state.settings, isRemoved: state.isRemoved,
                promised: change.promised)
            var row = state.row
            try row.counts.add(change.counts)
            let before = Meter.charged(state.row.counts)
            if case .bucket = kind, change.isMetered, before != Meter.charged(row.counts),
                let (day, metered) = row.meter.advance(to: now, holding: before)
            {
                close(day, metered)
            }
            // The store notes the time, which never is before that at any later opening.
            if case .store = kind { row.meter = Meter(beginningAt: max(now, row.meter.since)) }
            let promised = state.promised + change.promised
            if change.isEnforced {
                let old = state
                var raised = old.row.counts
                try raised.add(change.passive)
                try check(state.settings.quota, beginsUpload: change.beginsUpload) { limit in
                    max(
                        Self.used(limit, old.row.counts, old.promised, charging),
                        Self.used(limit, raised, old.promised, charging))
                } after: { limit in
                    Self.used(limit, row.counts, promised, charging)
                }
                warnings(state, row.counts, promised, charging).forEach(warn)
            }
            if let day = change.day {
                row.meter = Meter(holding: Meter.charged(row.counts), sinceDay: day)
            }
            state.leaving = Self.released(
                from: (state.row.counts, state.promised), to: (row.counts, promised), charging)
            state.row = row
            state.promised = promised
            state.isRemoved = state.isRemoved || change.isRemoval
            if let settings = change.settings { state.settings = settings }
            return (row, undo)
        }
    }

    /// Fails for a blob that is longer than one may be here.
    func check(blobByteCount: UInt64) throws(StoreError) {
        try state.withLock { (state) throws(StoreError) in
            try check(blobByteCount: blobByteCount, state.settings.quota)
        }
        try parent?.check(blobByteCount: blobByteCount)
    }

    // MARK: - Limits

    private func check(blobByteCount: UInt64, _ quota: Quota) throws(StoreError) {
        guard let most = quota.blobByteCount, blobByteCount > most else { return }
        throw exceeded(.blobByteCount, most)
    }

    // What is there already may be above a limit that was set later, and may get less.
    private func check(
        _ quota: Quota, beginsUpload: Bool, before: (Quota.Limit) -> Int64,
        after: (Quota.Limit) -> Int64
    ) throws(StoreError) {
        for limit in Self.limits where limit != .uploadCount || beginsUpload {
            guard let most = quota[limit] else { continue }
            let after = after(limit)
            guard after <= before(limit) || after <= Int64(clamping: most) else {
                throw exceeded(limit, most)
            }
        }
    }

    private static func released(
        from before: (UsageCounts, PromisedUsage), to after: (UsageCounts, PromisedUsage),
        _ charging: ChargingMode
    ) -> PromisedUsage {
        func released(_ limit: Quota.Limit) -> Int64 {
            let old = used(limit, before.0, before.1, charging)
            return max(0, old &- used(limit, after.0, after.1, charging))
        }
        return PromisedUsage(
            byteCount: released(.byteCount), blobCount: released(.blobCount),
            uploadCount: released(.uploadCount))
    }

    private func warnings(
        _ state: State, _ counts: UsageCounts, _ promised: PromisedUsage, _ charging: ChargingMode
    ) -> [QuotaWarning] {
        let quota = state.settings.quota
        guard let percent = quota.warningPercent else { return [] }
        return Self.limits.compactMap { limit in
            guard let most = quota[limit] else { return nil }
            let threshold = Int128(most) * Int128(percent)
            let before = Self.used(limit, state.row.counts, .none, charging)
            let after = Self.used(limit, counts, .none, charging)
            guard Int128(before) * 100 < threshold, Int128(after) * 100 >= threshold else {
                return nil
            }
            return QuotaWarning(
                scope: scope, limit: limit, usedCount: UInt64(max(0, after)), limitCount: most)
        }
    }

    private static let limits: [Quota.Limit] = [.byteCount, .blobCount, .objectCount, .uploadCount]

    static func used(
        _ limit: Quota.Limit, _ counts: UsageCounts, _ promised: PromisedUsage,
        _ charging: ChargingMode
    ) -> Int64 {
        switch limit {
        case .byteCount:
            // Of blobs that no disk can hold the sum may be beyond all bounds.
            let sum =
                Int128(counts.chargedBytes(charging)) + Int128(counts[.inFlightBytes])
                + Int128(promised.byteCount)
            return Int64(clamping: sum)
        case .blobCount: return counts[.blobs] &+ promised.blobCount
        case .objectCount: return counts[.objects]
        case .uploadCount: return counts[.uploads] &+ promised.uploadCount
        case .blobByteCount: return 0
        }
    }

    private func exceeded(_ limit: Quota.Limit, _ most: UInt64) -> StoreError {
        StoreError(
            exceeding: limit, "the quota of the \(scope.name) is reached: \(limit.name) \(most)")
    }
}
