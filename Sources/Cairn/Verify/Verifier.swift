// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

extension Store {
    /// Checks that the store is sound, while it is in use.
    ///
    /// Rows are read from one snapshot of the index. References are counted anew, from links,
    /// upload sessions and the reference lists in segments, and compared with the counts in the
    /// index: half a million chunks at a time, so that 64 MiB of memory are enough.
    ///
    /// - Parameters:
    ///   - depth: what to read.
    ///   - progress: called after every blob, from one thread at a time.
    /// - Returns: what was found. Damage is reported, not thrown.
    /// - Throws: ``StoreError`` with code `cancelled` (by the task: before the next page of rows,
    ///   blob or segment), `io`, `keyUnavailable`, `closed`.
    public func verify(
        _ depth: VerifyDepth = .full,
        progress: (@Sendable (VerifyProgress) -> Void)? = nil
    ) async throws(StoreError) -> VerifyReport {
        var verifier = Verifier(
            engine: engine, depth: depth, report: VerifyReport(), onProgress: progress)
        return try await verifier.run()
    }
}

/// One walk over a store.
private struct Verifier {
    let engine: Engine
    let depth: VerifyDepth
    var report: VerifyReport
    var progress = VerifyProgress()
    let onProgress: (@Sendable (VerifyProgress) -> Void)?
    // What is damaged in segments, whether anything needs it or not.
    var damage: [SegmentNumber: [Range<UInt64>]] = [:]

    init(
        engine: Engine, depth: VerifyDepth, report: VerifyReport,
        onProgress: (@Sendable (VerifyProgress) -> Void)?
    ) {
        self.engine = engine
        self.depth = depth
        self.report = report
        self.onProgress = onProgress
    }

    mutating func run() async throws(StoreError) -> VerifyReport {
        // What the snapshot names stays where it is.
        let pin = engine.segmentPins.pin()
        defer { withExtendedLifetime(pin) {} }
        let snapshot = try await engine.read("verifying") { (index) throws(IndexError) in
            try index.snapshot()
        }
        let index = VerifiedIndex(engine: engine, snapshot: snapshot)
        progress.totalBlobCount = try await countBlobs(index)
        let buckets = try await buckets(index)
        for bucket in buckets { try await check(bucket, index) }
        try await checkKeys(of: buckets, index)
        if depth == .full { try await readSegments() }
        var audit = ReferenceAudit(index: index, damage: damage)
        let stored = try await audit.run(&report)
        let names = Dictionary(uniqueKeysWithValues: buckets.map { ($0.0, $0.1.name) })
        var usage = UsageAudit(index: index, names: names)
        try await usage.run(stored: stored, &report)
        return report
    }

    // MARK: - Buckets

    private func countBlobs(_ index: VerifiedIndex) async throws(StoreError) -> UInt64 {
        try await index.read { (snapshot) throws(IndexError) in
            var count: UInt64 = 0
            try snapshot.forEachRow(Tables.links, prefix: []) { (_) throws(IndexError) in
                count += 1
            }
            return count
        }
    }

    private mutating func buckets(
        _ index: VerifiedIndex
    ) async throws(StoreError) -> [(BucketID, BucketRow)] {
        let rows = try await index.read { (snapshot) throws(IndexError) in
            var rows: [IndexEntry] = []
            try snapshot.forEachRow(Tables.buckets, prefix: []) { (row) throws(IndexError) in
                rows.append(row)
            }
            return rows
        }
        var buckets: [(BucketID, BucketRow)] = []
        for row in rows {
            do throws(StoreError) {
                let id = try RowKey.bucketID(of: row.key)
                buckets.append((id, try await engine.openBucketRow(id, row.value)))
            } catch {
                try note(error, "the row of the bucket \(Hex.encode(row.key)) is damaged")
            }
        }
        return buckets
    }

    private mutating func check(
        _ item: (BucketID, BucketRow), _ index: VerifiedIndex
    ) async throws(StoreError) {
        let (id, row) = item
        let bucket = Bucket(id, row, engine, changeCount: engine.bucketChangeCount)
        let keys: BucketKeys
        do throws(StoreError) { keys = try await bucket.keys() } catch {
            if error.isLock { report.lockedBucketCount += 1 }
            // Deleted since the snapshot.
            if error.isLock || error.code == .bucketUnknown { return }
            return try note(error, error.message, bucket: bucket.name)
        }
        let pages = index.pages(of: Tables.links, prefix: id.octets.bytes)
        var referenceCount: UInt64 = 0
        for try await rows in pages {
            for row in rows {
                let link = try await checkLink(row, of: bucket, keys)
                if let end = link?.leaseEnd {
                    try await checkLease(until: end, row.key, of: bucket, index)
                }
                referenceCount += UInt64(link?.referenceCount ?? 0)
            }
        }
        var audit = ObjectAudit(index: index, bucket: id, keys: keys)
        do throws(StoreError) { try await audit.run(counted: referenceCount) } catch {
            return try note(error, error.message, bucket: bucket.name)
        }
        for problem in audit.problems { report.add(problem, bucket: bucket.name) }
        let multiparts = MultipartAudit(index: index, bucket: bucket, keys: keys)
        do throws(StoreError) { try await multiparts.run(&report) } catch {
            return try note(error, error.message, bucket: bucket.name)
        }
    }

