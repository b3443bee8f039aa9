// Part of Cairn, a content-addressed blob store.

/// An index in RocksDB files on this machine.
///
/// Transactions are optimistic: they read a snapshot, hold their writes back, and are validated
/// when they commit, one at a time, against what was committed since they began
/// (``CommitWindow``). Commits go to RocksDB's log, which ``sync()`` makes durable. Thread-safe.
public final class RocksDBIndex: Index {
    let engine: RocksDBEngine
    private let tables: [String: Int]

    init(engine: RocksDBEngine, tables: [String: Int]) {
        self.engine = engine
        self.tables = tables
    }

    /// Opens the index at a path, or creates it there if the configuration says so.
    ///
    /// A table that the files do not have yet is created, empty.
    ///
    /// - Parameter path: a directory of its own. Its parent exists.
    /// - Parameter tables: all tables of the index.
    /// - Throws: ``IndexError`` with code
    ///   `notFound` (no such index, and none was to be created),
    ///   `corrupted` (files are missing or damaged; nothing was changed),
    ///   `unsupportedVersion` (the files have a table that is not among `tables`),
    ///   `locked`, `outOfSpace`, `readOnly`, `io`, `invalidArgument`.
    public static func open(
        path: String, tables: [IndexTable], configuration: RocksDBConfiguration = .init()
    ) throws(IndexError) -> RocksDBIndex {
        try RocksDBOpening(path: path, tables: tables, configuration: configuration).run()
    }

    /// Removes the index at a path, open or not; does nothing where there is none.
    ///
    /// - Throws: ``IndexError`` with code `io`.
    public static func destroy(path: String) throws(IndexError) {
        try RocksDBDatabase.destroy(path)
    }

    // MARK: - Reading

    /// The value of a key.
    ///
    /// See ``IndexReader``.
    public func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        let table = try number(of: table)
        try checkKey(key)
        return try engine.withDatabase { database throws(IndexError) in
            try database.get(table, key)
        }
    }

    /// The values of several keys.
    ///
    /// See ``IndexReader``.
    public func getMany(
        _ table: IndexTable, _ keys: [[UInt8]]
    ) throws(IndexError) -> [[UInt8]?] {
        let table = try number(of: table)
        for key in keys { try checkKey(key) }
        return try engine.withDatabase { database throws(IndexError) in
            try database.getMany(table, keys)
        }
    }

    /// The first rows of a range.
    ///
    /// See ``IndexReader``.
    public func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        let table = try number(of: table)
        return try engine.withDatabase { database throws(IndexError) in
            try database.scan(table, from: from, before: before, limit: limit)
        }
    }

    /// A consistent view as of now.
    ///
    /// See ``Index``.
    public func snapshot() throws(IndexError) -> any IndexSnapshot {
        RocksDBSnapshot(index: self, view: try engine.makeView())
    }

    /// Starts a transaction.
    ///
    /// See ``Index``.
    public func begin() throws(IndexError) -> any IndexTransaction {
        RocksDBTransaction(index: self, view: try engine.makeView())
    }

    // MARK: - Durability

    /// Makes earlier commits durable.
    ///
    /// See ``Index``.
    public func sync() throws(IndexError) { try engine.sync() }

    /// Fails while an earlier failure stands.
    ///
    /// See ``Index``.
    public func checkWritable() throws(IndexError) { try engine.checkWritable() }

    /// Syncs and closes.
    ///
    /// See ``Index``.
    public func close() throws(IndexError) { try engine.close() }

    /// Writes a durable copy.
    ///
    /// See ``Index``.
    public func checkpoint(to path: String) throws(IndexError) {
        try engine.checkpoint(to: path)
    }

    // MARK: - Maintenance

    /// Bytes on disk, about: table files and the log.
    public func approximateByteCount() throws(IndexError) -> UInt64 {
        try statistics().byteCount
    }

    /// Figures for operators.
    ///
    /// See ``Index``.
    public func statistics() throws(IndexError) -> IndexStatistics { try engine.statistics() }

    /// Flushes, then rewrites all files without the rows that were replaced or deleted.
    ///
    /// Takes as long as reading and writing the whole index; others go on meanwhile.
    public func compact() throws(IndexError) { try engine.compact() }

    /// Removes what deleted and replaced rows have left.
    ///
    /// See ``Index``.
    public func purge(_ prefixes: [IndexPrefix]) throws(IndexError) -> Bool {
        var ranges: [(table: Int, prefix: [UInt8])] = []
        for prefix in prefixes { ranges.append((try number(of: prefix.table), prefix.bytes)) }
        return try engine.purge(ranges)
    }

    // MARK: - For snapshots and transactions

    /// The number under which the engine knows a table.
    func number(of table: IndexTable) throws(IndexError) -> Int {
        guard let number = tables[table.name] else {
            throw IndexError(
                .invalidArgument, "the index was opened without a table named \(table.name)")
        }
        return number
    }
}

/// Throws unless the length of a key is within limits.
@inline(__always)
func checkKey(_ key: [UInt8]) throws(IndexError) {
    if (1...IndexLimits.keyByteCountMax).contains(key.count) { return }
    throw IndexError(
        .limitExceeded,
        "a key has 1 to \(IndexLimits.keyByteCountMax) bytes, this one \(key.count)")
}
