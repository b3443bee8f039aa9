// Part of Cairn, a content-addressed blob store.

/// What a repair could rebuild, and what it could not.
public struct RepairReport: Hashable, Sendable {
    /// Where the names of buckets, blobs and objects came from.
    public enum Source: Hashable, Sendable {
        /// The catalogue, which had everything.
        case catalogue
        /// The old index, which could still be read, and what the catalogue knew beyond it.
        case index
        /// What could be read of the two: see ``RepairReport/isComplete``.
        case incomplete
    }

    /// Where the names came from.
    public var source: Source = .catalogue
    /// Blobs that the buckets have, lost ones included.
    public var blobCount: UInt64 = 0
    /// Chunks that blobs need and that are stored whole.
    public var chunkCount: UInt64 = 0
    /// Chunks that blobs need and that no segment has whole.
    public var lostChunkCount: UInt64 = 0
    /// Damaged ranges in segments, whether anything needs them or not.
    public var damagedRangeCount: UInt64 = 0
    /// The blobs that cannot be read whole. Push one of them again, to any bucket that shares its
    /// chunks, and it is whole for all.
    public var lostBlobs: [DamagedBlob] = []

    /// Whether every blob, object and bucket that was acknowledged is known again. When that is
    /// not certain, some that were created or deleted lately may be missing or there again.
    ///
    /// Without the old index it is certain only if the store was closed in order.
    public var isComplete: Bool { source != .incomplete }

    /// Nothing found yet.
    public init() {}
}
