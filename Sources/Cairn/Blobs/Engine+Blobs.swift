// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension BucketKeys {
    /// The key that seals a bucket's records of the index.
    func sealingKey(_ engine: Engine, _ bucket: BucketID) -> SealingKey {
        SealingKey(
            slot: dataKeySlot, key: dataKey,
            scope: RecordScope(storeID: engine.storeID, ownerID: bucket.octets))
    }
}

extension Engine {
    /// Blobs up to this size are sealed whole inside the index: one flush, and never convergent,
    /// for manifests and configurations are guessable.
    static let smallBlobByteCountMax = 16 << 10

    var storeScope: RecordScope { RecordScope(storeID: storeID, ownerID: storeID) }

    /// The key that seals the store's own records of the index.
    var sealingKey: SealingKey {
        SealingKey(slot: StoreFormat.storeKeySlot, key: storeKey, scope: storeScope)
    }

    /// The key that a record of a bucket was sealed with; older generations stay readable.
    func sealingKey(
        of record: [UInt8], owner bucket: BucketID
    ) async throws(StoreError) -> SealingKey {
        let slot = try Self.keySlot(of: record)
        return SealingKey(
            slot: slot, key: try await keys.dataKey(slot, of: bucket),
            scope: RecordScope(storeID: storeID, ownerID: bucket.octets))
    }

    /// The slot of the key that a record was sealed with.
    static func keySlot(of record: [UInt8]) throws(StoreError) -> UInt32 {
        try lower(
            "opening a sealed record",
            core: { () throws(CoreError) in
                try RecordHeader(parsing: record.span).keySlot
            })
    }

    // MARK: - Writing

