// Part of Cairn, a content-addressed blob store.

internal import CairnCore

extension Transaction {
    static var conditionFailed: StoreError {
        StoreError(.preconditionFailed, "the object is not as the condition wants it")
    }

    func object(_ key: String, in bucket: BucketID) throws(StoreError) -> ObjectRow? {
        try row(Tables.objects, RowKey.object(bucket, key)) { (bytes) throws(CoreError) in
            try ObjectRow(decoding: bytes)
        }
    }

    /// - Parameter expected: for `.ifMatch`, the row whose tag was found to match.
    func check(
        _ condition: WriteCondition, _ key: String, _ bucket: BucketID, expected: [UInt8]?
    ) throws(StoreError) {
        guard condition != .none else { return }
        // For `.ifNoneMatch` the expected row is none at all.
        guard try get(Tables.objects, RowKey.object(bucket, key)) == expected else {
            throw Self.conditionFailed
        }
    }

    /// Writes an object and moves its references; its body is linked already.
    func putObject(
        _ key: String, _ row: ObjectRow, in bucket: BucketID
    ) throws(StoreError) {
        let old = try object(key, in: bucket)
        let oldNames = Set(old?.linkNames ?? [])
        let newNames = Set(row.linkNames)
        // Added first: a blob that both versions name must not go in between.
        for name in newNames.subtracting(oldNames) { try addReference(key, name, bucket) }
        for name in oldNames.subtracting(newNames) { try removeReference(key, name, bucket) }
        try put(Tables.objects, RowKey.object(bucket, key), row.encoded())
        if old == nil { try add(.objects, of: bucket, 1) }
    }

    func deleteObject(
        _ key: String, _ row: ObjectRow, in bucket: BucketID
    ) throws(StoreError) {
        for name in Set(row.linkNames) { try removeReference(key, name, bucket) }
        try delete(Tables.objects, RowKey.object(bucket, key))
        try add(.objects, of: bucket, -1)
    }

    // MARK: -

    private func addReference(
        _ key: String, _ name: LinkName, _ bucket: BucketID
    ) throws(StoreError) {
        guard var link = try link(bucket, name) else {
            throw StoreError(.blobUnknown, "the object refers to a blob that the bucket lacks")
        }
        guard link.referenceCount < UInt32.max else {
            throw StoreError(.limitExceeded, "too many objects refer to one blob")
        }
        link.referenceCount += 1
        try put(link, bucket, name)
        try put(Tables.references, RowKey.reference(bucket, name, key), [])
    }

    private func removeReference(
        _ key: String, _ name: LinkName, _ bucket: BucketID
    ) throws(StoreError) {
        guard var link = try link(bucket, name), link.referenceCount > 0 else {
            throw StoreError(.corrupted, "an object refers to a blob that does not know it")
        }
        link.referenceCount -= 1
        try delete(Tables.references, RowKey.reference(bucket, name, key))
        if link.referenceCount == 0, !link.isPinned {
            try unlink(link, bucket, name)
        } else {
            try put(link, bucket, name)
        }
    }
}
