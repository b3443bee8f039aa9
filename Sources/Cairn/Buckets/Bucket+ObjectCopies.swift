// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Bucket {
    /// Copies an object, within the bucket or to another one of the account, which may have
    /// another key. Durable on return, all or nothing.
    ///
    /// Costs the same whatever the size: no bytes are read. The blobs that the object refers to
    /// come along.
    ///
    /// ```swift
    /// try await staging.copyObject("tags/v1", to: "tags/v1", in: production, if: .ifNoneMatch)
    /// ```
    ///
    /// - Parameters:
    ///   - key: the object to copy.
    ///   - version: which version of it; nil is the latest.
    ///   - target: the key of the copy. The object itself with new attributes is a copy too.
    ///   - destination: the bucket of the copy; nil is this one.
    ///   - attributes: what is said of the copy; nil says what is said of the object, but for its
    ///     lock.
    ///   - source: what the object must be like.
    ///   - condition: when the copy may be written.
    /// - Returns: the description of the copy.
    /// - Throws: ``StoreError`` with code `objectUnknown`, `preconditionFailed`, `notModified` (the
    ///   object is not as wanted), `objectLocked` (what it would replace), `domainMismatch` (the
    ///   destination has no part in the deduplication domain of a blob: read and write it),
    ///   `invalidArgument` (buckets of two accounts, or an attribute), `keyInvalid`,
    ///   `limitExceeded`, `bucketUnknown`, `corrupted`, `outOfSpace`, `io`, `keyDisabled`,
    ///   `keyUnavailable`, `closed`.
    @discardableResult
    public func copyObject(
        _ key: String, version: ObjectVersionID? = nil, to target: String,
        in destination: Bucket? = nil, attributes: ObjectAttributes? = nil,
        ifSource source: ReadCondition = .none,
        if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        try await transfer(
            key, version: version, source, to: destination ?? self, condition, isMove: false
        ) {
            [clock = engine.clock] (found) throws(StoreError) in
            let draft = try ObjectDraft(
                target, attributes ?? found.description.attributes.unlocked,
                references: found.references)
            return (draft, clock.now())
        }
    }

    /// Gives an object another key, in this bucket or another one of the account. Durable on
    /// return, all or nothing: at no moment are there two of it, or none.
    ///
    /// Costs the same whatever the size. Time and attributes stay, but for the lock, and so does
    /// the ETag within a bucket. An object that is locked stays where it is, unless the bucket
    /// keeps versions.
    ///
    /// - Parameters: as those of ``copyObject(_:version:to:in:attributes:ifSource:if:)``.
    /// - Returns: the description of the object in its new place.
    /// - Throws: as ``copyObject(_:version:to:in:attributes:ifSource:if:)``.
    @discardableResult
    public func renameObject(
        _ key: String, to target: String, in destination: Bucket? = nil,
        ifSource source: ReadCondition = .none, if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        let destination = destination ?? self
        let isMove = destination.bucketID != bucketID || !target.utf8.elementsEqual(key.utf8)
        return try await transfer(
            key, version: nil, source, to: destination, condition, isMove: isMove
        ) {
            (found) throws(StoreError) in
            let draft = try ObjectDraft(
                target, found.description.attributes.unlocked, references: found.references)
            return (draft, found.description.modifiedAt)
        }
    }

    // MARK: -

    private func transfer(
        _ key: String, version sourceVersion: ObjectVersionID?, _ sourceCondition: ReadCondition,
        to destination: Bucket, _ condition: WriteCondition, isMove: Bool,
        drafting draft: (FoundObject) throws(StoreError) -> (ObjectDraft, Timestamp)
    ) async throws(StoreError) -> ObjectDescription {
        try Names.checkObjectKey(key)
        guard destination.row.accountID == row.accountID, destination.engine === engine else {
            throw StoreError(.invalidArgument, "an object is copied within one account")
        }
        let (sourceID, bucketID) = (bucketID, destination.bucketID)
        // Whoever changes the object in between is done with it: that many times at most.
        while true {
            let found = try await object(key, version: sourceVersion, keys())
            try sourceCondition.check(found.description)
            let (draft, modifiedAt) = try draft(found)
            try await destination.prepareForCondition(condition, on: draft.key)
            let object = try await engine.prepareObject(
                draft, digest: found.description.digest, byteCount: found.description.byteCount,
                modifiedAt: modifiedAt, token: engine.newToken(in: bucketID),
                checksums: found.description.checksums, in: bucketID, destination.keys())
            let marker = try await engine.newDeleteMarker(in: sourceID)
            let (blobs, known) = try await destination.mountable(found, from: self)
            let version = try await engine.transact {
                (transaction) throws(StoreError) -> ObjectVersionID? in
                // What it refers to is there as long as it is.
                guard try transaction.isThere(found, version: sourceVersion, in: sourceID),
                    try transaction.isCurrent(token: marker.token, in: sourceID),
                    try transaction.isCurrent(token: object.row.token, in: bucketID)
                else { return nil }
                try transaction.checkBucket(bucketID)
                for name in known {
                    guard try transaction.link(bucketID, name) != nil else { return nil }
                }
                for blob in blobs { try transaction.mount(blob, in: bucketID) }
                let version = try transaction.putObject(object, in: bucketID, if: condition)
                if isMove {
                    try transaction.deleteObject(key, found.row, leaving: marker, in: sourceID)
                }
                return version
            }
            if let version { return object.description.named(version) }
        }
    }

    // What must be linked here for an object of another bucket, and what is linked already.
    private func mountable(
        _ found: FoundObject, from source: Bucket
    ) async throws(StoreError) -> (blobs: [PreparedBlob], known: [LinkName]) {
        guard source.bucketID != bucketID else { return ([], []) }
        let keys = try await keys()
        var blobs: [PreparedBlob] = []
        var known: [LinkName] = []
        var byteCount = 0
        for digest in [found.description.digest] + found.references {
            let name = keys.linkName(of: digest)
            guard try await !engine.hasLink(name, in: bucketID) else {
                known.append(name)
                continue
            }
            guard let blob = try await mountable(digest, from: source, .object) else { continue }
            byteCount += blob.sealedBytes?.count ?? 0
            // Small blobs are sealed anew, and held in memory for the transaction.
            guard byteCount <= ObjectBatch.bodyByteCountMax else {
                throw StoreError(
                    .limitExceeded,
                    "an object takes at most \(ObjectBatch.bodyByteCountMax) bytes of small blobs "
                        + "to another bucket; mount them first")
            }
            blobs.append(blob)
        }
        return (blobs, known)
    }
}

extension Transaction {
    /// Whether an object is what was found, or the older version that was found is still there.
    fileprivate func isThere(
        _ found: FoundObject, version: ObjectVersionID?, in bucket: BucketID
    ) throws(StoreError) -> Bool {
        let key = found.description.key
        if try get(Tables.objects, RowKey.object(bucket, key)) == found.bytes { return true }
        guard let version else { return false }
        // Rows move between the tables as they are.
        return try olderVersion(version, of: key, in: bucket)?.encoded() == found.bytes
    }
}
