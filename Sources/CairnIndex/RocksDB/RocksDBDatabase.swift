// Part of Cairn, a content-addressed blob store.
internal import CRocksDB

/// An open database: every call of the C interface that touches data, and no policy.
///
/// Owns the database, its tables and its snapshots; its end closes them, so nobody may hold on to
/// it beyond the gate of ``RocksDBIndex``. Thread-safe, as RocksDB is. Tables are known by number,
/// in the order in which they were given to `open`.
@safe final class RocksDBDatabase: @unchecked Sendable {
    // Unchecked: the handles never change, and "all functions are thread-safe" except those of
    // iterators and batches (rocksdb/c.h), which never leave a call.
    private let database: OpaquePointer
    private let tables: [OpaquePointer]
    private let latest = RocksDBReadOptions()
    private let unsynced: OpaquePointer
    private let path: String

    /// Opens an existing database, or a new one if the options allow it.
    init(
        path: String, tables: [IndexTable], options: borrowing RocksDBOptions
    ) throws(IndexError) {
        let names = [RocksDBOptions.defaultTable.name] + tables.map(\.name)
        var handles = unsafe [OpaquePointer?](repeating: nil, count: names.count)
        var message: RocksDBMessage?
        let database = unsafe Self.open(path, names, options, &handles, &message)
        try unsafe check(message, "open the index at \(path)")
        guard let database = unsafe database else {
            throw IndexError(.io, "can't open the index at \(path)")
        }
        unsafe self.database = database
        unsafe self.tables = unsafe handles.compactMap { unsafe $0 }
        unsafe unsynced = rocksdb_writeoptions_create()
        self.path = path
    }

    deinit {
        unsafe rocksdb_writeoptions_destroy(unsynced)
        unsafe tables.forEach { unsafe rocksdb_column_family_handle_destroy($0) }
        unsafe rocksdb_close(database)
    }

    /// The names of the tables of a database that is not open.
    ///
    /// Changes nothing on disk.
    static func tableNames(path: String) throws(IndexError) -> [String] {
        let options = unsafe rocksdb_options_create()
        defer { unsafe rocksdb_options_destroy(options) }
        var count = 0
        var message: RocksDBMessage?
        let names = unsafe rocksdb_list_column_families(options, path, &count, &message)
        try unsafe check(message, "list the tables of the index at \(path)")
        guard let names = unsafe names else { return [] }
        defer { unsafe rocksdb_list_column_families_destroy(names, count) }
        return (0..<count).compactMap { number in
            unsafe names[number].map { unsafe String(cString: $0) }
        }
    }

    // MARK: - Reading

    /// A snapshot.
    ///
    /// Whoever takes it must release it before the database ends.
    func makeSnapshot() -> RocksDBSnapshotHandle? {
        unsafe rocksdb_create_snapshot(database).map { unsafe RocksDBSnapshotHandle(pointer: $0) }
    }

    /// Gives up a snapshot.
    func release(_ snapshot: RocksDBSnapshotHandle) {
        unsafe rocksdb_release_snapshot(database, snapshot.pointer)
    }

    /// The value of a key, on the latest state unless a snapshot's options are given.
    func get(
        _ table: Int, _ key: [UInt8], _ options: RocksDBReadOptions? = nil
    ) throws(IndexError) -> [UInt8]? {
        var message: RocksDBMessage?
        let slice = unsafe key.withChars { start, count in
            unsafe rocksdb_get_pinned_cf(
                database, (options ?? latest).pointer, handle(table), start, count, &message)
        }
        try unsafe check(message, "read a row of the index at \(path)")
        return unsafe Self.takeValue(slice)
    }

    /// The values of several keys.
    func getMany(
        _ table: Int, _ keys: some RandomAccessCollection<[UInt8]>,
        _ options: RocksDBReadOptions? = nil
    ) throws(IndexError) -> [[UInt8]?] {
        var values: [[UInt8]?] = []
        values.reserveCapacity(keys.count)
        var rest = keys[...]
        while !rest.isEmpty {
            let batch = rest.prefix(Self.batchKeyCountMax)
            try getBatch(table, batch, options ?? latest, into: &values)
            rest = rest.dropFirst(batch.count)
        }
        return values
    }

