// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// Blobs by digest.
extension Bucket {
    /// Stores a blob that is in memory. Durable on return.
    ///
    /// - Parameters:
    ///   - bytes: the whole blob.
    ///   - expected: the digest that the bytes must have; nil accepts any bytes.
    ///   - lifetime: how long it stays. A blob that is there already gets the longer of both.
    /// - Throws: ``StoreError`` with code `digestMismatch` (nothing was stored), `bucketUnknown`,
    ///   `invalidArgument` (a lease of no time), `outOfSpace`, `io`, `keyUnavailable`, `closed`.
    @discardableResult
    public func putBlob(
        _ bytes: Span<UInt8>, expecting expected: Digest? = nil,
        lifetime: BlobLifetime = .untilDeleted
    ) async throws(StoreError) -> BlobDescription {
        try await upload(bytes, algorithm: expected?.algorithm ?? .sha256) {
            (session) throws(StoreError) in
            try await session.commit(expecting: expected, lifetime: lifetime)
        }
    }

    /// Describes a blob.
    ///
    /// - Parameter duration: lets a blob that is leased, or kept by objects alone, stay so long
    ///   from now on at least, durably on return: for whoever is about to name it in an object.
    ///   Nil changes nothing.
    /// - Throws: ``StoreError`` with code `blobUnknown` (not in this bucket, whatever others
    ///   have), `invalidArgument` (a lease of no time), `corrupted`, `outOfSpace`,
    ///   `keyUnavailable`, `io`, `closed`.
    public func stat(
        _ digest: Digest, leasingFor duration: Duration? = nil
    ) async throws(StoreError) -> BlobDescription {
        let keys = try await keys()
        guard let (link, capability) = try await engine.find(digest, in: bucketID, keys) else {
            throw Self.unknown(digest)
        }
        var leaseEnd = link.leaseEnd
        if let duration,
            case .lease(let end) = try BlobHold(.leased(duration), at: engine.clock.now()),
            !link.isHeld(until: end)
        {
            let (bucketID, name) = (bucketID, keys.linkName(of: digest))
            leaseEnd = try await engine.transact { (transaction) throws(StoreError) in
                guard let link = try transaction.link(bucketID, name) else {
                    throw Self.unknown(digest)
                }
                return try transaction.lease(link, until: end, bucketID, name).leaseEnd
            }
        }
        return BlobDescription(
            digest: digest, byteCount: capability.byteCount, createdAt: link.createdAt,
            leaseEnd: leaseEnd)
    }

    /// Opens a blob for reading.
    ///
    /// - Throws: as ``stat(_:)``.
    public func openBlob(_ digest: Digest) async throws(StoreError) -> Blob {
        guard let blob = try await engine.openBlob(digest, in: bucketID, keys()) else {
            throw Self.unknown(digest)
        }
        return blob
    }

    /// Lists blobs, a page at a time.
    ///
    /// - Parameters:
    ///   - cursor: ``BlobPage/next`` of the page before; nil starts at the beginning.
    ///   - limit: 1 to 1000 blobs.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `corrupted`, `io`,
    ///   `keyUnavailable`, `closed`.
    /// - Complexity: O(log *n* + page).
    public func blobs(
        after cursor: BlobCursor? = nil, limit: Int = 1000
    ) async throws(StoreError) -> BlobPage {
        try Self.checkPage(limit)
        let prefix = bucketID.octets.bytes
        let after = cursor.map { RowKey.link(bucketID, $0.linkName) }
        let rows = try await engine.read("listing blobs") { (index) throws(IndexError) in
            try index.scan(Tables.links, prefix: prefix, after: after, limit: limit)
        }
        var blobs: [BlobDescription] = []
        for (name, link, key) in try await sealedLinks(rows) {
            let capability = try await engine.pool.run { [engine] (context) throws(StoreError) in
                try engine.open(link, name, under: key, &context)
            }
            blobs.append(
                BlobDescription(
                    digest: capability.digest, byteCount: capability.byteCount,
                    createdAt: link.createdAt, leaseEnd: link.leaseEnd))
        }
        let last = rows.count == limit ? rows.last : nil
        let next = try last.map { (row) throws(StoreError) in
            BlobCursor(try RowKey.linkName(of: row.key))
        }
        return BlobPage(blobs: blobs, next: next)
    }

