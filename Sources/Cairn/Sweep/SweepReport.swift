// Part of Cairn, a content-addressed blob store.

/// What a sweep freed, or would free.
public struct SweepReport: Hashable, Sendable {
    /// Chunks that nothing needs any more, recipe nodes included.
    public internal(set) var chunkCount: UInt64 = 0
    /// The bytes of their records. They are dead in their segments from then on; a segment that
    /// holds nothing else is removed, one that holds much of it is rewritten by compaction.
    public internal(set) var byteCount: UInt64 = 0
    /// Trees that were left alone because they are being read; the next sweep takes them.
    public internal(set) var leasedCount: UInt64 = 0
    /// Recipe nodes, leases and buckets that stay because what they refer to cannot be read:
    /// damage, which a verification names.
    public internal(set) var damagedCount: UInt64 = 0
    /// Blobs that went from their buckets because their leases were over.
    public internal(set) var expiredBlobCount: UInt64 = 0
    /// Buckets whose contents were deleted.
    public internal(set) var bucketCount: UInt64 = 0

    /// Nothing yet.
    public init() {}
}
