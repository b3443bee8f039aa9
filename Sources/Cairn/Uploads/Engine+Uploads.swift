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
        try add(.uploads, of: bucket, 1)
        try add(.inFlightBytes, of: bucket, Int64(clamping: row.receivedByteCount))
        try put(Tables.uploads, RowKey.upload(bucket, id), row.encoded())
        try put(Tables.uploadExpiry, RowKey.uploadExpiry(row.expiresAt, bucket, id), [])
    }

    /// Deletes the rows of a session whose chunks have passed to somebody else.
    func forgetUpload(_ id: UploadID, of bucket: BucketID) throws(StoreError) {
        guard let row = try upload(id, of: bucket) else { return }
        try add(.uploads, of: bucket, -1)
        try add(.inFlightBytes, of: bucket, -Int64(clamping: row.receivedByteCount))
        try delete(Tables.uploads, RowKey.upload(bucket, id))
        try delete(Tables.uploadExpiry, RowKey.uploadExpiry(row.expiresAt, bucket, id))
    }
}

extension Engine {
    /// Expired sessions that one call reaps beside its own work: enough to keep up with any rate
    /// at which sessions are begun.
    static let reapedCountMax = 4

    /// - Parameters:
    ///   - isPart: whether the session is one of a multipart upload.
    ///   - digests: what is computed; of a part those of the bytes that come before it.
    ///   - byteCount: of the bytes to come, as far as it is known.
    func beginUpload(
        in bucket: BucketID, _ keys: BucketKeys, _ digests: StreamDigests, isPart: Bool = false,
        byteCount: UInt64 = 0
    ) async throws(StoreError) -> UploadSession {
        try checkOpen()
        let reservation = try await reserve(in: bucket, byteCount: byteCount, isPart: isPart)
        let id = UploadID(octets: UUIDText.random(from: random))
        guard let claim = liveUploads.claim(id) else {
            reservation.end()
            throw StoreError(.uploadBusy, "a new upload session got a name that is in use")
        }
        let chunker = Chunker(parameters: self.chunker, key: keys.domain.keys.chunkerKey)
        return UploadSession(
            claim, bucketID: bucket, keys: keys, engine: self,
            stage: DigestStage(
                digests: digests, precedingByteCount: digests.byteCount, chunker: chunker,
                domain: keys.domain.keys),
            builder: RecipeBuilder(), isPart: isPart, reservation, row: nil)
    }

    /// Restores a session from its last checkpoint.
    func resumeUpload(
        _ id: UploadID, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> UploadSession {
        guard let claim = liveUploads.claim(id) else {
            throw StoreError(.uploadBusy, "the upload session is in use")
        }
        do throws(StoreError) {
            return try await restoreUpload(claim, in: bucket, keys)
        } catch {
            liveUploads.release(claim)
            throw error
        }
    }

    private func restoreUpload(
        _ claim: LiveUploads.Claim, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> UploadSession {
        let id = claim.id
        guard let row = try await uploadRow(id, of: bucket) else {
            throw StoreError(.uploadUnknown, "the bucket has no such upload session")
        }
        guard clock.now() < row.expiresAt else {
            throw StoreError(.uploadExpired, "the upload session expired unused")
        }
        let state = try await openState(of: row, id, bucket)
        // The bucket may have moved to another domain since: the tree goes on where it began.
        var keys = keys
        keys.domain = try await self.keys.domain(state.domainSlot(in: keys), for: keys)
        guard !state.isPart else {
            throw StoreError(.uploadUnknown, "a part of a multipart upload is sent anew")
        }
        guard state.builder.byteCount == state.digests.byteCount else {
            throw StoreError(.corrupted, "an upload's tree is not as long as its digest says")
        }
        let chunker = try lower(
            "resuming an upload session",
            core: { () throws(CoreError) in
                try Chunker(
                    restoring: state.chunker.span, parameters: self.chunker,
                    key: keys.domain.keys.chunkerKey)
            })
        let stage = DigestStage(
            digests: state.digests, chunker: chunker, domain: keys.domain.keys)
        let reservation = try await reserve(
            in: bucket, durableByteCount: row.receivedByteCount)
        let session = UploadSession(
            claim, bucketID: bucket, keys: keys, engine: self, stage: stage,
            builder: state.builder, reservation, row: row)
        // The tail was received but never hashed: it takes the way of any other bytes.
        let tail = state.tail
        try await session.take(tail.span)
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
    /// The caller has claimed the session.
    ///
    /// - Parameter deadline: leaves a session alone that lives longer; nil is any.
    /// - Returns: false when there was no such checkpoint.
    @discardableResult
    func discardUpload(
        _ id: UploadID, of bucket: BucketID, expiredBy deadline: Timestamp? = nil
    ) async throws(StoreError) -> Bool {
        while let row = try await uploadRow(id, of: bucket) {
            if let deadline, row.expiresAt > deadline { return false }
            let expected = row.encoded()
            let held = try await heldChunks(of: expected, id)
            let isDone = try await transact { (transaction) throws(StoreError) -> Bool in
                let current = try transaction.get(Tables.uploads, RowKey.upload(bucket, id))
                guard current == expected else { return false }
                try transaction.forgetUpload(id, of: bucket)
                var deltas: [ChunkID: Int64] = [:]
                for id in held { deltas[id, default: 0] -= 1 }
                try transaction.changeReferences(deltas)
                return true
            }
            if isDone { return true }
        }
        return false
    }

    /// Ends sessions whose time is over, oldest first, in time proportional to their number.
    ///
    /// One that somebody has in his hands is passed over, and so is one that cannot be ended, for
    /// it is damaged or the disk is full: neither keeps the others alive, nor the caller from his
    /// own work. Verification reports damage.
    ///
    /// - Parameter limit: ends at most so many.
    /// - Returns: how many were ended.
    @discardableResult
    func reapExpiredUploads(limit: Int) async throws(StoreError) -> Int {
        let now = clock.now()
        return try await reap(
            Tables.uploadExpiry, before: RowKey.time(now), limit: limit
        ) { await self.reap($0, at: now) }
    }

    /// Works off a table whose keys begin with a time, the oldest first.
    ///
    /// - Parameters:
    ///   - limit: how many to end at most.
    ///   - end: ends what a key names; false passes over it.
    /// - Returns: how many were ended.
    func reap(
        _ table: IndexTable, before deadline: [UInt8], limit: Int,
        _ end: ([UInt8]) async -> Bool
    ) async throws(StoreError) -> Int {
        var from: [UInt8] = []
        var count = 0
        while count < limit {
            let due = try await read("looking for expired uploads") {
                [from] (index) throws(IndexError) in
                try index.scan(table, from: from, before: deadline, limit: 64)
            }
            guard let last = due.last?.key else { return count }
            for entry in due where count < limit {
                if await end(entry.key) { count += 1 }
            }
            from = last + [0]
        }
        return count
    }

    private func reap(_ key: [UInt8], at now: Timestamp) async -> Bool {
        guard key.count == 40 else { return false }
        let bucket = BucketID(octets: Octets16(key.span.extracting(8..<24)))
        let id = UploadID(octets: Octets16(key.span.extracting(24..<40)))
        guard let claim = liveUploads.claim(id) else { return false }
        defer { liveUploads.release(claim) }
        do throws(StoreError) {
            return try await discardUpload(id, of: bucket, expiredBy: now)
        } catch {
            return false
        }
    }
}
