// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// Objects by key.
extension Bucket {
    /// Writes an object, new or in place of an old one. Durable on return, all or nothing.
    ///
    /// The body becomes a blob of the bucket. The object keeps it and the referenced blobs alive:
    /// they cannot be deleted while it is there.
    ///
    /// - Parameters:
    ///   - key: 1 to 1024 bytes of UTF-8 without NUL.
    ///   - bytes: the whole body.
    ///   - contentType: a media type of at most 255 bytes.
    ///   - references: blobs of this bucket, at most 10,000.
    ///   - metadata: at most 2 KiB, names and values together.
    ///   - condition: when the write may take place. Of any number of concurrent writes with
    ///     `.ifNoneMatch` exactly one succeeds.
    /// - Throws: ``StoreError`` with code `preconditionFailed` (nothing was written),
    ///   `blobUnknown` (a referenced blob is not in the bucket), `keyInvalid`, `limitExceeded`,
    ///   `bucketUnknown`, `outOfSpace`, `io`, `keyUnavailable`, `closed`.
    @discardableResult
    public func putObject(
        _ key: String, _ bytes: Span<UInt8>, contentType: String? = nil,
        references: [Digest] = [], metadata: [String: String] = [:],
        if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        try Names.checkObjectKey(key)
        try Self.checkLimits(contentType, references, metadata)
        let keys = try await keys()
        let current = try await currentRow(key, for: condition, keys)
        var seen: Set<Digest> = []
        let distinct = references.filter { seen.insert($0).inserted }
        let names = distinct.map(keys.linkName)
        let sealer = ObjectSealer(
            key: key, contentType: contentType ?? "application/octet-stream",
            references: distinct, metadata: metadata, modifiedAt: engine.clock.now())
        let body = [UInt8](copying: bytes)
        let (digest, description, sealed) = try await engine.pool.run {
            [engine, bucketID] (context) throws(StoreError) in
            let digest = Digest.sha256(of: body.span)
            let description = sealer.describe(digest, byteCount: UInt64(body.count))
            let sealed = try context.seal(
                description.encoded(), as: .metadata, name: keys.objectName(of: key),
                under: keys.sealingKey(engine, bucketID))
            return (digest, description, sealed)
        }
        _ = try await store(bytes, expecting: digest, isPinned: false) {
            (transaction, blob, bucket) throws(StoreError) in
            try transaction.check(condition, key, bucket, expected: current)
            try transaction.link(blob, in: bucket)
            let others = names.filter { $0 != blob.name }
            try transaction.putObject(
                key, ObjectRow(linkNames: [blob.name] + others, sealed: sealed), in: bucket)
        }
        return description
    }

    /// Describes an object.
    ///
    /// - Throws: ``StoreError`` with code `objectUnknown`, `keyInvalid`, `corrupted`,
    ///   `keyUnavailable`, `io`, `closed`.
    public func headObject(_ key: String) async throws(StoreError) -> ObjectDescription {
        try Names.checkObjectKey(key)
        guard let row = try await objectBytes(key) else { throw Self.unknown(object: key) }
        return try await open(key, row, keys())
    }

    /// Opens an object for reading.
    ///
    /// - Throws: as ``headObject(_:)``.
    public func openObject(_ key: String) async throws(StoreError) -> (ObjectDescription, Blob) {
        // The object may be replaced between the two reads, and its old body be gone: look again.
        while true {
            let description = try await headObject(key)
            if let blob = try await engine.openBlob(description.digest, in: bucketID, keys()) {
                return (description, blob)
            }
            guard try await headObject(key) != description else {
                throw StoreError(.corrupted, "the body of an object is missing")
            }
        }
    }

