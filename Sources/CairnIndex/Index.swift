// Part of Cairn, a content-addressed blob store.

/// Reads of rows, on the latest state, on a snapshot or inside a transaction.
///
/// Every call blocks its thread: run it on a thread that may block. All of them throw `closed`
/// after the index was closed, `corrupted` when stored bytes fail their checksum (never wrong
/// bytes), `invalidArgument` for a table the index was not opened with, and `io`.
public protocol IndexReader {
    /// The value of a key, or nil when there is no such row.
    func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]?

    /// The values of several keys, in the order of the keys.
    ///
    /// Much cheaper than as many calls of `get`, above all for keys in ascending order.
    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(IndexError) -> [[UInt8]?]

    /// The first rows of a range, in ascending byte order of their keys.
    ///
    /// For the next page, scan from the last key with a zero byte appended.
    ///
    /// - Parameter from: the first key that may be returned; empty means the start of the table.
    /// - Parameter before: the first key beyond the range; nil means the end of the table.
    /// - Parameter limit: most rows to return; zero or less returns none.
    func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry]
}

extension IndexReader {
    /// The first rows whose keys begin with a prefix, in ascending byte order.
    ///
    /// - Parameter after: a key with this prefix; only rows behind it are returned. Nil for all.
    public func scan(
        _ table: IndexTable, prefix: [UInt8], after: [UInt8]? = nil, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        // Key + 0x00 is the very next key in byte order.
        let from = after.map { $0 + [0] } ?? prefix
        return try scan(table, from: from, before: firstKey(behindPrefix: prefix), limit: limit)
    }
}

/// Ordered tables of rows with snapshot reads and serialisable transactions.
///
/// Thread-safe. A committed transaction is visible at once and durable after the next ``sync()``.
/// After a crash exactly a prefix of the commits is left, at least all that were synced.
///
/// After a failed write or sync the index latches: reads go on, commits and syncs throw the same
/// error until the index is opened again.
public protocol Index: IndexReader, Sendable {
    /// A consistent view of all tables as of now, unmoved by later commits.
    ///
    /// It keeps deleted and replaced rows on disk while it lives: let go of it soon.
    func snapshot() throws(IndexError) -> any IndexSnapshot

    /// Starts a transaction, which sees the index as of now.
    func begin() throws(IndexError) -> any IndexTransaction

    /// Makes every transaction committed before the call durable.
    ///
    /// Concurrent callers share the work.
    func sync() throws(IndexError)

    /// Fails as the next commit would for an earlier failure. An index that cannot tell without a
    /// sync does one; that is the default.
    func checkWritable() throws(IndexError)

    /// Syncs and closes. Waits for calls under way; snapshots and transactions left over are dead.
    ///
    /// Throws what the last sync throws; the index is closed even then. A second call does nothing.
    func close() throws(IndexError)

    /// Bytes on disk, about.
    func approximateByteCount() throws(IndexError) -> UInt64

    /// Removes from files and logs what deleted and replaced rows have left there, in the rows
    /// whose keys begin with these prefixes. Durable on return.
    ///
    /// For secrets that must not outlive their row. Costs a flush and the rewriting of the files
    /// that hold such rows; commits wait. Copies made by ``checkpoint(to:)`` are others' business.
    ///
    /// - Returns: false when there were open snapshots or transactions: what those see stays. Call
    ///   again when they are gone.
    func purge(_ prefixes: [IndexPrefix]) throws(IndexError) -> Bool

    /// Writes a consistent, durable copy of the index that can be opened on its own.
    ///
    /// - Parameter path: where no file exists yet, on the same file system.
    func checkpoint(to path: String) throws(IndexError)

    /// Figures for operators.
    func statistics() throws(IndexError) -> IndexStatistics
}

extension Index {
    /// Syncs.
    public func checkWritable() throws(IndexError) { try sync() }
}

/// The rows of a table whose keys begin alike.
public struct IndexPrefix: Hashable, Sendable {
    /// The table.
    public var table: IndexTable
    /// What the keys begin with; empty means all rows.
    public var bytes: [UInt8]

    /// Names the rows.
    public init(_ table: IndexTable, _ bytes: [UInt8]) {
        self.table = table
        self.bytes = bytes
    }
}

/// A consistent view of all tables as of one moment.
///
/// Thread-safe.
public protocol IndexSnapshot: IndexReader, AnyObject, Sendable {}

/// Reads and writes that take effect together or not at all.
///
/// Used by one thread at a time. Ends with ``commit()`` or ``rollback()``; letting go of it rolls
/// it back. Every later call throws `closed`.
///
/// Reads see the index as of ``Index/begin()`` and the transaction's own writes. What `get` and
/// `getMany` read, absent rows included, is validated by `commit`: transactions are serialisable as
/// long as they decide upon those. A `scan` is not validated: a row that someone adds to the range
/// meanwhile goes unnoticed. Read a guard row with `get` where that matters. A transaction without
/// writes never conflicts.
public protocol IndexTransaction: AnyObject, IndexReader {
    /// Sets the value of a key, whether the row exists or not.
    func put(_ table: IndexTable, _ key: [UInt8], _ value: [UInt8]) throws(IndexError)

    /// Removes a row, if it exists.
    func delete(_ table: IndexTable, _ key: [UInt8]) throws(IndexError)

    /// Adds to a counter: a row of eight bytes, signed and little-endian.
    ///
    /// An absent row counts as zero. Additions by several transactions do not conflict with each
    /// other. `commit` (and a `get`
    /// behind this call) throws `invalidArgument` when the row has another length, and
    /// `limitExceeded` when the sum overflows.
    func add(_ table: IndexTable, _ key: [UInt8], _ delta: Int64) throws(IndexError)

    /// Makes the writes visible, all at once; durable after ``Index/sync()``.
    ///
    /// - Throws: ``IndexError`` with code `conflict` when a row that this transaction read was
    ///   changed since it began: nothing happened, run it again. The transaction has ended anyway.
    func commit() throws(IndexError)

    /// Ends the transaction without a trace.
    func rollback()
}

/// Figures about an index, all approximate.
public struct IndexStatistics: Hashable, Sendable {
    /// Rows in all tables.
    public var entryCount: UInt64
    /// Bytes of files on disk, the log included.
    public var byteCount: UInt64
    /// Bytes of rows that are only in memory and in the log.
    public var unflushedByteCount: UInt64
    /// Bytes of memory held by caches of stored rows.
    public var cacheByteCount: UInt64
    /// Bytes that background work has yet to rewrite.
    public var pendingCompactionByteCount: UInt64
    /// Failures of background work since the index was opened.
    public var backgroundErrorCount: UInt64

    /// All zero.
    public init() {
        entryCount = 0
        byteCount = 0
        unflushedByteCount = 0
        cacheByteCount = 0
        pendingCompactionByteCount = 0
        backgroundErrorCount = 0
    }
}

/// The smallest key greater than every key with this prefix; nil when there is none.
package func firstKey(behindPrefix prefix: [UInt8]) -> [UInt8]? {
    guard let last = prefix.lastIndex(where: { $0 != 0xFF }) else { return nil }
    var key = Array(prefix[...last])
    key[last] += 1
    return key
}
