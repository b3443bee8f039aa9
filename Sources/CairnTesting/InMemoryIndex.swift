// Part of Cairn, a content-addressed blob store.
public import CairnIndex
internal import Synchronization

/// An index in memory for tests: same rules as the real one, and crashes at will.
///
/// Commits go to a log of states. ``sync()`` marks the end of it as durable; ``crash(seed:)``
/// returns the index as a power cut at this moment might leave it. Deterministic: no clock, no
/// randomness, no file. Thread-safe.
public final class InMemoryIndex: Index {
    /// A call that a fault can hit.
    public enum Operation: Hashable, Sendable {
        case get, getMany, scan, begin, snapshot, commit, sync
    }

    /// When an observer is told of a call.
    public enum Moment: Hashable, Sendable {
        case before, after
    }

    private typealias State = [String: OrderedTree]

    private struct Shared {
        // After each commit since the last sync, in order; the first one is durable.
        var states: [State]
        var version: UInt64 = 0
        // When each key was last written or removed: what transactions are validated against.
        var lastWrites: [String: [[UInt8]: UInt64]] = [:]
        var failure: IndexError?
        var isClosed = false
        var checkpoints: [String: State] = [:]
        var fault: (@Sendable (Operation) -> IndexError?)?
        var syncCount = 0
        var scannedRowCount = 0
        var observer: (@Sendable (Operation, Moment) -> Void)?
    }
    private let shared: Mutex<Shared>
    private let tables: [String: Int]

    /// Makes an empty index.
    public convenience init(tables: [IndexTable]) {
        self.init(names: tables.map(\.name), state: [:])
    }

    private init(names: [String], state: State) {
        let pairs = names.enumerated().map { ($0.element, $0.offset) }
        tables = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        let rows = state.merging(names.map { ($0, OrderedTree()) }) { old, _ in old }
        shared = Mutex(Shared(states: [rows]))
    }

    // MARK: - Faults and crashes

    /// Lets calls fail: the fault is asked before each of them.
    ///
    /// An error given for `commit` or `sync` latches, as in the real index, unless it is a conflict
    /// or a want of space. Nil ends all faults, but no latched failure.
    public func setFault(_ fault: (@Sendable (Operation) -> IndexError?)?) {
        shared.withLock { $0.fault = fault }
    }

    /// Calls something before and after each call, on the caller's thread, which may be held up
    /// there. Nil ends it.
    public func setObserver(_ observer: (@Sendable (Operation, Moment) -> Void)?) {
        shared.withLock { $0.observer = observer }
    }

    /// The index as it is now, with what a crash could lose of it.
    public func copy() -> InMemoryIndex {
        let (names, states) = shared.withLock { (self.names, $0.states) }
        let copy = InMemoryIndex(names: names, state: states[0])
        copy.shared.withLock { $0.states = states }
        return copy
    }

    /// How often the index was synced.
    public var syncCount: Int { shared.withLock { $0.syncCount } }

    /// How many rows scans of the latest state have returned.
    public var scannedRowCount: Int { shared.withLock { $0.scannedRowCount } }

    /// How many commits a crash now could lose.
    public var unsyncedCommitCount: Int { shared.withLock { $0.states.count - 1 } }

    /// The index as it might be found after a power cut at this moment.
    ///
    /// It holds every synced commit and, as the seed decides, some of the first unsynced ones. This
    /// index stays as it is. Also works when it is closed or has failed.
    public func crash(seed: UInt64) -> InMemoryIndex {
        shared.withLock { shared in
            let survivors = Int(Self.mix(seed) % UInt64(shared.states.count))
            return InMemoryIndex(names: names, state: shared.states[survivors])
        }
    }

