// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Bucket {
    /// Takes the bucket away with all its keys; what it holds is left to be deleted.
    ///
    /// - Returns: the last row that it had.
    @discardableResult
    func remove(_ contents: BucketContents) async throws(StoreError) -> BucketRow {
        let id = bucketID
        while true {
            let (sealed, row) = try await engine.bucketRow(id)
            let nameKey = RowKey.bucketName(row.accountID, row.name)
            let isDone = try await engine.transact { (transaction) throws(StoreError) -> Bool in
                guard try transaction.get(Tables.bucketNames, nameKey) == id.octets.bytes else {
                    throw StoreError(.bucketUnknown, "the account has no bucket of this name")
                }
                // Its keys may have changed since.
                guard try transaction.get(Tables.buckets, id.octets.bytes) == sealed else {
                    return false
                }
                try transaction.checkUnlocked(id)
                if contents == .mustBeEmpty { try transaction.checkEmpty(id) }
                try transaction.removeUsage(of: id, row)
                try transaction.delete(Tables.bucketNames, nameKey)
                try transaction.delete(Tables.buckets, id.octets.bytes)
                try transaction.put(Tables.deletedBuckets, id.octets.bytes, sealed)
                // Nobody can open what is left from here on, whenever it is freed.
                for slot in row.ownSlots(id) {
                    try transaction.delete(Tables.keys, RowKey.keySlot(slot))
                }
                return true
            }
            guard isDone else { continue }
            engine.keys.forget(row.ownSlots(id))
            engine.countBucketChange()
            return row
        }
    }
}