    /// The first rows of a range.
    func scan(
        _ table: Int, from: [UInt8], before: [UInt8]?, limit: Int,
        _ snapshot: RocksDBSnapshotHandle? = nil
    ) throws(IndexError) -> [IndexEntry] {
        guard limit > 0 else { return [] }
        let options = RocksDBReadOptions(snapshot, before: before)
        let rows = unsafe RocksDBIterator(
            rocksdb_create_iterator_cf(database, options.pointer, handle(table)))
        var entries: [IndexEntry] = []
        rows.seek(from)
        while entries.count < limit, let entry = rows.entry {
            entries.append(entry)
            rows.next()
        }
        try rows.checkStatus("scan the index at \(path)")
        return entries
    }

    /// Removes the files of a database and its directory.
    static func destroy(_ path: String) throws(IndexError) {
        let options = unsafe rocksdb_options_create()
        defer { unsafe rocksdb_options_destroy(options) }
        var message: RocksDBMessage?
        unsafe rocksdb_destroy_db(options, path, &message)
        try unsafe check(message, "remove the index at \(path)")
    }

    // MARK: - Writing

    /// Applies a batch: to memory and to the log, which is not synced.
    func write(_ batch: borrowing RocksDBBatch) throws(IndexError) {
        var message: RocksDBMessage?
        unsafe rocksdb_write(database, unsynced, batch.pointer, &message)
        try unsafe check(message, "commit to the index at \(path)")
    }

    /// Adds changes of a table to a batch.
    func append(
        _ change: PendingChange, _ table: Int, _ key: [UInt8], to batch: borrowing RocksDBBatch
    ) {
        switch change {
        case .put(let value): unsafe batch.put(handle(table), key, value)
        case .delete: unsafe batch.delete(handle(table), key)
        case .add: assertionFailure("sums are worked out before they are written")
        }
    }

    /// Makes everything written so far durable.
    func syncLog() throws(IndexError) {
        var message: RocksDBMessage?
        unsafe rocksdb_flush_wal(database, 1, &message)
        try unsafe check(message, "sync the index at \(path)")
    }

    /// Moves everything in memory to files; with `wait`, they are there on return.
    ///
    /// Does nothing for a table while RocksDB holds back writes to it: try again later.
    ///
    /// - Returns: whether all tables were flushed.
    func flush(wait: Bool) throws(IndexError) -> Bool {
        let options = unsafe rocksdb_flushoptions_create()
        defer { unsafe rocksdb_flushoptions_destroy(options) }
        unsafe rocksdb_flushoptions_set_wait(options, wait ? 1 : 0)
        var isComplete = true
        for number in unsafe tables.indices {
            let table = unsafe tables[number]
            var message: RocksDBMessage?
            unsafe rocksdb_flush_cf(database, options, table, &message)
            guard let message = unsafe message else { continue }
            let status = unsafe takeStatus(message)
            guard status.contains("Try again") else {
                throw indexError(status, "flush the index at \(path)")
            }
            isComplete = false
        }
        return isComplete
    }

    // MARK: - Maintenance

    /// Rewrites all files of all tables without what was replaced or deleted.
    func compact() {
        for number in unsafe tables.indices {
            let table = unsafe tables[number]
            unsafe rocksdb_compact_range_cf(database, table, nil, 0, nil, 0)
        }
    }