    /// The index as a later process opens it: everything that was synced, with these tables.
    ///
    /// - Throws: ``IndexError`` with code `unsupportedVersion` when a table is missing.
    public func reopened(tables: [IndexTable]? = nil) throws(IndexError) -> InMemoryIndex {
        try shared.withLock { shared throws(IndexError) in
            let names = tables.map { $0.map(\.name) } ?? self.names
            let state = shared.states[0]
            guard state.keys.allSatisfy(names.contains) else {
                throw IndexError(.unsupportedVersion, "the index has tables of a later version")
            }
            return InMemoryIndex(names: names, state: state)
        }
    }

    /// The index that ``checkpoint(to:)`` has put under a path.
    public func checkpoint(at path: String) -> InMemoryIndex? {
        shared.withLock { shared in
            shared.checkpoints[path].map { InMemoryIndex(names: names, state: $0) }
        }
    }

    // MARK: - Reading

    /// The value of a key, on the latest state.
    public func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        try observed(.get) { () throws(IndexError) in try view(.get).get(table, key) }
    }

    /// The values of several keys, on the latest state.
    public func getMany(
        _ table: IndexTable, _ keys: [[UInt8]]
    ) throws(IndexError) -> [[UInt8]?] {
        try observed(.getMany) { () throws(IndexError) in try view(.getMany).getMany(table, keys) }
    }

    /// The first rows of a range, on the latest state.
    public func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        let rows = try observed(.scan) { () throws(IndexError) in
            try view(.scan).scan(table, from: from, before: before, limit: limit)
        }
        shared.withLock { $0.scannedRowCount += rows.count }
        return rows
    }

    /// A consistent view as of now.
    public func snapshot() throws(IndexError) -> any IndexSnapshot {
        try observed(.snapshot) { () throws(IndexError) in try view(.snapshot) }
    }

    /// Starts a transaction.
    public func begin() throws(IndexError) -> any IndexTransaction {
        InMemoryTransaction(try view(.begin))
    }

    // MARK: - Durability

    /// Makes earlier commits survive every crash.
    public func sync() throws(IndexError) {
        try observed(.sync) { () throws(IndexError) in
            try mutate(.sync) { shared throws(IndexError) in
                shared.states.removeFirst(shared.states.count - 1)
                shared.syncCount += 1
            }
        }
    }

    /// Syncs and closes.
    public func close() throws(IndexError) {
        if shared.withLock({ $0.isClosed }) { return }
        defer { shared.withLock { $0.isClosed = true } }
        try sync()
    }

    /// Keeps a copy under a path: see ``checkpoint(at:)``.
    public func checkpoint(to path: String) throws(IndexError) {
        try mutate(.sync) { shared throws(IndexError) in
            guard shared.checkpoints[path] == nil else {
                throw IndexError(.invalidArgument, "there is a checkpoint at \(path) already")
            }
            shared.checkpoints[path] = shared.states[shared.states.count - 1]
        }
    }

    // MARK: - Maintenance

    /// Does what a sync does: deleted rows leave nothing.
    public func purge(_ prefixes: [IndexPrefix]) throws(IndexError) -> Bool {
        try sync()
        return true
    }

    /// Bytes of all keys and values.
    public func approximateByteCount() throws(IndexError) -> UInt64 {
        try statistics().byteCount
    }

    /// Rows and bytes; the other figures are zero.
    public func statistics() throws(IndexError) -> IndexStatistics {
        let state = try view(.get).state
        var statistics = IndexStatistics()
        for tree in state.values {
            statistics.entryCount += UInt64(tree.count)
            tree.visit(from: [], before: nil) { key, value in
                statistics.byteCount += UInt64(key.count + value.count)
                return true
            }
        }
        return statistics
    }

    // MARK: - For snapshots and transactions

    fileprivate func checkOpen() throws(IndexError) {
        guard shared.withLock({ !$0.isClosed }) else {
            throw IndexError(.closed, "the index is closed")
        }
    }

    fileprivate func check(_ table: IndexTable) throws(IndexError) {
        guard tables[table.name] != nil else {
            throw IndexError(.invalidArgument, "the index has no table named \(table.name)")
        }
    }

    /// Validates and applies a transaction.
    fileprivate func commit(
        _ changes: [String: [[UInt8]: InMemoryChange]], reads: [String: Set<[UInt8]>],
        since begin: UInt64
    ) throws(IndexError) {
        try observed(.commit) { () throws(IndexError) in
            try apply(changes, reads: reads, since: begin)
        }
    }

    private func apply(
        _ changes: [String: [[UInt8]: InMemoryChange]], reads: [String: Set<[UInt8]>],
        since begin: UInt64
    ) throws(IndexError) {
        try mutate(.commit) { shared throws(IndexError) in
            var state = shared.states[shared.states.count - 1]
            for (table, keys) in reads {
                let writes = shared.lastWrites[table, default: [:]]
                guard keys.allSatisfy({ writes[$0, default: 0] <= begin }) else {
                    throw IndexError(.conflict, "a row that the transaction read has changed")
                }
            }
            for (table, keys) in changes {
                var tree = state[table] ?? OrderedTree()
                for (key, change) in keys {
                    tree.set(key, try change.applied(to: tree[key]))
                }
                state[table] = tree
            }
            shared.version += 1
            for (table, keys) in changes {
                for key in keys.keys {
                    shared.lastWrites[table, default: [:]][key] = shared.version
                }
            }
            shared.states.append(state)
        }
    }

    // MARK: -

    private func observed<R>(
        _ operation: Operation, _ body: () throws(IndexError) -> R
    ) throws(IndexError) -> R {
        let observer = shared.withLock { $0.observer }
        observer?(operation, .before)
        defer { observer?(operation, .after) }
        return try body()
    }

    private var names: [String] { tables.sorted { $0.value < $1.value }.map(\.key) }

    private func view(_ operation: Operation) throws(IndexError) -> InMemoryView {
        try shared.withLock { shared throws(IndexError) in
            if shared.isClosed { throw IndexError(.closed, "the index is closed") }
            if let error = shared.fault?(operation) { throw error }
            return InMemoryView(
                self, shared.states[shared.states.count - 1], version: shared.version)
        }
    }

    /// Runs a write, unless there is a reason against it.
    ///
    /// Failures of the disk latch; a full disk only as long as it is full.
    private func mutate(
        _ operation: Operation, _ body: (inout Shared) throws(IndexError) -> Void
    ) throws(IndexError) {
        try shared.withLock { shared throws(IndexError) in
            if shared.isClosed { throw IndexError(.closed, "the index is closed") }
            if let failure = shared.failure { throw failure }
            if let error = shared.fault?(operation) {
                if ![.conflict, .outOfSpace].contains(error.code) { shared.failure = error }
                throw error
            }
            try body(&shared)
        }
    }

    // One round of SplitMix64: neighbouring seeds give unrelated numbers.
    private static func mix(_ seed: UInt64) -> UInt64 {
        var bits = seed &+ 0x9E37_79B9_7F4A_7C15
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}

