// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// Objects that arrive in parts.
extension Bucket {
    /// Begins a multipart upload. Durable on return.
    ///
    /// It is given up when it gets no part for ``StoreConfiguration/multipartLifetime``.
    ///
    /// - Parameters:
    ///   - key: of the object to be, 1 to 1024 bytes of UTF-8 without NUL. Any number of uploads
    ///     may have the same.
    ///   - attributes: what is said of the object. A retention that is over when the upload is
    ///     completed keeps nothing.
    ///   - references: blobs of the bucket that the object keeps alive, at most 10,000; they must
    ///     be there at the end.
    ///   - algorithm: what the digest of the object will be of.
    ///   - checksums: what is computed of the whole object beside, as long as no part has a gap
    ///     before it; else at the end.
    /// - Throws: ``StoreError`` with code `keyInvalid`, `limitExceeded`, `invalidArgument` (a
    ///   control character in an attribute, a retention that is over or longer than 100 years),
    ///   `quotaExceeded`, `bucketUnknown`, `outOfSpace`, `io`, `keyDisabled`,
    ///   `keyUnavailable`, `closed`.
    public func beginMultipartUpload(
        _ key: String, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], algorithm: Digest.Algorithm = .sha256,
        checksums: Set<ChecksumAlgorithm> = []
    ) async throws(StoreError) -> MultipartUpload {
        let draft = try ObjectDraft(key, attributes, references: references)
        try await engine.reapExpiredMultiparts(limit: 1)
        let keys = try await keys()
        let bucketID = bucketID
        let upload = MultipartName(
            key: key, id: MultipartUploadID(octets: UUIDText.random(from: engine.random)))
        let contents = OpenMultipart(
            domainSlot: keys.domain.slot, algorithm: algorithm, checksums: checksums,
            attributes: draft.attributes, references: draft.references)
        let now = engine.clock.now()
        try draft.attributes.lock.check(at: now)
        let row = MultipartRow(
            startedAt: now, expiresAt: now + engine.configuration.multipartLifetime)
        let sealed = try await engine.sealMultipart(
            contents.encoded(key: key), upload, in: bucketID, keys)
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.checkBucket(bucketID)
            try transaction.beginUpload(in: bucketID)
            let row = row.expiring(by: try transaction.settings(of: bucketID), key)
            try transaction.putMultipart(row, inPlaceOf: nil, upload, in: bucketID)
            try transaction.put(
                Tables.multipartContents, RowKey.parts(bucketID, upload.id), sealed)
        }
        return MultipartUpload(upload, self)
    }

    /// A handle on a multipart upload that was begun before.
    ///
    /// Looks nothing up: its calls throw `uploadUnknown` where there is no such upload.
    ///
    /// - Throws: ``StoreError`` with code `keyInvalid`.
    public func multipartUpload(
        _ id: MultipartUploadID, of key: String
    ) throws(StoreError) -> MultipartUpload {
        try Names.checkObjectKey(key)
        return MultipartUpload(MultipartName(key: key, id: id), self)
    }

    /// Lists multipart uploads that are neither completed nor aborted, in the byte order of their
    /// keys. One whose time is over is among them until the next sweep, unless it was ended before.
    ///
    /// - Parameters:
    ///   - prefix: only keys that begin with it, at most 1024 bytes.
    ///   - cursor: ``MultipartUploadPage/next`` of the page before, with the same prefix.
    ///   - limit: 1 to 1000 uploads.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit, or the prefix is too long),
    ///   `bucketUnknown`, `corrupted`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    public func multipartUploads(
        prefix: String = "", from cursor: MultipartCursor? = nil, limit: Int = 1000
    ) async throws(StoreError) -> MultipartUploadPage {
        try Self.checkPage(limit)
        try Self.checkListText(prefix)
        // Who may not read does not learn what is there.
        _ = try await keys()
        let base = bucketID.octets.bytes
        var after = cursor.map { base + $0.name }
        var uploads: [MultipartUploadDescription] = []
        while true {
            // Many of them may be over.
            let wanted = max(limit + 1, RowPages.rowCountMax)
            let rows = try await engine.read("listing multipart uploads") {
                [after] (index) throws(IndexError) in
                try index.scan(
                    Tables.multipartUploads, prefix: base + Array(prefix.utf8), after: after,
                    limit: wanted)
            }
            for entry in rows {
                let row = try Engine.decodeMultipart(entry.value)
                guard row.state == .open else { continue }
                guard uploads.count < limit else {
                    return MultipartUploadPage(
                        uploads: uploads, next: uploads.last.map(MultipartCursor.init(behind:)))
                }
                uploads.append(row.describe(try RowKey.multipartName(of: entry.key).upload))
            }
            guard rows.count == wanted else {
                return MultipartUploadPage(uploads: uploads, next: nil)
            }
            after = rows.last?.key
        }
    }
}