    /// Rewrites the files that hold rows of a range, down to the last level.
    func purge(_ table: Int, _ prefix: [UInt8]) {
        let options = unsafe rocksdb_compactoptions_create()
        defer { unsafe rocksdb_compactoptions_destroy(options) }
        // 2 is `BottommostLevelCompaction::kForce` (`rocksdb/options.h`): a file that is there
        // already is written anew as well, for it may hold what newer ones have replaced.
        unsafe rocksdb_compactoptions_set_bottommost_level_compaction(options, 2)
        unsafe rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0)
        let end = firstKey(behindPrefix: prefix)
        unsafe prefix.withChars { start, count in
            unsafe (end ?? []).withChars { limit, limitCount in
                unsafe rocksdb_compact_range_cf_opt(
                    database, handle(table), options, count == 0 ? nil : start, count,
                    end == nil ? nil : limit, limitCount)
            }
        }
    }

    /// Removes files that nothing needs, which RocksDB else does when it has time.
    func removeObsoleteFiles() throws(IndexError) {
        var message: RocksDBMessage?
        unsafe rocksdb_disable_file_deletions(database, &message)
        try unsafe check(message, "remove files of the index at \(path)")
        // Allowing deletions again looks for all files there are, and removes them before it
        // returns.
        unsafe rocksdb_enable_file_deletions(database, 0, &message)
        try unsafe check(message, "remove files of the index at \(path)")
    }

    /// Writes a copy that can be opened on its own.
    func checkpoint(to target: String) throws(IndexError) {
        var message: RocksDBMessage?
        let checkpoint = unsafe rocksdb_checkpoint_object_create(database, &message)
        try unsafe check(message, "prepare a checkpoint of the index at \(path)")
        defer { unsafe rocksdb_checkpoint_object_destroy(checkpoint) }
        unsafe rocksdb_checkpoint_create(checkpoint, target, 0, &message)
        try unsafe check(message, "write a checkpoint to \(target)")
    }

    /// The sum over all tables of a numeric property (`rocksdb/db.h`, `DB::Properties`).
    func sum(_ property: String) -> UInt64 {
        unsafe tables.reduce(0) { sum, table in
            var value: UInt64 = 0
            let result = unsafe rocksdb_property_int_cf(database, table, property, &value)
            return result == 0 ? sum &+ value : sum
        }
    }

    /// A numeric property that all tables share.
    func value(_ property: String) -> UInt64 {
        var value: UInt64 = 0
        return unsafe rocksdb_property_int(database, property, &value) == 0 ? value : 0
    }

    // MARK: -

    // Bounds the stack that a batch takes. RocksDB cuts it into batches of 32 itself.
    private static let batchKeyCountMax = 128

    // The table that every database has comes first.
    @inline(__always)
    private func handle(_ table: Int) -> OpaquePointer { unsafe tables[table + 1] }

    private static func open(
        _ path: String, _ names: [String], _ options: borrowing RocksDBOptions,
        _ handles: inout [OpaquePointer?], _ message: inout RocksDBMessage?
    ) -> OpaquePointer? {
        // One buffer of all names, each with its zero, and pointers into it.
        let text = names.flatMap { $0.utf8CString }
        var offsets: [Int] = []
        var end = 0
        for name in names {
            offsets.append(end)
            end += name.utf8.count + 1
        }
        return unsafe text.withUnsafeBufferPointer { text in
            let starts = unsafe offsets.map { offset -> UnsafePointer<CChar>? in
                unsafe text.baseAddress.map { unsafe $0 + offset }
            }
            let tables = unsafe options.tables.map { table -> OpaquePointer? in unsafe table }
            return unsafe rocksdb_open_column_families(
                options.database, path, CInt(names.count), starts, tables, &handles, &message)
        }
    }

    private func getBatch(
        _ table: Int, _ keys: some RandomAccessCollection<[UInt8]>, _ options: RocksDBReadOptions,
        into values: inout [[UInt8]?]
    ) throws(IndexError) {
        // Arrays lend their bytes one closure at a time, so the keys are gathered in one buffer.
        let bytes = Array(keys.joined())
        let byteCounts = keys.map(\.count)
        var slices = unsafe [OpaquePointer?](repeating: nil, count: keys.count)
        var messages = unsafe [RocksDBMessage?](repeating: nil, count: keys.count)
        unsafe bytes.withChars { start, _ in
            var offset = 0
            let starts = unsafe byteCounts.map { byteCount -> UnsafePointer<CChar>? in
                defer { offset += byteCount }
                return unsafe start.map { unsafe $0 + offset }
            }
            unsafe rocksdb_batched_multi_get_cf(
                database, options.pointer, handle(table), keys.count, starts, byteCounts, &slices,
                &messages, false)
        }
        for number in unsafe slices.indices {
            unsafe values.append(Self.takeValue(slices[number]))
        }
        let failures = unsafe messages.compactMap { unsafe $0.map { unsafe takeStatus($0) } }
        if let failure = failures.first {
            throw indexError(failure, "read rows of the index at \(path)")
        }
    }

    @inline(__always)
    private static func takeValue(_ slice: OpaquePointer?) -> [UInt8]? {
        guard let slice = unsafe slice else { return nil }
        defer { unsafe rocksdb_pinnableslice_destroy(slice) }
        var count = 0
        let start = unsafe rocksdb_pinnableslice_value(slice, &count)
        return unsafe copyBytes(start, count)
    }
}