    // A row of a bucket that is older than its newest data key is a copy that was put back.
    private mutating func checkKeys(
        of buckets: [(BucketID, BucketRow)], _ index: VerifiedIndex
    ) async throws(StoreError) {
        let rows = Dictionary(uniqueKeysWithValues: buckets.map { ($0.0.octets, $0.1) })
        for try await page in index.pages(of: Tables.keys) {
            for entry in page {
                do throws(StoreError) {
                    let key = try lower(
                        "reading a key",
                        core: { () throws(CoreError) in
                            try KeyRow(decoding: entry.value)
                        })
                    guard key.kind == .bucketData, let row = rows[key.ownerID],
                        key.generation > row.generation
                    else { continue }
                    report.add("the bucket's row is older than its data key", bucket: row.name)
                } catch {
                    try note(error, error.message)
                }
            }
        }
    }

    // MARK: - Blobs

    private mutating func checkLease(
        until end: Timestamp, _ link: [UInt8], of bucket: Bucket, _ index: VerifiedIndex
    ) async throws(StoreError) {
        let key = RowKey.blobLease(end, bucket.bucketID, try RowKey.linkName(of: link))
        if try await index.get(Tables.blobLeases, key) == nil {
            report.add("the lease of a blob would never end", bucket: bucket.name)
        }
    }

    // Nil when the row is damaged.
    private mutating func checkLink(
        _ row: IndexEntry, of bucket: Bucket, _ keys: BucketKeys
    ) async throws(StoreError) -> LinkRow? {
        var digest: Digest?
        var found: LinkRow?
        do throws(StoreError) {
            let name = try RowKey.linkName(of: row.key)
            let link = try lower(
                "reading a link",
                core: { () throws(CoreError) in
                    try LinkRow(decoding: row.value)
                })
            found = link
            let key = try await engine.sealingKey(of: link.sealedCapability, owner: bucket.bucketID)
            let capability = try await engine.pool.run { [engine] (context) throws(StoreError) in
                try engine.open(link, name, under: key, &context)
            }
            digest = capability.digest
            try await checkBytes(of: capability, in: bucket, keys)
        } catch {
            try note(error, error.message, bucket: bucket.name, digest: digest)
        }
        report.checkedBlobCount += 1
        progress.checkedBlobCount = report.checkedBlobCount
        progress.checkedByteCount = report.checkedByteCount
        onProgress?(progress)
        return found
    }

    private mutating func checkBytes(
        of capability: Capability, in bucket: Bucket, _ keys: BucketKeys
    ) async throws(StoreError) {
        try engine.checkCancellation("the verification")
        guard depth == .full || capability.root == nil else { return }
        let digest = capability.digest
        guard let blob = try await engine.openBlob(digest, in: bucket.bucketID, keys) else {
            return
        }
        var sha256 = SHA256()
        var sha512 = SHA512()
        for try await buffer in blob.bytesWithin {
            report.checkedByteCount += UInt64(buffer.count)
            switch digest.algorithm {
            case .sha256: sha256.update(buffer.span)
            case .sha512: sha512.update(buffer.span)
            }
        }
        guard (digest.algorithm == .sha256 ? sha256.digest : sha512.digest) == digest else {
            throw StoreError(.corrupted, "the bytes do not have the digest")
        }
    }

    // MARK: - Segments

    private mutating func readSegments() async throws(StoreError) {
        let engine = engine
        for segment in try await engine.segmentNumbers() {
            try engine.checkCancellation("the verification")
            let (found, byteCount) = try await engine.pool.run { (_) throws(StoreError) in
                try lower(
                    "reading segments",
                    segments: { () throws(SegmentError) in
                        try engine.scan(segment)
                    })
            }
            report.checkedByteCount += byteCount
            if !found.isEmpty { damage[segment] = found }
        }
    }

    // MARK: -

    // Damage is a finding; anything else ends the verification.
    private mutating func note(
        _ error: StoreError, _ message: String, bucket: String? = nil, digest: Digest? = nil
    ) throws(StoreError) {
        switch error.code {
        case .corrupted, .formatTooNew: report.add(message, bucket: bucket, digest: digest)
        // Its key was disabled, or the bucket deleted, in the middle of it.
        case .keyDisabled, .keyUnknown, .bucketUnknown: break
        default: throw error
        }
    }
}