    /// Deletes an object, and its body unless something else keeps that. Durable on return.
    ///
    /// - Parameters:
    ///   - key: the name of the object.
    ///   - etag: delete only this version; nil is any.
    /// - Throws: ``StoreError`` with code `objectUnknown`, `preconditionFailed`, `keyInvalid`,
    ///   `io`, `keyUnavailable`, `closed`.
    public func deleteObject(_ key: String, ifMatch etag: ETag? = nil) async throws(StoreError) {
        try Names.checkObjectKey(key)
        let condition = etag.map(WriteCondition.ifMatch) ?? .none
        guard try await objectBytes(key) != nil else { throw Self.unknown(object: key) }
        let current = try await currentRow(key, for: condition, keys())
        let bucketID = bucketID
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.check(condition, key, bucketID, expected: current)
            guard let row = try transaction.object(key, in: bucketID) else {
                throw Self.unknown(object: key)
            }
            try transaction.deleteObject(key, row, in: bucketID)
        }
    }

    /// Lists objects in the byte order of their keys.
    ///
    /// - Parameters:
    ///   - prefix: only keys that begin with it.
    ///   - after: only keys behind this one.
    ///   - limit: 1 to 1000 objects.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `corrupted`,
    ///   `keyUnavailable`, `io`, `closed`.
    /// - Complexity: O(log *n* + page).
    public func objects(
        prefix: String = "", after: String? = nil, limit: Int = 1000
    ) async throws(StoreError) -> ObjectPage {
        try Self.checkPage(limit)
        let (from, end) = Self.bounds(
            RowKey.object(bucketID, prefix), after.map { RowKey.object(bucketID, $0) })
        let rows = try await engine.read("listing objects") { (index) throws(IndexError) in
            try index.scan(Tables.objects, from: from, before: end, limit: limit + 1)
        }
        let keys = try await keys()
        var objects: [ObjectDescription] = []
        for row in rows.prefix(limit) {
            let key = String(decoding: row.key.dropFirst(Octets16.byteCount), as: UTF8.self)
            objects.append(try await open(key, row.value, keys))
        }
        return ObjectPage(objects: objects, isTruncated: rows.count > limit)
    }

    // MARK: -

    private static func unknown(object key: String) -> StoreError {
        StoreError(.objectUnknown, "the bucket has no object of this key")
    }

    // The range of keys with a prefix that lie behind `after`, which may lie anywhere.
    private static func bounds(_ prefix: [UInt8], _ after: [UInt8]?) -> ([UInt8], [UInt8]?) {
        let end = firstKey(behindPrefix: prefix)
        guard let after, prefix.lexicographicallyPrecedes(after + [0]) else { return (prefix, end) }
        return (after + [0], end)
    }

    private static func checkLimits(
        _ contentType: String?, _ references: [Digest], _ metadata: [String: String]
    ) throws(StoreError) {
        guard references.count <= ObjectDescription.referenceCountMax else {
            throw StoreError(
                .limitExceeded,
                "an object refers to at most \(ObjectDescription.referenceCountMax) blobs")
        }
        guard (contentType?.utf8.count ?? 0) <= ObjectDescription.contentTypeByteCountMax else {
            throw StoreError(.limitExceeded, "a content type has at most 255 bytes")
        }
        let byteCount = metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard byteCount <= ObjectDescription.metadataByteCountMax else {
            throw StoreError(.limitExceeded, "metadata has at most 2048 bytes, not \(byteCount)")
        }
    }

    private func objectBytes(_ key: String) async throws(StoreError) -> [UInt8]? {
        let rowKey = RowKey.object(bucketID, key)
        return try await engine.read("reading an object") { (index) throws(IndexError) in
            try index.get(Tables.objects, rowKey)
        }
    }

    // The row that a condition was found to hold for; the transaction insists on that very row.
    private func currentRow(
        _ key: String, for condition: WriteCondition, _ keys: BucketKeys
    ) async throws(StoreError) -> [UInt8]? {
        guard case .ifMatch(let etag) = condition else { return nil }
        guard let row = try await objectBytes(key), try await open(key, row, keys).etag == etag
        else { throw Transaction.conditionFailed }
        return row
    }

    private func open(
        _ key: String, _ bytes: [UInt8], _ keys: BucketKeys
    ) async throws(StoreError) -> ObjectDescription {
        let row = try lower(
            "reading an object",
            core: { () throws(CoreError) in
                try ObjectRow(decoding: bytes)
            })
        let sealingKey = try await engine.sealingKey(of: row.sealed, owner: bucketID)
        return try await engine.pool.run { (context) throws(StoreError) in
            let plaintext = try context.open(
                row.sealed, as: .metadata, name: keys.objectName(of: key), under: sealingKey)
            return try lower(
                "reading an object",
                core: { () throws(CoreError) in
                    try ObjectDescription(key: key, decoding: plaintext)
                })
        }
    }
}

/// What a write says of an object beside its body.
private struct ObjectSealer: Sendable {
    var key: String
    var contentType: String
    var references: [Digest]
    var metadata: [String: String]
    var modifiedAt: Timestamp

    func describe(_ digest: Digest, byteCount: UInt64) -> ObjectDescription {
        let untagged = describe(digest, byteCount, ETag(""), Timestamp(nanosecondsSinceEpoch: 0))
        // Derived from all that describes the object, so that a write with the same body but
        // other references does not pass for the same version.
        let tag = Digest.sha256(of: untagged.encoded().span)
        return describe(digest, byteCount, ETag(String(tag.hex.prefix(32))), modifiedAt)
    }

    private func describe(
        _ digest: Digest, _ byteCount: UInt64, _ etag: ETag, _ modifiedAt: Timestamp
    ) -> ObjectDescription {
        ObjectDescription(
            key: key, etag: etag, digest: digest, byteCount: byteCount, contentType: contentType,
            references: references, metadata: metadata, modifiedAt: modifiedAt)
    }
}
