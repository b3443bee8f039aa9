// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

// Who links the same tree of chunks. Every link to a tree has a part in its bytes: the parts of all
// buckets together are the bytes of the tree, at any time. Whoever comes or goes settles with a
// bounded number of others, so that a layer which ten thousand repositories have costs no more.
extension Transaction {
    /// With how many others a bucket shares when it comes or goes; with all of them, if there are
    /// no more.
    static let sharerCountMax = 32

    private struct Sharer {
        var bucket: BucketID
        var row: SharerRow
    }

    /// Counts one more link to a tree.
    func share(
        _ root: ChunkID, _ byteCount: UInt64, with bucket: BucketID
    ) throws(StoreError) {
        let bytes = Int64(clamping: byteCount)
        if var own = try sharer(root, bucket) {
            // By another digest: costs nothing more.
            own.linkCount += 1
            try put(own, root, bucket)
            return try addShared(bytes, 1, of: bucket)
        }
        let others = try neighbours(of: bucket, root)
        let now = try moment(in: bucket)
        let own = SharerRow(
            byteCount: byteCount, share: others.isEmpty ? byteCount : 0, isOwner: others.isEmpty,
            since: now)
        guard !others.isEmpty else { return try put(own, root, bucket) }
        if others.count == 1 { try add(.sharedBytes, of: others[0].bucket, bytes) }
        try addShared(bytes, 1, of: bucket)
        try split(
            others.reduce(0) { $0 + $1.row.share }, of: root,
            among: others + [Sharer(bucket: bucket, row: own)])
    }

    /// Takes back one link to a tree.
    func unshare(
        _ root: ChunkID, _ byteCount: UInt64, with bucket: BucketID
    ) throws(StoreError) {
        let bytes = Int64(clamping: byteCount)
        guard var own = try sharer(root, bucket) else {
            throw StoreError(.corrupted, "a blob does not know a bucket that links it")
        }
        guard own.linkCount == 1 else {
            own.linkCount -= 1
            try put(own, root, bucket)
            return try addShared(bytes, -1, of: bucket)
        }
        try delete(Tables.sharers, RowKey.sharer(root, bucket))
        var others = try neighbours(of: bucket, root)
        if !own.isOwner { try add(.unownedBytes, of: bucket, -bytes) }
        try add(.sharedDiscount, of: bucket, -(bytes - Int64(clamping: own.share)))
        guard !others.isEmpty else { return }
        try add(.sharedBytes, of: bucket, -bytes)
        if others.count == 1 { try add(.sharedBytes, of: others[0].bucket, -bytes) }
        if own.isOwner,
            let heir = others.indices.min(by: { others[$0].row.since < others[$1].row.since })
        {
            others[heir].row.isOwner = true
            try add(.unownedBytes, of: others[heir].bucket, -bytes)
        }
        try split(
            others.reduce(own.share) { $0 + $1.row.share }, of: root, among: others)
    }

    // MARK: -

    // Of a bucket that is not the first, and has no part yet.
    private func addShared(
        _ bytes: Int64, _ sign: Int64, of bucket: BucketID
    ) throws(StoreError) {
        try add(.sharedBytes, of: bucket, sign * bytes)
        try add(.unownedBytes, of: bucket, sign * bytes)
        try add(.sharedDiscount, of: bucket, sign * bytes)
    }

    // In equal parts; what is left over goes to the first ones, a byte each.
    private func split(
        _ byteCount: UInt64, of root: ChunkID, among sharers: [Sharer]
    ) throws(StoreError) {
        let ordered = sharers.sorted {
            $0.bucket.octets.bytes.lexicographicallyPrecedes($1.bucket.octets.bytes)
        }
        let (part, rest) = byteCount.quotientAndRemainder(dividingBy: UInt64(ordered.count))
        for (index, sharer) in ordered.enumerated() {
            var row = sharer.row
            row.share = part + (UInt64(index) < rest ? 1 : 0)
            try add(
                .sharedDiscount, of: sharer.bucket,
                Int64(clamping: sharer.row.share) - Int64(clamping: row.share))
            try put(row, root, sharer.bucket)
        }
    }

    private func sharer(
        _ root: ChunkID, _ bucket: BucketID
    ) throws(StoreError) -> SharerRow? {
        try row(Tables.sharers, RowKey.sharer(root, bucket)) { (bytes) throws(CoreError) in
            try SharerRow(decoding: bytes)
        }
    }

    private func put(
        _ row: SharerRow, _ root: ChunkID, _ bucket: BucketID
    ) throws(StoreError) {
        try put(Tables.sharers, RowKey.sharer(root, bucket), row.encoded())
    }

    // Those that follow the bucket in the order of the ids, then those from the beginning on.
    private func neighbours(
        of bucket: BucketID, _ root: ChunkID
    ) throws(StoreError) -> [Sharer] {
        let own = RowKey.sharer(root, bucket)
        let prefix = root.octets.bytes
        var rows = try scan(
            Tables.sharers, from: own + [0], prefix: prefix, limit: Self.sharerCountMax)
        if rows.count < Self.sharerCountMax {
            let first = try scan(
                Tables.sharers, prefix: prefix, limit: Self.sharerCountMax - rows.count)
            rows += first.filter { $0.key.lexicographicallyPrecedes(own) }
        }
        return try rows.map { (entry) throws(StoreError) in
            try lower(
                "reading a sharer of a blob",
                core: { () throws(CoreError) in
                    Sharer(
                        bucket: BucketID(
                            octets: Octets16(entry.key.span.extracting(Octets32.byteCount...))),
                        row: try SharerRow(decoding: entry.value))
                })
        }
    }
}
