// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Transaction {
    func upload(_ id: UploadID, of bucket: BucketID) throws(StoreError) -> UploadRow? {
        try row(Tables.uploads, RowKey.upload(bucket, id)) { (bytes) throws(CoreError) in
            try UploadRow(decoding: bytes)
        }
    }

    func putUpload(_ row: UploadRow, _ id: UploadID, of bucket: BucketID) throws(StoreError) {
        try forgetUpload(id, of: bucket)
        try put(Tables.uploads, RowKey.upload(bucket, id), row.encoded())
        try put(Tables.uploadExpiry, RowKey.uploadExpiry(row.expiresAt, bucket, id), [])
    }

    /// Deletes the rows of a session whose chunks have passed to somebody else.
    func forgetUpload(_ id: UploadID, of bucket: BucketID) throws(StoreError) {
        guard let row = try upload(id, of: bucket) else { return }
        try delete(Tables.uploads, RowKey.upload(bucket, id))
        try delete(Tables.uploadExpiry, RowKey.uploadExpiry(row.expiresAt, bucket, id))
    }
}

extension Engine {
    /// Expired sessions that one call reaps beside its own work: enough to keep up with any rate
    /// at which sessions are begun.
    static let reapedCountMax = 4

    func beginUpload(
        in bucket: BucketID, _ keys: BucketKeys, algorithm: Digest.Algorithm
    ) throws(StoreError) -> UploadSession {
        try checkOpen()
        let id = UploadID(octets: UUIDText.random(from: random))
        guard liveUploads.insert(id) else {
            throw StoreError(.uploadBusy, "a new upload session got a name that is in use")
        }
        let chunker = Chunker(parameters: self.chunker, key: keys.domain.chunkerKey)
        return UploadSession(
            id: id, bucketID: bucket, keys: keys, engine: self,
            stage: DigestStage(algorithm: algorithm, chunker: chunker, domain: keys.domain),
            builder: RecipeBuilder(), row: nil)
    }

    /// Restores a session from its last checkpoint.
    func resumeUpload(
        _ id: UploadID, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> UploadSession {
        guard liveUploads.insert(id) else {
            throw StoreError(.uploadBusy, "the upload session is in use")
        }
        do throws(StoreError) {
            return try await restoreUpload(id, in: bucket, keys)
        } catch {
            liveUploads.remove(id)
            throw error
        }
    }

    private func restoreUpload(
        _ id: UploadID, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> UploadSession {
        guard let row = try await uploadRow(id, of: bucket) else {
            throw StoreError(.uploadUnknown, "the bucket has no such upload session")
        }
        guard clock.now() < row.expiresAt else {
            throw StoreError(.uploadExpired, "the upload session expired unused")
        }
        let state = try await openState(of: row, id, bucket)
        let chunker = try lower(
            "resuming an upload session",
            core: { () throws(CoreError) in
                try Chunker(
                    restoring: state.chunker.span, parameters: self.chunker,
                    key: keys.domain.chunkerKey)
            })
        let stage = DigestStage(
            blob: state.blob, blob512: state.blob512, chunker: chunker, domain: keys.domain)
        let session = UploadSession(
            id: id, bucketID: bucket, keys: keys, engine: self, stage: stage,
            builder: state.builder, row: row)
        // The tail was received but never hashed: it takes the way of any other bytes.
        try await session.append(state.tail.span)
        return session
    }

    func uploadRow(
        _ id: UploadID, of bucket: BucketID
    ) async throws(StoreError) -> UploadRow? {
        let bytes = try await read("reading an upload session") { (index) throws(IndexError) in
            try index.get(Tables.uploads, RowKey.upload(bucket, id))
        }
        guard let bytes else { return nil }
        return try lower(
            "reading an upload session",
            core: { () throws(CoreError) in
                try UploadRow(decoding: bytes)
            })
    }

    private func openState(
        of row: UploadRow, _ id: UploadID, _ bucket: BucketID
    ) async throws(StoreError) -> UploadState {
        let key = try await sealingKey(of: row.sealedState, owner: bucket)
        return try await pool.run { (context) throws(StoreError) in
            let bytes = try context.open(
                row.sealedState, as: .metadata, name: Octets32(padding: id.octets), under: key)
            return try lower(
                "resuming an upload session",
                core: { () throws(CoreError) in
                    try UploadState(decoding: bytes)
                })
        }
    }

    /// Deletes a session's checkpoint and releases the chunks it holds. Durable on return.
    ///
    /// - Returns: false when there was no checkpoint.
    @discardableResult
    func discardUpload(_ id: UploadID, of bucket: BucketID) async throws(StoreError) -> Bool {
        while let row = try await uploadRow(id, of: bucket) {
            let held = try await heldChunks(of: row.encoded(), id)
            let expected = row.encoded()
            let isDone = try await transact { (transaction) throws(StoreError) -> Bool in
                let current = try transaction.get(Tables.uploads, RowKey.upload(bucket, id))
                guard current == expected else { return false }
                try transaction.forgetUpload(id, of: bucket)
                var deltas: [ChunkID: Int64] = [:]
                for id in held { deltas[id, default: 0] -= 1 }
                try ChunkLedger.apply(deltas, to: transaction)
                return true
            }
            if isDone { return true }
        }
        return false
    }

    /// Ends sessions whose time is over, oldest first, in time proportional to their number.
    ///
    /// - Returns: how many there were, at most `limit`.
    @discardableResult
    func reapExpiredUploads(limit: Int) async throws(StoreError) -> Int {
        let now = RowKey.bigEndian(UInt64(max(0, clock.now().nanosecondsSinceEpoch)))
        let due = try await read("looking for expired uploads") { (index) throws(IndexError) in
            try index.scan(Tables.uploadExpiry, from: [], before: now, limit: limit)
        }
        var count = 0
        for entry in due where entry.key.count == 40 {
            let bucket = BucketID(octets: Octets16(entry.key.span.extracting(8..<24)))
            let id = UploadID(octets: Octets16(entry.key.span.extracting(24..<40)))
            // A session in use has its own idea of its expiry.
            guard !liveUploads.contains(id) else { continue }
            try await discardUpload(id, of: bucket)
            count += 1
        }
        return count
    }
}
