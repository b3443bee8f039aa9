// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import Synchronization

/// What was delivered and asked for, until it is written: at most for some seconds, which is what a
/// kill can lose. Thread-safe.
final class TrafficLedger: Sendable {
    /// How long counts may wait to be written.
    static let flushInterval = Duration.seconds(10)
    /// Rows of one transaction.
    private static let flushedCountMax = 256

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
        /// Whether the index has them, though perhaps not durably.
        var isLeft = false
        var lastFlush: Timestamp
        /// What accounts have had in a month, where somebody asked.
        var months: [Month: Traffic] = [:]

        func unwritten(of account: AccountID) -> [Key: Traffic] {
            waiting.merging(isLeft ? [:] : leaving) { $0 + $1 }.filter {
                $0.key.account == account
            }
        }
    }

    private let state: Mutex<State>

    init(at now: Timestamp) { state = Mutex(State(lastFlush: now)) }

    /// - Returns: whether it is time to write.
    func count(_ traffic: Traffic, _ key: Key, at now: Timestamp) -> Bool {
        state.withLock { state in
            let waiting = state.waiting[key] ?? Traffic()
            state.waiting[key] = waiting + traffic
            if !state.months.isEmpty {
                let month = CalendarMonth(of: Meter.start(ofDay: key.day))
                let index = Month(account: key.account, month: month)
                if let sum = state.months[index] { state.months[index] = sum + traffic }
            }
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
            state.isLeft = false
            for key in state.waiting.keys.prefix(Self.flushedCountMax) {
                state.leaving[key] = state.waiting.removeValue(forKey: key)
            }
            return state.leaving
        }
    }

    /// In the transaction that writes: from here on they are in what is read behind it.
    func noteLeft() { state.withLock { $0.isLeft = true } }

    var isWritten: Bool { state.withLock { $0.waiting.isEmpty && $0.leaving.isEmpty } }

    func endFlush(isWritten: Bool) {
        state.withLock { state in
            if !isWritten { state.waiting.merge(state.leaving) { $0 + $1 } }
            state.leaving = [:]
            state.isLeft = false
        }
    }

    /// What is not written yet.
    func unwritten(of account: AccountID) -> [Key: Traffic] {
        state.withLock { $0.unwritten(of: account) }
    }

    func total(of account: AccountID, in month: CalendarMonth) -> Traffic? {
        state.withLock { $0.months[Month(account: account, month: month)] }
    }

    /// Begins the total of an account in a month with what is not written yet: what is counted from
    /// here on is added. Of months that are over nothing is kept.
    ///
    /// - Returns: false when somebody has begun it before.
    func beginTotal(of account: AccountID, in month: CalendarMonth) -> Bool {
        let days = month.days
        return state.withLock { state in
            let key = Month(account: account, month: month)
            guard state.months[key] == nil else { return false }
            state.months = state.months.filter { $0.key.month >= month }
            state.months[key] = state.unwritten(of: account)
                .filter { days.contains($0.key.day) }.values.reduce(Traffic()) { $0 + $1 }
            return true
        }
    }

    /// Adds what was written before the total was begun; nil gives it up.
    func endTotal(_ written: Traffic?, of account: AccountID, in month: CalendarMonth) {
        state.withLock { state in
            let key = Month(account: account, month: month)
            guard let written else { return state.months[key] = nil }
            state.months[key] = (state.months[key] ?? Traffic()) + written
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
        submit { [counted = traffic] (transaction) throws(StoreError) in
            for (key, traffic) in leaving { try transaction.add(traffic, key) }
            counted.noteLeft()
        } completion: { [traffic] result in
            let isWritten = if case .success = result { true } else { false }
            traffic.endFlush(isWritten: isWritten)
            completion(result)
        }
    }

    /// Writes everything that was counted before the call. Durable on return.
    func flushTraffic() async throws(StoreError) {
        while true {
            let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
                flushTraffic { continuation.resume(returning: $0) }
            }
            try result.get()
            guard !traffic.isWritten else { return }
            // There was more than one page, or somebody else was writing: behind him is a turn.
            try await transact { (_) throws(StoreError) in }
        }
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