    /// Makes a blob of another bucket a blob of this one too. Durable on return.
    ///
    /// Costs the same whatever the size: one sealed capability moves, no bytes.
    ///
    /// - Parameter lifetime: how long it stays. A blob that is there already gets the longer of
    ///   both.
    /// - Throws: ``StoreError`` with code `blobUnknown` (the source does not have it),
    ///   `bucketUnknown`, `invalidArgument` (buckets of two accounts), `domainMismatch` (the blob
    ///   lies in a deduplication domain that this bucket has no part in: upload it),
    ///   `quotaExceeded`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    @discardableResult
    public func mountBlob(
        _ digest: Digest, from source: Bucket, lifetime: BlobLifetime = .untilDeleted
    ) async throws(StoreError) -> BlobDescription {
        guard source.row.accountID == row.accountID, source.engine === engine else {
            throw StoreError(.invalidArgument, "a blob is mounted within one account")
        }
        let hold = try BlobHold(lifetime, at: engine.clock.now())
        let (bucketID, sourceID) = (bucketID, source.bucketID)
        while true {
            guard let blob = try await mountable(digest, from: source, hold) else {
                throw Self.unknown(digest)
            }
            let sourceName = try await source.keys().linkName(of: digest)
            let mounted = try await engine.transact {
                (transaction) throws(StoreError) -> BlobDescription? in
                guard let link = try transaction.link(sourceID, sourceName) else {
                    throw Self.unknown(digest)
                }
                // Deleted and stored anew in another domain since.
                guard link.rootID == blob.link.rootID else { return nil }
                try transaction.mount(blob, in: bucketID)
                return try transaction.describe(blob, in: bucketID)
            }
            if let mounted { return mounted }
        }
    }

    /// Deletes a blob from this bucket. Durable on return.
    ///
    /// Other buckets keep theirs. What nothing needs any more is freed later, in the background.
    ///
    /// - Throws: ``StoreError`` with code `blobUnknown`, `blobReferenced` (objects of the bucket
    ///   refer to it: delete them first), `io`, `closed`.
    public func deleteBlob(_ digest: Digest) async throws(StoreError) {
        let name = try await keys().linkName(of: digest)
        let bucketID = bucketID
        try await engine.transact { (transaction) throws(StoreError) in
            guard let link = try transaction.link(bucketID, name) else {
                throw Self.unknown(digest)
            }
            try transaction.deleteBlob(link, bucketID, name)
        }
    }

    // MARK: -

    /// Sends bytes in memory through a session that nobody else sees.
    func upload<R>(
        _ bytes: Span<UInt8>, algorithm: Digest.Algorithm = .sha256,
        checksums: Set<ChecksumAlgorithm> = [],
        finish: (UploadSession) async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        let session = try await engine.beginUpload(
            in: bucketID, keys(), StreamDigests(algorithm, checksums: checksums),
            byteCount: UInt64(bytes.count))
        do throws(StoreError) {
            try await session.append(bytes)
            return try await finish(session)
        } catch {
            await session.discard()
            throw error
        }
    }

    static func unknown(_ digest: Digest) -> StoreError {
        StoreError(.blobUnknown, "the bucket has no blob \(digest)")
    }

    private func sealedLinks(
        _ rows: [IndexEntry]
    ) async throws(StoreError) -> [(LinkName, LinkRow, SealingKey)] {
        var links: [(LinkName, LinkRow, SealingKey)] = []
        for row in rows {
            let link = try lower(
                "listing blobs",
                core: { () throws(CoreError) in
                    try LinkRow(decoding: row.value)
                })
            let key = try await engine.sealingKey(of: link.sealedCapability, owner: bucketID)
            links.append((try RowKey.linkName(of: row.key), link, key))
        }
        return links
    }

    /// A blob of another bucket, sealed for this one; nil when that bucket does not have it.
    func mountable(
        _ digest: Digest, from source: Bucket, _ hold: BlobHold
    ) async throws(StoreError) -> PreparedBlob? {
        let (keys, sourceKeys) = (try await keys(), try await source.keys())
        guard
            let (link, capability) = try await engine.find(digest, in: source.bucketID, sourceKeys)
        else { return nil }
        guard let rootID = link.rootID else {
            guard
                let bytes = try await engine.smallBlob(digest, in: source.bucketID, sourceKeys)
            else { return nil }
            return try await engine.pool.run { [engine, bucketID] (context) throws(StoreError) in
                try engine.prepareSmall(
                    bytes, digest, hold, bucketID, keys, &context)
            }
        }
        guard let root = capability.root, keys.domain(slot: root.domainSlot) != nil else {
            throw StoreError(
                .domainMismatch, "the bucket has no part in the domain of the blob; upload it")
        }
        return try await engine.pool.run { [engine, bucketID] (context) throws(StoreError) in
            try engine.prepare(capability, rootID, hold, bucketID, keys, &context)
        }
    }
}

extension Transaction {
    /// Takes a blob out of a bucket, unless objects keep it.
    func deleteBlob(
        _ link: LinkRow, _ bucket: BucketID, _ name: LinkName
    ) throws(StoreError) {
        guard link.referenceCount == 0 else {
            throw StoreError(
                .blobReferenced, "\(link.referenceCount) objects of the bucket refer to the blob")
        }
        try unlink(link, bucket, name)
    }

    /// The description of a blob that the transaction has linked.
    func describe(
        _ blob: PreparedBlob, in bucket: BucketID
    ) throws(StoreError) -> BlobDescription {
        let link = try link(bucket, blob.name)
        return BlobDescription(
            digest: blob.description.digest, byteCount: blob.description.byteCount,
            createdAt: link?.createdAt ?? blob.description.createdAt, leaseEnd: link?.leaseEnd)
    }
}
