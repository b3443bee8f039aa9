// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

extension Store {
    /// What keeps a blob alive, and what giving it up would free.
    ///
    /// For operators: it looks into every bucket of every account, but for those whose customer key
    /// may not be used now.
    ///
    /// - Throws: ``StoreError`` with code `cancelled`, `corrupted`, `keyUnavailable`, `io`,
    ///   `closed`.
    /// - Complexity: O(buckets), and O(chunks of the blob) for each that has it.
    public func keepers(of digest: Digest) async throws(StoreError) -> BlobKeepers {
        // What the snapshot names stays where it is.
        let pin = engine.segmentPins.pin()
        defer { withExtendedLifetime(pin) {} }
        let snapshot = try await engine.read("looking for keepers") { (index) throws(IndexError) in
            try index.snapshot()
        }
        var result = BlobKeepers()
        var together = GarbageWalk(engine: engine, snapshot: snapshot)
        var lastAccount: String?
        while true {
            let accounts = try await accounts(after: lastAccount)
            for account in accounts {
                try await account.forEachBucket { (bucket) throws(StoreError) in
                    guard let keys = try await bucket.keysUnlessLocked() else { return }
                    guard let link = try await bucket.link(digest, keys, snapshot) else { return }
                    var alone = GarbageWalk(engine: engine, snapshot: snapshot)
                    try await alone.release(link)
                    try await together.release(link)
                    if let root = link.rootID, engine.leases.isLeased(root) {
                        result.isBeingRead = true
                    }
                    result.keepers.append(
                        BlobKeeper(
                            account: account.name, bucket: bucket.name, isPinned: link.isPinned,
                            leaseEnd: link.leaseEnd, objectCount: UInt64(link.referenceCount),
                            objectKeys: try await bucket.objectKeys(
                                referringTo: keys.linkName(of: digest), snapshot),
                            freedByteCount: alone.report.byteCount))
                }
                try engine.checkCancellation("looking for keepers")
            }
            guard let last = accounts.last else { break }
            lastAccount = last.name
        }
        result.freedByteCount = together.report.byteCount
        return result
    }
}

extension Bucket {
    fileprivate func link(
        _ digest: Digest, _ keys: BucketKeys, _ snapshot: any IndexSnapshot
    ) async throws(StoreError) -> LinkRow? {
        let key = RowKey.link(bucketID, keys.linkName(of: digest))
        let bytes = try await engine.read("reading a link") { (_) throws(IndexError) in
            try snapshot.get(Tables.links, key)
        }
        return try lower(
            "reading a link",
            core: { () throws(CoreError) in
                try bytes.map { bytes throws(CoreError) in try LinkRow(decoding: bytes) }
            })
    }

    fileprivate func objectKeys(
        referringTo name: LinkName, _ snapshot: any IndexSnapshot
    ) async throws(StoreError) -> [String] {
        let prefix = RowKey.link(bucketID, name)
        let rows = try await engine.read("listing references") { (_) throws(IndexError) in
            try snapshot.scan(
                Tables.references, prefix: prefix, limit: BlobKeeper.objectKeyCountMax)
        }
        return rows.map { RowKey.objectKey(ofVersionName: $0.key.dropFirst(prefix.count)) }
    }
}
