// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Store {
    /// Reads stored records again and checks them, while everything else goes on.
    ///
    /// Needs no customer's key: the checksums of every record are checked. A damaged chunk is
    /// quarantined: reads of it fail as before, it is no duplicate of anything any more, and the
    /// next upload of the same bytes, by anybody in the deduplication domain, puts a sound record
    /// in its place for all who refer to it. How far it came is kept over restarts.
    ///
    /// - Throws: ``StoreError`` with code `cancelled` (by the task, between two segments), `io`,
    ///   `closed`.
    @discardableResult
    public func scrub(
        _ configuration: ScrubConfiguration = ScrubConfiguration()
    ) async throws(StoreError) -> ScrubReport {
        var scrub = Scrub(engine: engine, configuration: configuration)
        return try await scrub.run()
    }

    /// The blobs that cannot be read whole because of damage that is known.
    ///
    /// Leaves out buckets whose customer key may not be used now: nobody can read those anyway.
    /// Free of cost where there is no damage; else it reads all recipes' reference lists.
    ///
    /// - Throws: ``StoreError`` with code `cancelled`, `corrupted`, `keyUnavailable`, `io`,
    ///   `closed`.
    public func damagedBlobs() async throws(StoreError) -> [DamagedBlob] {
        try await engine.damagedBlobs()
    }
}

extension Engine {
    /// The blobs above chunks that are known to be damaged.
    func damagedBlobs() async throws(StoreError) -> [DamagedBlob] {
        var chunks = try await damagedChunks()
        guard !chunks.isEmpty else { return [] }
        try await addAncestors(to: &chunks)
        var blobs: [DamagedBlob] = []
        var lastAccount: String?
        while true {
            let accounts = try await self.accounts(after: lastAccount)
            for account in accounts {
                try await account.forEachBucket { (bucket) throws(StoreError) in
                    guard try await bucket.keysUnlessLocked() != nil else { return }
                    for digest in try await bucket.blobs(rootedIn: chunks) {
                        blobs.append(
                            DamagedBlob(
                                account: account.name, bucket: bucket.name, digest: digest))
                    }
                }
            }
            guard let last = accounts.last else { return blobs }
            lastAccount = last.name
        }
    }
}

extension Account {
    func forEachBucket(
        _ body: (Bucket) async throws(StoreError) -> Void
    ) async throws(StoreError) {
        var last: String?
        while true {
            let page = try await buckets(after: last)
            for description in page { try await body(try await bucket(description.name)) }
            guard let name = page.last?.name else { return }
            last = name
        }
    }
}

extension Bucket {
    // The digests of blobs whose root is one of these chunks.
    fileprivate func blobs(rootedIn chunks: Set<ChunkID>) async throws(StoreError) -> [Digest] {
        var digests: [Digest] = []
        let pages = engine.pages(
            of: Tables.links, prefix: bucketID.octets.bytes, for: "looking for damaged blobs")
        for try await rows in pages {
            for row in rows {
                let link = try lower(
                    "reading a link",
                    core: { () throws(CoreError) in
                        try LinkRow(decoding: row.value)
                    })
                guard let root = link.rootID, chunks.contains(root) else { continue }
                let name = try RowKey.linkName(of: row.key)
                let key = try await engine.sealingKey(of: link.sealedCapability, owner: bucketID)
                let capability = try await engine.pool.run {
                    [engine] (context) throws(StoreError) in
                    try engine.open(link, name, under: key, &context)
                }
                digests.append(capability.digest)
            }
        }
        return digests
    }
}
