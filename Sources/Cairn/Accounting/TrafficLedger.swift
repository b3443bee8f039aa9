// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import Synchronization

/// What was delivered and asked for, until it is written: at most for some seconds, which is what a
/// kill can lose. Thread-safe.
final class TrafficLedger: Sendable {
    /// How long counts may wait to be written.
    static let flushInterval = Duration.seconds(10)

    struct Key: Hashable, Sendable {
        var account: AccountID
        var bucket: BucketID
        var day: UInt32
    }

    private struct Month: Hashable {
        var account: AccountID
        var month: CalendarMonth
    }

    private struct State {
        var waiting: [Key: Traffic] = [:]
        /// Being written.
        var leaving: [Key: Traffic] = [:]
        var lastFlush: Timestamp
        /// What accounts have had in a month, where somebody asked.
        var months: [Month: Traffic] = [:]
    }

    private let state: Mutex<State>

    init(at now: Timestamp) { state = Mutex(State(lastFlush: now)) }

    /// - Returns: whether it is time to write.
    func count(_ traffic: Traffic, _ key: Key, at now: Timestamp) -> Bool {
        state.withLock { state in
            state.waiting[key, default: Traffic()] = (state.waiting[key] ?? Traffic()) + traffic
            let month = Month(
                account: key.account, month: CalendarMonth(of: Meter.start(ofDay: key.day)))
            if let sum = state.months[month] { state.months[month] = sum + traffic }
            guard state.leaving.isEmpty, state.lastFlush + Self.flushInterval <= now else {
                return false
            }
            state.lastFlush = now
            return true
        }
    }

    /// What is to be written now; ``endFlush(_:)`` is owed. Nothing while somebody else writes.
    func beginFlush() -> [Key: Traffic] {
        state.withLock { state in
            guard state.leaving.isEmpty else { return [:] }
            swap(&state.waiting, &state.leaving)
            return state.leaving
        }
    }

    var isWritten: Bool { state.withLock { $0.waiting.isEmpty && $0.leaving.isEmpty } }

    func endFlush(isWritten: Bool) {
        state.withLock { state in
            if !isWritten { state.waiting.merge(state.leaving) { $0 + $1 } }
            state.leaving = [:]
        }
    }

    /// What is not written yet.
    func unwritten(of account: AccountID) -> [Key: Traffic] {
        state.withLock { state in
            state.waiting.merging(state.leaving) { $0 + $1 }.filter { $0.key.account == account }
        }
    }

    func total(of account: AccountID, in month: CalendarMonth) -> Traffic? {
        state.withLock { $0.months[Month(account: account, month: month)] }
    }

    /// Notes what an account has had in a month so far. Of months that are over nothing is kept.
    func setTotal(_ traffic: Traffic, of account: AccountID, in month: CalendarMonth) {
        state.withLock { state in
            state.months = state.months.filter { $0.key.month >= month }
            state.months[Month(account: account, month: month)] = traffic
        }
    }
}

extension Engine {
    /// Counts traffic of a bucket; writes what is due, without anybody waiting for it.
    func count(_ traffic: Traffic, _ account: AccountID, _ bucket: BucketID) {
        let now = ledger.meterClock.now()
        let key = TrafficLedger.Key(account: account, bucket: bucket, day: Meter.day(of: now))
        guard self.traffic.count(traffic, key, at: now) else { return }
        flushTraffic { _ in }
    }

    /// Writes what was counted. Durable when `completion` is told so.
    func flushTraffic(completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        let leaving = traffic.beginFlush()
        guard !leaving.isEmpty else { return completion(.success(())) }
        submit { (transaction) throws(StoreError) in
            for (key, traffic) in leaving { try transaction.add(traffic, key) }
        } completion: { [traffic] result in
            if case .success = result {
                traffic.endFlush(isWritten: true)
            } else {
                traffic.endFlush(isWritten: false)
            }
            completion(result)
        }
    }

    /// Writes everything that was counted before the call. Durable on return.
    func flushTraffic() async throws(StoreError) {
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            flushTraffic { continuation.resume(returning: $0) }
        }
        try result.get()
        guard !traffic.isWritten else { return }
        // Somebody else was writing: behind him there is a turn.
        try await transact { (_) throws(StoreError) in }
        let last: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            flushTraffic { continuation.resume(returning: $0) }
        }
        try last.get()
    }

    static func decodeTraffic(_ bytes: [UInt8]) throws(StoreError) -> Traffic {
        try lower(
            "reading traffic",
            core: { () throws(CoreError) in try TrafficRow(decoding: bytes).traffic })
    }
}

extension Transaction {
    fileprivate func add(_ traffic: Traffic, _ key: TrafficLedger.Key) throws(StoreError) {
        let rowKey = RowKey.meteredDay(key.account.octets, key.bucket, key.day)
        let found = try get(Tables.traffic, rowKey)
        let sum = try found.map(Engine.decodeTraffic).map { $0 + traffic } ?? traffic
        try put(Tables.traffic, rowKey, TrafficRow(traffic: sum).encoded())
        if found == nil {
            try dropOldDays(of: key.bucket, key.account.octets, in: Tables.traffic, at: key.day)
        }
    }

    /// As many days go as come, so that there is a bound.
    func dropOldDays(
        of bucket: BucketID, _ account: Octets16, in table: IndexTable, at day: UInt32
    ) throws(StoreError) {
        let last = RowKey.meteredDay(account, bucket, day - min(day, usage.ledger.meteredDayCount))
        let prefix = account.bytes + bucket.octets.bytes
        for row in try scan(table, prefix: prefix, limit: 2)
        where row.key.lexicographicallyPrecedes(last) {
            try delete(table, row.key)
        }
    }
}
