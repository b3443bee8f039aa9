// Part of Cairn, a content-addressed blob store.
internal import CRocksDB

/// A pinned moment of a database.
///
/// The database takes it back with `release`.
@safe struct RocksDBSnapshotHandle: @unchecked Sendable {
    // Unchecked: the handle is never written through, and RocksDB's snapshots may be shared.
    let pointer: OpaquePointer
}

/// How to read: on the latest state or on a snapshot, and up to which key.
///
/// Thread-safe once made, as RocksDB only reads it.
@safe final class RocksDBReadOptions: @unchecked Sendable {
    // Unchecked: nothing is set after the initialiser. Checksums are verified by default.
    let pointer: OpaquePointer
    // RocksDB keeps a pointer to the bound, not a copy of it.
    private let bound: UnsafeMutableBufferPointer<CChar>?

    init(_ snapshot: RocksDBSnapshotHandle? = nil, before: [UInt8]? = nil) {
        unsafe pointer = rocksdb_readoptions_create()
        if let snapshot { unsafe rocksdb_readoptions_set_snapshot(pointer, snapshot.pointer) }
        guard let before else {
            unsafe bound = nil
            return
        }
        let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: before.count)
        unsafe before.withChars { start, count in
            unsafe _ = copy.initialize(from: UnsafeBufferPointer(start: start, count: count))
        }
        unsafe rocksdb_readoptions_set_iterate_upper_bound(
            pointer, UnsafePointer(copy.baseAddress), before.count)
        unsafe bound = copy
    }

    deinit {
        unsafe rocksdb_readoptions_destroy(pointer)
        unsafe bound?.deallocate()
    }
}

/// A set of writes that take effect together.
///
/// Owned by one commit.
@safe struct RocksDBBatch: ~Copyable {
    let pointer: OpaquePointer

    init() { unsafe pointer = rocksdb_writebatch_create() }

    deinit { unsafe rocksdb_writebatch_destroy(pointer) }

    func put(_ table: OpaquePointer, _ key: [UInt8], _ value: [UInt8]) {
        unsafe key.withChars { key, keyCount in
            unsafe value.withChars { value, valueCount in
                unsafe rocksdb_writebatch_put_cf(pointer, table, key, keyCount, value, valueCount)
            }
        }
    }

    func delete(_ table: OpaquePointer, _ key: [UInt8]) {
        unsafe key.withChars { key, keyCount in
            unsafe rocksdb_writebatch_delete_cf(pointer, table, key, keyCount)
        }
    }
}

/// A position in the rows of a table.
///
/// Never leaves the call that made it; owns its handle.
@safe struct RocksDBIterator: ~Copyable {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe rocksdb_iter_destroy(pointer) }

    /// Moves to the first row at or behind a key.
    func seek(_ key: [UInt8]) {
        unsafe key.withChars { start, count in unsafe rocksdb_iter_seek(pointer, start, count) }
    }

    /// Moves to the next row.
    ///
    /// Only while there is an entry.
    func next() { unsafe rocksdb_iter_next(pointer) }

    /// The row here; nil at the end, or after a failure: see `checkStatus`.
    var entry: IndexEntry? {
        guard unsafe rocksdb_iter_valid(pointer) != 0 else { return nil }
        var keyCount = 0
        var valueCount = 0
        let key = unsafe rocksdb_iter_key(pointer, &keyCount)
        let value = unsafe rocksdb_iter_value(pointer, &valueCount)
        return IndexEntry(
            key: unsafe copyBytes(key, keyCount), value: unsafe copyBytes(value, valueCount))
    }

    /// Throws what ended the walk early.
    func checkStatus(_ attempt: @autoclosure () -> String) throws(IndexError) {
        var message: RocksDBMessage?
        unsafe rocksdb_iter_get_error(pointer, &message)
        try unsafe check(message, attempt())
    }
}
