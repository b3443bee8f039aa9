// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// Upload sessions.
extension Bucket {
    /// Begins an upload session.
    ///
    /// Nothing is durable before the session's first checkpoint.
    ///
    /// - Parameters:
    ///   - algorithm: what the blob's digest will be of; SHA-512 costs a second pass of the CPU
    ///     over the bytes.
    ///   - expectedByteCount: the number of bytes to come when it is known: room for them is
    ///     reserved at once.
    ///   - checksums: what is computed beside, for the object that the session becomes.
    /// - Throws: ``StoreError`` with code `quotaExceeded`, `allowanceExceeded`,
    ///   `bucketUnknown`, `keyUnavailable`, `io`, `closed`.
    public func beginUpload(
        algorithm: Digest.Algorithm = .sha256, expectedByteCount: UInt64? = nil,
        checksums: Set<ChecksumAlgorithm> = []
    ) async throws(StoreError) -> UploadSession {
        try await engine.reapExpiredUploads(limit: Engine.reapedCountMax)
        return try await engine.beginUpload(
            in: bucketID, keys(), StreamDigests(algorithm, checksums: checksums),
            byteCount: expectedByteCount ?? 0)
    }

    /// Goes on with an upload session, from its last checkpoint.
    ///
    /// - Throws: ``StoreError`` with code `uploadUnknown` (never checkpointed, finished, or of
    ///   another bucket), `uploadBusy` (another handle of this process has it), `uploadExpired`,
    ///   `quotaExceeded` (there is no room for one more blob),
    ///   `corrupted`, `keyUnavailable`, `io`, `closed`.
    public func resumeUpload(_ upload: UploadID) async throws(StoreError) -> UploadSession {
        try await engine.resumeUpload(upload, in: bucketID, try await keys())
    }

    /// Describes the last checkpoint of an upload session; for a live one ask its handle.
    ///
    /// - Throws: ``StoreError`` with code `uploadUnknown`, `io`, `closed`.
    public func uploadStatus(_ upload: UploadID) async throws(StoreError) -> UploadDescription {
        guard let row = try await engine.uploadRow(upload, of: bucketID) else {
            throw StoreError(.uploadUnknown, "the bucket has no such upload session")
        }
        return row.describe(upload)
    }

    /// Lists upload sessions that have a checkpoint, in an order that says nothing.
    ///
    /// - Parameters:
    ///   - upload: the last session already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 sessions. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `io`, `closed`.
    public func uploads(
        after upload: UploadID? = nil, limit: Int = 1000
    ) async throws(StoreError) -> [UploadDescription] {
        try Self.checkPage(limit)
        let prefix = bucketID.octets.bytes
        let after = upload.map { RowKey.upload(bucketID, $0) }
        let rows = try await engine.read("listing uploads") { (index) throws(IndexError) in
            try index.scan(Tables.uploads, prefix: prefix, after: after, limit: limit)
        }
        var uploads: [UploadDescription] = []
        for row in rows {
            let id = try RowKey.uploadID(of: row.key)
            let upload = try lower(
                "listing uploads",
                core: { () throws(CoreError) in
                    try UploadRow(decoding: row.value)
                })
            uploads.append(upload.describe(id))
        }
        return uploads
    }

    /// Ends an upload session that has no handle in this process. Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `uploadUnknown`, `uploadBusy` (cancel it by its handle),
    ///   `io`, `closed`.
    public func cancelUpload(_ upload: UploadID) async throws(StoreError) {
        guard let claim = engine.liveUploads.claim(upload) else {
            throw StoreError(.uploadBusy, "the upload session is in use")
        }
        defer { engine.liveUploads.release(claim) }
        guard try await engine.discardUpload(upload, of: bucketID) else {
            throw StoreError(.uploadUnknown, "the bucket has no such upload session")
        }
    }
}

extension UploadRow {
    fileprivate func describe(_ id: UploadID) -> UploadDescription {
        UploadDescription(
            id: id, receivedByteCount: receivedByteCount, durableByteCount: receivedByteCount,
            startedAt: startedAt, expiresAt: expiresAt)
    }
}