    /// Makes a blob ready to be linked; its ledger is the caller's to add.
    func prepare(
        _ received: ReceivedBytes, _ hold: BlobHold, _ bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> PreparedBlob {
        try await pool.run { [self] (context) throws(StoreError) in
            var blob =
                switch received.body {
                case .small(let bytes):
                    try prepareSmall(bytes, received.digests.digest, hold, bucket, keys, &context)
                case .tree(let tree): try prepare(tree, hold, bucket, keys, &context)
                }
            blob.checksums = received.digests.checksums
            return blob
        }
    }

    /// Seals a blob that is kept inside the index.
    func prepareSmall(
        _ bytes: [UInt8], _ digest: Digest, _ hold: BlobHold, _ bucket: BucketID,
        _ keys: BucketKeys, _ context: inout WorkerContext
    ) throws(StoreError) -> PreparedBlob {
        let capability = Capability(digest: digest, byteCount: UInt64(bytes.count), root: nil)
        var blob = try prepare(capability, nil, hold, bucket, keys, &context)
        blob.sealedBytes = try context.seal(
            bytes, as: .smallBlob, name: blob.name.octets, under: keys.sealingKey(self, bucket))
        return blob
    }

    /// Seals the capability of a blob whose chunks are placed.
    func prepare(
        _ tree: FinishedTree, _ hold: BlobHold, _ bucket: BucketID, _ keys: BucketKeys,
        _ context: inout WorkerContext
    ) throws(StoreError) -> PreparedBlob {
        guard tree.root?.entry.level ?? 0 <= RecipeNode.levelMax else {
            throw StoreError(.limitExceeded, "the tree of a blob would be too high")
        }
        let root = tree.root.map {
            BlobRoot(layout: tree.layout, domainSlot: keys.domain.slot, entry: $0.entry)
        }
        let capability = Capability(
            digest: tree.digests.digest, byteCount: tree.byteCount, root: root)
        return try prepare(
            capability, tree.root?.id, hold, bucket, keys, &context)
    }

    /// Seals a capability under a bucket's data key.
    func prepare(
        _ capability: Capability, _ rootID: ChunkID?, _ hold: BlobHold, _ bucket: BucketID,
        _ keys: BucketKeys, _ context: inout WorkerContext
    ) throws(StoreError) -> PreparedBlob {
        let name = keys.linkName(of: capability.digest)
        let now = clock.now()
        let sealed = try context.seal(
            capability.encoded(), as: .metadata, name: name.octets,
            under: keys.sealingKey(self, bucket))
        return PreparedBlob(
            description: BlobDescription(
                digest: capability.digest, byteCount: capability.byteCount, createdAt: now),
            name: name,
            link: LinkRow(
                hold, rootID: rootID, byteCount: capability.byteCount,
                createdAt: now, referenceCount: 0, sealedCapability: sealed))
    }

    // MARK: - Reading

    /// Opens the capability in a link, and checks that it belongs there.
    func open(
        _ link: LinkRow, _ name: LinkName, under key: SealingKey, _ context: inout WorkerContext
    ) throws(StoreError) -> Capability {
        let bytes = try context.open(
            link.sealedCapability, as: .metadata, name: name.octets, under: key)
        let capability = try lower(
            "opening a link",
            core: { () throws(CoreError) in
                try Capability(decoding: bytes)
            })
        guard capability.byteCount == link.byteCount,
            (capability.root == nil) == (link.rootID == nil)
        else { throw StoreError(.corrupted, "a link contradicts its capability") }
        return capability
    }

    /// Blocks: for worker threads.
    func linkRow(
        _ bucket: BucketID, _ name: LinkName
    ) throws(StoreError) -> LinkRow? {
        guard let bytes = try row(Tables.links, RowKey.link(bucket, name)) else { return nil }
        return try lower(
            "reading a link",
            core: { () throws(CoreError) in
                try LinkRow(decoding: bytes)
            })
    }

    /// Blocks: for worker threads.
    func row(_ table: IndexTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try lower(
            "reading \(table.name)", index: { () throws(IndexError) in try index.get(table, key) })
    }

    func hasLink(_ name: LinkName, in bucket: BucketID) async throws(StoreError) -> Bool {
        try await read("looking for a link") { (index) throws(IndexError) in
            try index.get(Tables.links, RowKey.link(bucket, name)) != nil
        }
    }

    /// The link and the capability of a blob; nil when the bucket has none of this digest.
    func find(
        _ digest: Digest, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> (LinkRow, Capability)? {
        try checkOpen()
        let name = keys.linkName(of: digest)
        let found = try await pool.run {
            [self] (context) throws(StoreError) -> (LinkRow, Capability?)? in
            guard let link = try linkRow(bucket, name) else { return nil }
            // The key at hand opens all but what is left of older ones: no second turn for that.
            guard try Self.keySlot(of: link.sealedCapability) == keys.dataKeySlot else {
                return (link, nil)
            }
            return (link, try open(link, name, under: keys.sealingKey(self, bucket), &context))
        }
        guard let (link, opened) = found else { return nil }
        let capability: Capability
        if let opened {
            capability = opened
        } else {
            let key = try await sealingKey(of: link.sealedCapability, owner: bucket)
            capability = try await pool.run { [self] (context) throws(StoreError) in
                try open(link, name, under: key, &context)
            }
        }
        guard capability.digest == digest else {
            throw StoreError(.corrupted, "a link names another blob")
        }
        return (link, capability)
    }

    /// The bytes of a small blob; nil when it was deleted since the caller looked.
    func smallBlob(
        _ digest: Digest, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> [UInt8]? {
        let name = keys.linkName(of: digest)
        let row = RowKey.link(bucket, name)
        let (record, isLinked) = try await read("reading a small blob") {
            (index) throws(IndexError) -> ([UInt8]?, Bool) in
            if let record = try index.get(Tables.smallBlobs, row) { return (record, true) }
            // Both tables as of one moment: only then does a missing row say anything.
            let snapshot = try index.snapshot()
            let isLinked = try snapshot.get(Tables.links, row) != nil
            return (try snapshot.get(Tables.smallBlobs, row), isLinked)
        }
        guard isLinked else { return nil }
        guard let record else {
            throw StoreError(.corrupted, "the bytes of a small blob are missing")
        }
        let key = try await sealingKey(of: record, owner: bucket)
        return try await pool.run { (context) throws(StoreError) in
            try context.open(record, as: .smallBlob, name: name.octets, under: key)
        }
    }

    /// Opens a blob for reading; nil when the bucket has none of this digest.
    func openBlob(
        _ digest: Digest, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> Blob? {
        while let (link, capability) = try await find(digest, in: bucket, keys) {
            let description = BlobDescription(
                digest: digest, byteCount: capability.byteCount, createdAt: link.createdAt)
            guard let root = capability.root, let rootID = link.rootID else {
                guard let bytes = try await smallBlob(digest, in: bucket, keys) else { return nil }
                guard UInt64(bytes.count) == capability.byteCount else {
                    throw StoreError(.corrupted, "a small blob is not as long as its link says")
                }
                return Blob(description, .inline(bytes), keys, self)
            }
            let lease = await leases.lease(rootID)
            guard try await isKept(rootID, by: RowKey.link(bucket, keys.linkName(of: digest)))
            else { continue }
            let domain = try await self.keys.domain(root.domainSlot, for: keys)
            let reader = ChunkReader(engine: self, domain: domain.keys)
            return Blob(description, .tree([root.entry], reader, lease), keys, self)
        }
        return nil
    }

    /// Whether a leased root has its row. False: the blob was deleted and swept since the caller
    /// looked, and perhaps stored anew.
    private func isKept(_ root: ChunkID, by link: [UInt8]) async throws(StoreError) -> Bool {
        let (isThere, isLinked) = try await read("opening a blob") {
            (index) throws(IndexError) -> (Bool, Bool) in
            if try index.get(Tables.chunks, root.octets.bytes) != nil { return (true, true) }
            let snapshot = try index.snapshot()
            let isThere = try snapshot.get(Tables.chunks, root.octets.bytes) != nil
            return (isThere, try snapshot.get(Tables.links, link) != nil)
        }
        guard isThere || !isLinked else {
            throw StoreError(.corrupted, "a blob's root has no row in the chunk table")
        }
        return isThere
    }
}
