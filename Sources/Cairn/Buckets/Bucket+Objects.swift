// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// Objects by key.
extension Bucket {
    // MARK: - Writing

    /// Writes an object, new or in place of an old one. Durable on return, all or nothing.
    ///
    /// The body becomes a blob of the bucket. The object keeps it and the referenced blobs alive:
    /// they cannot be deleted while it is there.
    ///
    /// - Parameters:
    ///   - key: 1 to 1024 bytes of UTF-8 without NUL.
    ///   - bytes: the whole body.
    ///   - attributes: what is said of it.
    ///   - references: blobs of this bucket, at most 10,000.
    ///   - checksums: what is computed of the body and kept with the object.
    ///   - condition: when the write may take place. Of any number of concurrent writes with
    ///     `.ifNoneMatch` exactly one succeeds.
    /// - Throws: ``StoreError`` with code `preconditionFailed` (nothing was written),
    ///   `blobUnknown` (a referenced blob is not in the bucket), `objectLocked` (the version that
    ///   it would replace), `digestMismatch` (a checksum that is expected), `keyInvalid`,
    ///   `limitExceeded`, `invalidArgument` (a control character in an attribute, or a retention
    ///   that is over), `quotaExceeded`, `allowanceExceeded`, `bucketUnknown`, `outOfSpace`, `io`,
    ///   `keyDisabled`, `keyUnavailable`, `closed`.
    @discardableResult
    public func putObject(
        _ key: String, _ bytes: Span<UInt8>, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], checksums: ChecksumRequest = .none,
        if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        let draft = try ObjectDraft(key, attributes, references: references)
        try await prepareForCondition(condition, on: key)
        return try await upload(bytes, checksums: checksums.algorithms) {
            (session) throws(StoreError) in
            try await session.commit(draft, expecting: nil, checksums.expected, if: condition)
        }
    }

    /// Writes an object whose bytes arrive bit by bit. Durable on return, all or nothing.
    ///
    /// ```swift
    /// try await bucket.putObject("logs/today", if: .ifNoneMatch) { session in
    ///     for try await line in lines { try await session.append(Array(line.utf8).span) }
    /// }
    /// ```
    ///
    /// For bytes that must survive a crash before they are complete, begin a session with
    /// ``beginUpload(algorithm:expectedByteCount:checksums:)`` and end it with
    /// `UploadSession.commit(toObject:)`.
    ///
    /// - Parameters:
    ///   - condition: looked at before the first byte is asked for, and decided at the end.
    ///   - write: appends the bytes to the session that it is given, and leaves that open. What it
    ///     throws is thrown, and nothing was written.
    /// - Throws: ``StoreError`` as ``putObject(_:_:attributes:references:checksums:if:)``, and what
    ///   `write` throws.
    @discardableResult
    public func putObject(
        _ key: String, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], checksums: ChecksumRequest = .none,
        if condition: WriteCondition = .none,
        writing write: (UploadSession) async throws -> Void
    ) async throws -> ObjectDescription {
        let draft = try ObjectDraft(key, attributes, references: references)
        try await prepareForCondition(condition, on: key)
        let session = try await beginUpload(checksums: checksums.algorithms)
        do {
            try await write(session)
            return try await session.commit(
                draft, expecting: nil, checksums.expected, if: condition)
        } catch {
            await session.discard()
            throw error
        }
    }

    /// Writes an object whose body is a blob of this bucket already. Durable on return.
    ///
    /// Costs the same whatever the size: no bytes are read.
    ///
    /// - Throws: ``StoreError`` with code `blobUnknown` (the bucket lacks the body or a reference),
    ///   and as ``putObject(_:_:attributes:references:checksums:if:)``.
    @discardableResult
    public func putObject(
        _ key: String, blob digest: Digest, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        let draft = try ObjectDraft(key, attributes, references: references)
        try await prepareForCondition(condition, on: key)
        let keys = try await keys()
        guard let (link, _) = try await engine.find(digest, in: bucketID, keys) else {
            throw Self.unknown(digest)
        }
        let bucketID = bucketID
        while true {
            let object = try await engine.prepareObject(
                draft, digest: digest, byteCount: link.byteCount, modifiedAt: engine.clock.now(),
                token: engine.newToken(in: bucketID), in: bucketID, keys)
            let version = try await engine.transact {
                (transaction) throws(StoreError) -> ObjectVersionID? in
                try transaction.checkBucket(bucketID)
                guard try transaction.isCurrent(token: object.row.token, in: bucketID) else {
                    return nil
                }
                return try transaction.putObject(object, in: bucketID, if: condition)
            }
            if let version { return object.description.named(version) }
        }
    }

    /// Gives an object other tags, and nothing else: its ETag and time stay. Durable on return.
    ///
    /// - Parameters:
    ///   - tags: take the place of all that it had; none removes them.
    ///   - etag: only if the object has this tag; nil is any.
    /// - Throws: ``StoreError`` with code `objectUnknown`, `preconditionFailed`, `limitExceeded`,
    ///   `keyInvalid`, `corrupted`, `outOfSpace`, `io`, `keyDisabled`, `keyUnavailable`, `closed`.
    @discardableResult
    public func setTags(
        _ tags: [String: String], of key: String, ifMatch etag: ETag? = nil
    ) async throws(StoreError) -> ObjectDescription {
        try ObjectAttributes.check(tags: tags)
        try Names.checkObjectKey(key)
        while true {
            let keys = try await keys()
            let found = try await object(key, keys)
            guard etag == nil || etag == found.description.etag else {
                throw Transaction.conditionFailed
            }
            let object = try await engine.prepareObject(
                found.description.tagged(tags), references: found.references, in: bucketID, keys)
            if try await replace(found, by: object) { return object.description }
        }
    }

    // MARK: - Reading

    /// Describes an object.
    ///
    /// - Parameter condition: when the call is to be answered.
    /// - Throws: ``StoreError`` with code `objectUnknown`, `preconditionFailed`, `notModified` (as
    ///   the condition wants it), `keyInvalid`, `corrupted`, `keyDisabled`, `keyUnavailable`, `io`,
    ///   `closed`.
    public func headObject(
        _ key: String, if condition: ReadCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        try Names.checkObjectKey(key)
        guard let object = try await engine.describeObject(key, in: bucketID, keys()) else {
            throw Self.unknown(object: key)
        }
        try condition.check(object)
        return object
    }

    /// Opens an object for reading.
    ///
    /// Reading goes on with the body that the object had, whatever becomes of the object.
    ///
    /// - Parameter condition: when the call is to be answered.
    /// - Throws: as ``headObject(_:if:)``.
    public func openObject(
        _ key: String, if condition: ReadCondition = .none
    ) async throws(StoreError) -> (ObjectDescription, Blob) {
        try Names.checkObjectKey(key)
        if let (description, blob) = try await engine.openSmallObject(key, in: bucketID, keys()) {
            try condition.check(description)
            return (description, blob)
        }
        return try await openBody { () throws(StoreError) in
            try await headObject(key, if: condition)
        }
    }

    /// Opens the body of an object that is looked for as often as needed.
    func openBody(
        of look: () async throws(StoreError) -> ObjectDescription
    ) async throws(StoreError) -> (ObjectDescription, Blob) {
        // It may be replaced or deleted between the two reads, and its body be gone: look again.
        while true {
            let object = try await look()
            if let blob = try await engine.openBlob(object.digest, in: bucketID, keys()) {
                return (object, blob)
            }
            guard try await look() != object else {
                throw StoreError(.corrupted, "the body of an object is missing")
            }
        }
    }

    /// The blobs that an object keeps alive beside its body, each once.
    ///
    /// - Throws: as ``headObject(_:if:)``.
    public func references(of key: String) async throws(StoreError) -> [Digest] {
        try Names.checkObjectKey(key)
        return try await object(key, keys()).references
    }

    // MARK: - Deleting

    /// The most objects that one call deletes (as in S3).
    public static let deletedObjectCountMax = 1000

    /// Deletes an object, and its body unless something else keeps that. Durable on return.
    ///
    /// Where versions are kept, the object becomes an older version, and a delete marker is the
    /// latest one.
    ///
    /// - Parameters:
    ///   - key: the name of the object.
    ///   - etag: delete only this state; nil is any.
    /// - Throws: ``StoreError`` with code `objectUnknown`, `preconditionFailed`, `objectLocked`,
    ///   `keyInvalid`, `io`, `keyDisabled`, `keyUnavailable`, `closed`.
    public func deleteObject(_ key: String, ifMatch etag: ETag? = nil) async throws(StoreError) {
        try Names.checkObjectKey(key)
        // Who may not read may not delete.
        _ = try await keys()
        let condition = etag.map(WriteCondition.ifMatch) ?? .none
        if condition != .none {
            guard let row = try await objectRow(key) else { throw Self.unknown(object: key) }
            guard condition.holds(for: row) else { throw Transaction.conditionFailed }
        }
        let bucketID = bucketID
        while true {
            let marker = try await engine.newDeleteMarker(in: bucketID)
            let isDone = try await engine.transact { (transaction) throws(StoreError) -> Bool in
                try transaction.checkBucket(bucketID)
                guard try transaction.isCurrent(token: marker.token, in: bucketID) else {
                    return false
                }
                guard let row = try transaction.object(key, in: bucketID) else {
                    throw Self.unknown(object: key)
                }
                guard condition.holds(for: row) else { throw Transaction.conditionFailed }
                try transaction.deleteObject(key, row, leaving: marker, in: bucketID)
                return true
            }
            if isDone { return }
        }
    }

    /// Deletes up to ``deletedObjectCountMax`` objects, each on its own. Durable on return.
    ///
    /// One that is not there counts as deleted, as in S3.
    ///
    /// - Parameter objects: keys, each with the tag that the object must have, if any.
    /// - Returns: what kept an object from being deleted, by key; empty when all are gone.
    /// - Throws: ``StoreError`` with code `limitExceeded` (too many; nothing was deleted).
    public func deleteObjects(
        _ objects: [(key: String, ifMatch: ETag?)]
    ) async throws(StoreError) -> [String: StoreError] {
        guard objects.count <= Self.deletedObjectCountMax else {
            throw StoreError(
                .limitExceeded,
                "a call deletes at most \(Self.deletedObjectCountMax) objects")
        }
        // All at once: they share the flushes of few groups of commits.
        return await withTaskGroup(of: (String, StoreError)?.self) { group in
            for (key, etag) in objects {
                group.addTask {
                    do throws(StoreError) {
                        try await self.deleteObject(key, ifMatch: etag)
                        return nil
                    } catch {
                        return error.code == .objectUnknown ? nil : (key, error)
                    }
                }
            }
            return await group.reduce(into: [:]) { failures, failure in
                if let (key, error) = failure { failures[key] = error }
            }
        }
    }

    // MARK: -

    static func unknown(object key: String) -> StoreError {
        StoreError(.objectUnknown, "the bucket has no object of this key")
    }

    func object(
        _ key: String, version: ObjectVersionID? = nil, _ keys: BucketKeys
    ) async throws(StoreError) -> FoundObject {
        guard
            let found = try await engine.findObject(key, version: version, in: bucketID, keys)
        else { throw Self.unknown(object: key) }
        return found
    }

    /// Fails where the condition does not hold now, so that nobody sends bytes in vain; the
    /// transaction decides.
    func prepareForCondition(
        _ condition: WriteCondition, on key: String
    ) async throws(StoreError) {
        guard condition != .none else { return }
        // Who may not read does not learn what is there.
        _ = try await keys()
        guard condition.holds(for: try await objectRow(key)) else {
            throw Transaction.conditionFailed
        }
    }

    /// The row of an object, of the newest version: one of version 1 shows no tag that a
    /// transaction could look at, and is replaced.
    @discardableResult
    func objectRow(_ key: String) async throws(StoreError) -> ObjectRow? {
        while let bytes = try await engine.objectBytes(key, in: bucketID) {
            let row = try Engine.decodeObject(bytes)
            if row.etag != nil { return row }
            let keys = try await keys()
            guard let found = try await engine.findObject(key, in: bucketID, keys) else { continue }
            let object = try await engine.prepareObject(
                found.description, references: found.references, in: bucketID, keys)
            _ = try await replace(found, by: object)
        }
        return nil
    }

    // False: the object is not what was found any more.
    private func replace(
        _ found: FoundObject, by object: PreparedObject
    ) async throws(StoreError) -> Bool {
        let bucketID = bucketID
        let rowKey = RowKey.object(bucketID, object.description.key)
        return try await engine.transact { (transaction) throws(StoreError) -> Bool in
            guard try transaction.get(Tables.objects, rowKey) == found.bytes else { return false }
            try transaction.rewriteObject(object, inPlaceOf: found.row, in: bucketID)
            return true
        }
    }
}