/// A change that a transaction holds back.
private enum InMemoryChange {
    case set([UInt8]?)
    case add(Int64)

    func applied(to value: [UInt8]?) throws(IndexError) -> [UInt8]? {
        switch self {
        case .set(let value): value
        case .add(let delta): try Counter.adding(delta, to: value)
        }
    }
}

/// A state of an ``InMemoryIndex`` that no commit changes.
private final class InMemoryView: IndexSnapshot {
    let index: InMemoryIndex
    let state: [String: OrderedTree]
    let version: UInt64

    init(_ index: InMemoryIndex, _ state: [String: OrderedTree], version: UInt64) {
        self.index = index
        self.state = state
        self.version = version
    }

    func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        try index.checkOpen()
        try index.check(table)
        try checkLength(key)
        return state[table.name]?[key]
    }

    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(IndexError) -> [[UInt8]?] {
        try index.check(table)
        return try keys.map { key throws(IndexError) in try get(table, key) }
    }

    func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        try index.checkOpen()
        try index.check(table)
        guard limit > 0 else { return [] }
        var entries: [IndexEntry] = []
        state[table.name]?.visit(from: from, before: before) { key, value in
            entries.append(IndexEntry(key: key, value: value))
            return entries.count < limit
        }
        return entries
    }
}

