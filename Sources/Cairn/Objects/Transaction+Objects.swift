// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// An object that is ready to be written: all that is sealed is sealed.
struct PreparedObject: Sendable {
    var description: ObjectDescription
    var row: ObjectRow
    /// Nil when the object refers to nothing but its body.
    var references: ObjectReferencesRow?

    fileprivate var linkNames: Set<LinkName> { Set([row.bodyName] + (references?.names ?? [])) }
}

extension Transaction {
    static var conditionFailed: StoreError {
        StoreError(.preconditionFailed, "the object is not as the condition wants it")
    }

    func object(_ key: String, in bucket: BucketID) throws(StoreError) -> ObjectRow? {
        try row(Tables.objects, RowKey.object(bucket, key)) { (bytes) throws(CoreError) in
            try ObjectRow(decoding: bytes)
        }
    }

    /// Writes an object and moves its references; its body is linked already.
    ///
    /// - Throws: ``StoreError`` with code `preconditionFailed`, `blobUnknown` (a reference).
    func putObject(
        _ object: PreparedObject, in bucket: BucketID, if condition: WriteCondition
    ) throws(StoreError) {
        let key = object.description.key
        let old = try self.object(key, in: bucket)
        guard condition.holds(for: old) else { throw Self.conditionFailed }
        let oldNames = try linkNames(of: key, old, in: bucket)
        let newNames = object.linkNames
        // Added first: a blob that both versions name must not go in between.
        for name in newNames.subtracting(oldNames) { try addReference(key, name, bucket) }
        for name in oldNames.subtracting(newNames) { try removeReference(key, name, bucket) }
        let rowKey = RowKey.object(bucket, key)
        try put(Tables.objects, rowKey, object.row.encoded())
        if let references = object.references {
            try put(Tables.objectReferences, rowKey, references.encoded())
        } else if let old, old.referenceCount > 0 {
            try delete(Tables.objectReferences, rowKey)
        }
        if old == nil { try add(.objects, of: bucket, 1) }
    }

    /// Deletes an object that is there, and what only it kept alive.
    func deleteObject(
        _ key: String, _ row: ObjectRow, in bucket: BucketID
    ) throws(StoreError) {
        for name in try linkNames(of: key, row, in: bucket) {
            try removeReference(key, name, bucket)
        }
        let rowKey = RowKey.object(bucket, key)
        try delete(Tables.objects, rowKey)
        if row.referenceCount > 0 { try delete(Tables.objectReferences, rowKey) }
        try add(.objects, of: bucket, -1)
    }

    // MARK: -

    private func linkNames(
        of key: String, _ row: ObjectRow?, in bucket: BucketID
    ) throws(StoreError) -> Set<LinkName> {
        guard let row else { return [] }
        var names = Set(row.ownReferences)
        names.insert(row.bodyName)
        guard row.referenceCount > 0 else { return names }
        let references = try self.row(
            Tables.objectReferences, RowKey.object(bucket, key)
        ) { (bytes) throws(CoreError) in
            try ObjectReferencesRow(decoding: bytes)
        }
        guard let references, references.names.count == Int(row.referenceCount) else {
            throw StoreError(.corrupted, "the references of an object are not those it has")
        }
        return names.union(references.names)
    }

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
