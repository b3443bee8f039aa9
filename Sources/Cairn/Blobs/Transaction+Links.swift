// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// A blob that is complete and stored, and only lacks its link.
struct PreparedBlob: Sendable {
    var description: BlobDescription
    var name: LinkName
    var link: LinkRow
    /// The sealed bytes of a blob too small for a segment.
    var sealedBytes: [UInt8]?
    var ledger = ChunkLedger()
    /// Those that were computed of its bytes.
    var checksums: [Checksum] = []

    var needsSegments: Bool { !ledger.isEmpty }
}

extension Transaction {
    /// Fails when the bucket was deleted meanwhile.
    func checkBucket(_ bucket: BucketID) throws(StoreError) {
        guard try get(Tables.buckets, bucket.octets.bytes) != nil else {
            throw StoreError(.bucketUnknown, "the bucket was deleted")
        }
    }

    func link(_ bucket: BucketID, _ name: LinkName) throws(StoreError) -> LinkRow? {
        try row(Tables.links, RowKey.link(bucket, name)) { (bytes) throws(CoreError) in
            try LinkRow(decoding: bytes)
        }
    }

    func put(_ link: LinkRow, _ bucket: BucketID, _ name: LinkName) throws(StoreError) {
        try put(Tables.links, RowKey.link(bucket, name), link.encoded())
    }

    /// Links a prepared blob; the bytes of one that is linked already are given up.
    ///
    /// - Returns: the link as it is now.
    @discardableResult
    func link(_ blob: PreparedBlob, in bucket: BucketID) throws(StoreError) -> LinkRow {
        try checkBucket(bucket)
        guard let existing = try link(bucket, blob.name) else {
            try blob.ledger.apply(to: self, for: bucket)
            return try insert(blob, in: bucket)
        }
        try blob.ledger.apply(
            to: self, for: bucket, dropping: blob.link.rootID.map { [$0] } ?? [])
        return try hold(existing, as: blob.link, bucket, blob.name)
    }

    /// Links a blob whose tree is in the index already; counts one more reference to its root.
    func mount(_ blob: PreparedBlob, in bucket: BucketID) throws(StoreError) {
        try checkBucket(bucket)
        if let existing = try link(bucket, blob.name) {
            try hold(existing, as: blob.link, bucket, blob.name)
        } else {
            if let root = blob.link.rootID { try changeReferences([root: 1]) }
            try insert(blob, in: bucket)
        }
    }

    @discardableResult
    private func insert(_ blob: PreparedBlob, in bucket: BucketID) throws(StoreError) -> LinkRow {
        try put(blob.link, bucket, blob.name)
        if let bytes = blob.sealedBytes {
            try put(Tables.smallBlobs, RowKey.link(bucket, blob.name), bytes)
        }
        if let end = blob.link.leaseEnd {
            try put(Tables.blobLeases, RowKey.blobLease(end, bucket, blob.name), [])
        }
        try addUsage(of: blob.link, in: bucket)
        // What is sealed is in the link, as long as it is there.
        try note(
            .blobAdded, .blob(blob.name, byteCount: blob.link.byteCount, sealedCapability: []),
            in: bucket)
        return blob.link
    }

    // The longer of both holds.
    @discardableResult
    private func hold(
        _ existing: LinkRow, as other: LinkRow, _ bucket: BucketID, _ name: LinkName
    ) throws(StoreError) -> LinkRow {
        if let end = other.leaseEnd { return try lease(existing, until: end, bucket, name) }
        guard other.isPinned, !existing.isPinned else { return existing }
        var link = try endLease(existing, bucket, name)
        link.isPinned = true
        try put(link, bucket, name)
        return link
    }

    /// Lets a blob stay until then at least.
    @discardableResult
    func lease(
        _ existing: LinkRow, until end: Timestamp, _ bucket: BucketID, _ name: LinkName
    ) throws(StoreError) -> LinkRow {
        guard !existing.isHeld(until: end) else { return existing }
        var link = try endLease(existing, bucket, name)
        link.leaseEnd = end
        try put(Tables.blobLeases, RowKey.blobLease(end, bucket, name), [])
        try put(link, bucket, name)
        return link
    }

    /// Takes the lease of a link away; the link itself is still to be written.
    private func endLease(
        _ link: LinkRow, _ bucket: BucketID, _ name: LinkName
    ) throws(StoreError) -> LinkRow {
        guard let end = link.leaseEnd else { return link }
        try delete(Tables.blobLeases, RowKey.blobLease(end, bucket, name))
        var link = link
        link.leaseEnd = nil
        return link
    }

    /// Ends a lease that is over: the blob goes, unless objects refer to it.
    func expireLease(
        endedAt end: Timestamp, _ bucket: BucketID, _ name: LinkName
    ) throws(StoreError) -> Bool {
        guard let link = try link(bucket, name), link.leaseEnd == end else {
            // Of a link that has gone or was renewed; nobody else names the row.
            try delete(Tables.blobLeases, RowKey.blobLease(end, bucket, name))
            return false
        }
        guard link.referenceCount > 0 else {
            try unlink(link, bucket, name)
            return true
        }
        try put(try endLease(link, bucket, name), bucket, name)
        return false
    }

    /// Takes a link away, and its hold on the blob's tree.
    ///
    /// - Parameter isNoted: false for a bucket that is gone, whose events nobody reads.
    func unlink(
        _ link: LinkRow, _ bucket: BucketID, _ name: LinkName, isNoted: Bool = true
    ) throws(StoreError) {
        try delete(Tables.links, RowKey.link(bucket, name))
        if let end = link.leaseEnd {
            try delete(Tables.blobLeases, RowKey.blobLease(end, bucket, name))
        }
        if let root = link.rootID {
            try changeReferences([root: -1])
        } else {
            try delete(Tables.smallBlobs, RowKey.link(bucket, name))
        }
        try add(.blobs, of: bucket, -1)
        try add(.logicalBytes, of: bucket, -Int64(clamping: link.byteCount))
        if let root = link.rootID { try unshare(root, link.byteCount, with: bucket) }
        guard isNoted else { return }
        try note(
            .blobRemoved,
            .blob(name, byteCount: link.byteCount, sealedCapability: link.sealedCapability),
            in: bucket)
    }

    /// Counts a link that is new, or new to the count.
    func addUsage(of link: LinkRow, in bucket: BucketID) throws(StoreError) {
        if usage.isEnforced {
            try usage.ledger.node(of: bucket, self)?.check(blobByteCount: link.byteCount)
        }
        try add(.blobs, of: bucket, 1)
        try add(.logicalBytes, of: bucket, Int64(clamping: link.byteCount))
        if let root = link.rootID { try share(root, link.byteCount, with: bucket) }
    }
}
