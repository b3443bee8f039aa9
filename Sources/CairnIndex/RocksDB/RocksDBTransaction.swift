// Part of Cairn, a content-addressed blob store.

/// A consistent view of a ``RocksDBIndex``.
///
/// Thread-safe.
final class RocksDBSnapshot: IndexSnapshot {
    private let index: RocksDBIndex
    private let view: RocksDBView

    init(index: RocksDBIndex, view: RocksDBView) {
        self.index = index
        self.view = view
    }

    func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        let table = try index.number(of: table)
        try checkKey(key)
        return try view.engine.withDatabase { database throws(IndexError) in
            try database.get(table, key, view.options)
        }
    }

    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(IndexError) -> [[UInt8]?] {
        let table = try index.number(of: table)
        for key in keys { try checkKey(key) }
        return try view.engine.withDatabase { database throws(IndexError) in
            try database.getMany(table, keys, view.options)
        }
    }

    func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        let table = try index.number(of: table)
        return try view.engine.withDatabase { database throws(IndexError) in
            try database.scan(table, from: from, before: before, limit: limit, view.snapshot)
        }
    }
}

/// A transaction of a ``RocksDBIndex``.
///
/// Used by one thread at a time.
final class RocksDBTransaction: IndexTransaction {
    private let index: RocksDBIndex
    // Nil when the transaction has ended.
    private var view: RocksDBView?
    private var writes = PendingWrites()
    private var reads: [CommitWindow.Fingerprint] = []

    init(index: RocksDBIndex, view: RocksDBView) {
        self.index = index
        self.view = view
    }

    // MARK: - Reading

    func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        let (view, table) = try prepare(table)
        try checkKey(key)
        let change = writes[table, key]
        if let change, writes.hides(table, key) {
            return try PendingWrites.apply(change, to: nil)
        }
        reads.append(CommitWindow.fingerprint(table, key))
        let stored = try view.engine.withDatabase { database throws(IndexError) in
            try database.get(table, key, view.options)
        }
        guard let change else { return stored }
        return try PendingWrites.apply(change, to: stored)
    }

    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(IndexError) -> [[UInt8]?] {
        let (view, number) = try prepare(table)
        for key in keys { try checkKey(key) }
        // A row that this transaction has itself replaced or removed is not read underneath.
        let isTouched = writes.touches(number)
        let unknown = isTouched ? keys.filter { !writes.hides(number, $0) } : keys
        reads.reserveCapacity(reads.count + unknown.count)
        for key in unknown { reads.append(CommitWindow.fingerprint(number, key)) }
        let stored = try view.engine.withDatabase { database throws(IndexError) in
            try database.getMany(number, unknown, view.options)
        }
        guard isTouched else { return stored }
        var next = stored.makeIterator()
        return try keys.map { key throws(IndexError) in
            guard let change = writes[number, key] else { return next.next() ?? nil }
            let value = writes.hides(number, key) ? nil : next.next() ?? nil
            return try PendingWrites.apply(change, to: value)
        }
    }

    func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        let (view, table) = try prepare(table)
        return try view.engine.withDatabase { database throws(IndexError) in
            try writes.scan(table, from: from, before: before, limit: limit) {
                limit throws(IndexError) in
                try database.scan(table, from: from, before: before, limit: limit, view.snapshot)
            }
        }
    }

    // MARK: - Writing

    func put(_ table: IndexTable, _ key: [UInt8], _ value: [UInt8]) throws(IndexError) {
        let (_, table) = try prepare(table)
        try checkKey(key)
        try writes.put(table, key, value)
    }

    func delete(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) {
        let (_, table) = try prepare(table)
        try checkKey(key)
        try writes.delete(table, key)
    }

    func add(_ table: IndexTable, _ key: [UInt8], _ delta: Int64) throws(IndexError) {
        let (_, table) = try prepare(table)
        try checkKey(key)
        try writes.add(table, key, delta)
    }

    func commit() throws(IndexError) {
        let view = try liveView()
        // Ended whatever comes; the snapshot goes now, not when the caller forgets this object.
        self.view = nil
        guard !writes.isEmpty else { return try view.engine.withDatabase { _ in } }
        try view.engine.commit(writes, reads: reads, since: view.version)
    }

    func rollback() { view = nil }

    // MARK: -

    private func liveView() throws(IndexError) -> RocksDBView {
        guard let view else { throw IndexError(.closed, "the transaction has ended") }
        return view
    }

    private func prepare(_ table: IndexTable) throws(IndexError) -> (RocksDBView, Int) {
        (try liveView(), try index.number(of: table))
    }
}
