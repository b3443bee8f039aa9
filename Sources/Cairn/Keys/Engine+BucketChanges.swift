// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys

/// A key of the key table, and the customer key that is to wrap it; nil is the default one.
struct StoredKey: Sendable {
    var slot: UInt32
    var row: KeyRow
    var customerKey: KeyID?
}

/// A bucket's new row, and the keys that come with it.
struct BucketChange: Sendable {
    struct Key: Sendable {
        var slot: UInt32
        /// The row that the new one was made from, which must still be there; nil for a new slot.
        var old: KeyRow?
        var new: KeyRow
    }

    var row: BucketRow
    var keys: [Key] = []
    var domain: ChosenDomain?
}

extension Engine {
    /// The row of a bucket as it is now, sealed and opened.
    func bucketRow(
        _ id: BucketID
    ) async throws(StoreError) -> (sealed: [UInt8], row: BucketRow) {
        let sealed = try await read("reading a bucket") { (index) throws(IndexError) in
            try index.get(Tables.buckets, id.octets.bytes)
        }
        guard let sealed else { throw StoreError(.bucketUnknown, "the bucket was deleted") }
        return (sealed, try await openBucketRow(id, sealed))
    }

    /// Changes the row of a bucket and its keys, all at once. Durable on return.
    ///
    /// - Parameter body: called again when somebody else changed the bucket or a key meanwhile.
    /// - Returns: the new row.
    @discardableResult
    func changeBucket(
        _ id: BucketID, _ body: (BucketRow) async throws(StoreError) -> BucketChange
    ) async throws(StoreError) -> BucketRow {
        while true {
            try checkCancellation("changing a bucket")
            let (old, row) = try await bucketRow(id)
            let change = try await body(row)
            let new = try await seal(change.row, id)
            let isDone = try await transact { (transaction) throws(StoreError) -> Bool in
                guard try transaction.get(Tables.buckets, id.octets.bytes) == old else {
                    return false
                }
                for key in change.keys {
                    guard try transaction.replace(key) else { return false }
                }
                if let domain = change.domain { try transaction.put(domain) }
                try transaction.put(Tables.buckets, id.octets.bytes, new)
                return true
            }
            guard isDone else { continue }
            countBucketChange()
            return change.row
        }
    }

    /// Wraps keys of the store anew, all at once. Durable on return.
    ///
    /// - Returns: false when somebody else changed one of them meanwhile; nothing happened then.
    func replaceKeys(_ keys: [BucketChange.Key]) async throws(StoreError) -> Bool {
        guard !keys.isEmpty else { return true }
        return try await transact { (transaction) throws(StoreError) -> Bool in
            for key in keys {
                guard try transaction.replace(key) else { return false }
            }
            return true
        }
    }
}

extension Transaction {
    fileprivate func replace(_ key: BucketChange.Key) throws(StoreError) -> Bool {
        let slot = RowKey.keySlot(key.slot)
        guard try get(Tables.keys, slot) == key.old?.encoded() else { return false }
        try put(Tables.keys, slot, key.new.encoded())
        return true
    }
}