private func checkLength(_ key: [UInt8]) throws(IndexError) {
    guard (1...IndexLimits.keyByteCountMax).contains(key.count) else {
        throw IndexError(.limitExceeded, "a key of \(key.count) bytes")
    }
}

/// A transaction of an ``InMemoryIndex``.
///
/// Remembers exactly what it has read, and writes through a private copy of the state; shares no
/// code with the real index, so that the two can be tested against each other.
private final class InMemoryTransaction: IndexTransaction {
    private let view: InMemoryView
    private var own: [String: OrderedTree]
    private var reads: [String: Set<[UInt8]>] = [:]
    private var changes: [String: [[UInt8]: InMemoryChange]] = [:]
    private var byteCount = 0
    // Additions to rows that are no counters. Told only when they are read or committed.
    private var refusals: [String: [[UInt8]: IndexError]] = [:]
    private var isEnded = false

    init(_ view: InMemoryView) {
        self.view = view
        own = view.state
    }

    func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        try checkLive()
        let stored = try view.get(table, key)
        if case .set(let value) = changes[table.name]?[key] { return value }
        reads[table.name, default: []].insert(key)
        return try changes[table.name]?[key]?.applied(to: stored) ?? stored
    }

    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(IndexError) -> [[UInt8]?] {
        try checkLive()
        try view.index.check(table)
        return try keys.map { key throws(IndexError) in try get(table, key) }
    }

    func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        try checkLive()
        let entries = try InMemoryView(view.index, own, version: 0).scan(
            table, from: from, before: before, limit: limit)
        for entry in entries {
            if let refusal = refusals[table.name]?[entry.key] { throw refusal }
        }
        return entries
    }

    func put(_ table: IndexTable, _ key: [UInt8], _ value: [UInt8]) throws(IndexError) {
        guard value.count <= IndexLimits.valueByteCountMax else {
            throw IndexError(.limitExceeded, "a value of \(value.count) bytes")
        }
        try write(table, key, .set(value), byteCount: value.count)
    }

    func delete(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) {
        try write(table, key, .set(nil), byteCount: 0)
    }

    func add(_ table: IndexTable, _ key: [UInt8], _ delta: Int64) throws(IndexError) {
        switch changes[table.name]?[key] {
        case .set(let value):
            let sum = try Counter.adding(delta, to: value)
            try write(table, key, .set(sum), byteCount: sum.count)
        case .add(let before):
            let sum = try Counter.sum(before, delta)
            try write(table, key, .add(sum), byteCount: Counter.byteCount)
        case nil:
            try write(table, key, .add(delta), byteCount: Counter.byteCount)
        }
    }

    func commit() throws(IndexError) {
        try checkLive()
        isEnded = true
        guard !changes.isEmpty else { return try view.index.checkOpen() }
        try view.index.commit(changes, reads: reads, since: view.version)
    }

    func rollback() { isEnded = true }

    // MARK: -

    private func checkLive() throws(IndexError) {
        guard !isEnded else { throw IndexError(.closed, "the transaction has ended") }
    }

    private func write(
        _ table: IndexTable, _ key: [UInt8], _ change: InMemoryChange, byteCount more: Int
    ) throws(IndexError) {
        try checkLive()
        try view.index.check(table)
        try checkLength(key)
        byteCount += key.count + more
        guard byteCount <= IndexLimits.transactionByteCountMax else {
            throw IndexError(.limitExceeded, "a transaction writes too much")
        }
        changes[table.name, default: [:]][key] = change
        refusals[table.name]?[key] = nil
        do throws(IndexError) {
            let value = try change.applied(to: view.state[table.name]?[key])
            own[table.name, default: OrderedTree()].set(key, value)
        } catch {
            refusals[table.name, default: [:]][key] = error
        }
    }
}
