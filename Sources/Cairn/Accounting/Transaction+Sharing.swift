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
        let (found, others) = try sharers(of: root, beside: bucket)
        if var own = found {
            // By another digest: costs nothing more.
            own.linkCount &+= 1
            try put(own, root, bucket)
            return try addShared(bytes, 1, of: bucket)
        }
        let now = try moment(in: bucket)
        let own = SharerRow(
            byteCount: byteCount, share: others.isEmpty ? byteCount : 0, isOwner: others.isEmpty,
            since: now)
        guard !others.isEmpty else { return try put(own, root, bucket) }
        if others.count == 1 { try addPassively(.sharedBytes, of: others[0].bucket, bytes) }
        try addShared(bytes, 1, of: bucket)
        try split(
            others.reduce(0) { $0 &+ $1.row.share }, of: root,
            among: others + [Sharer(bucket: bucket, row: own)], for: bucket)
    }

    /// Takes back one link to a tree.
    func unshare(
        _ root: ChunkID, _ byteCount: UInt64, with bucket: BucketID
    ) throws(StoreError) {
        let bytes = Int64(clamping: byteCount)
        var (found, others) = try sharers(of: root, beside: bucket)
        guard var own = found else {
            throw StoreError(.corrupted, "a blob does not know a bucket that links it")
        }
        guard own.linkCount == 1 else {
            own.linkCount -= 1
            try put(own, root, bucket)
            return try addShared(bytes, -1, of: bucket)
        }
        try delete(Tables.sharers, RowKey.sharer(root, bucket))
        if !own.isOwner { try add(.unownedBytes, of: bucket, -bytes) }
        try add(.sharedDiscount, of: bucket, -(bytes - Int64(clamping: own.share)))
        guard !others.isEmpty else { return }
        try add(.sharedBytes, of: bucket, -bytes)
        if others.count == 1 { try addPassively(.sharedBytes, of: others[0].bucket, -bytes) }
        if own.isOwner, let heir = try heir(among: others) {
            others[heir].row.isOwner = true
            try addPassively(.unownedBytes, of: others[heir].bucket, -bytes)
        }
        try split(
            others.reduce(own.share) { $0 &+ $1.row.share }, of: root, among: others, for: bucket)
    }

    // MARK: -

    // The one that came next; one that is deleted already pays nothing.
    private func heir(among others: [Sharer]) throws(StoreError) -> Int? {
        let byAge = others.indices.sorted { others[$0].row.since < others[$1].row.since }
        for index in byAge
        where try get(Tables.buckets, others[index].bucket.octets.bytes) != nil {
            return index
        }
        return byAge.first
    }

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
        _ byteCount: UInt64, of root: ChunkID, among sharers: [Sharer], for bucket: BucketID
    ) throws(StoreError) {
        let ordered = sharers.sorted { $0.bucket.octets < $1.bucket.octets }
        let (part, rest) = byteCount.quotientAndRemainder(dividingBy: UInt64(ordered.count))
        for (index, sharer) in ordered.enumerated() {
            var row = sharer.row
            row.share = part + (UInt64(index) < rest ? 1 : 0)
            let discount = Int64(clamping: sharer.row.share) - Int64(clamping: row.share)
            if sharer.bucket == bucket {
                try add(.sharedDiscount, of: sharer.bucket, discount)
            } else {
                try addPassively(.sharedDiscount, of: sharer.bucket, discount)
            }
            try put(row, root, sharer.bucket)
        }
    }

    private func put(
        _ row: SharerRow, _ root: ChunkID, _ bucket: BucketID
    ) throws(StoreError) {
        try put(Tables.sharers, RowKey.sharer(root, bucket), row.encoded())
    }

    // The bucket itself, if it is one, and others: all of them, or those that follow it in the
    // order of the ids, behind the last one the first.
    private func sharers(
        of root: ChunkID, beside bucket: BucketID
    ) throws(StoreError) -> (SharerRow?, [Sharer]) {
        let prefix = root.octets.bytes
        let key = RowKey.sharer(root, bucket)
        var rows = try scan(Tables.sharers, prefix: prefix, limit: Self.sharerCountMax + 2)
        if rows.count > Self.sharerCountMax + 1 {
            let first = rows
            rows = try scan(
                Tables.sharers, from: key, prefix: prefix, limit: Self.sharerCountMax + 1)
            rows += first.filter { $0.key.lexicographicallyPrecedes(key) }
        }
        let sharers = try rows.map { (entry) throws(StoreError) in try Self.sharer(entry) }
        let own = sharers.first { $0.bucket == bucket }
        let others = sharers.filter { $0.bucket != bucket }.prefix(Self.sharerCountMax)
        return (own?.row, Array(others))
    }

    private static func sharer(_ entry: IndexEntry) throws(StoreError) -> Sharer {
        try lower(
            "reading a sharer of a blob",
            core: { () throws(CoreError) in
                guard entry.key.count == Octets32.byteCount + Octets16.byteCount else {
                    throw CoreError(.corrupted, "a sharer of a blob has no bucket")
                }
                let id = Octets16(entry.key.span.extracting(Octets32.byteCount...))
                return Sharer(
                    bucket: BucketID(octets: id), row: try SharerRow(decoding: entry.value))
            })
    }
}
