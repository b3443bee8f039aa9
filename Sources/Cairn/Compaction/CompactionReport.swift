// Part of Cairn, a content-addressed blob store.

/// How a compaction chooses and how fast it works.
public struct CompactionConfiguration: Hashable, Sendable {
    /// A segment is rewritten when at least this share of it is dead: 0 to 1. One half gives back
    /// a byte for every byte that it writes, and bounds what dead bytes cost to the live ones.
    public var deadShareMin = 0.5
    /// Bytes per second that are read and written at most; nil is as fast as it goes.
    public var byteRateMax: UInt64?
    /// So many segments of less than an eighth of the full size are merged: files that hold
    /// little cost a descriptor and a look-up like any other.
    public var smallSegmentCountMax = 16

    /// The defaults.
    public init() {}
}

/// What a compaction did.
public struct CompactionReport: Hashable, Sendable {
    /// Segments that were removed.
    public internal(set) var segmentCount: UInt64 = 0
    /// The bytes of their files: what the disk got back.
    public internal(set) var freedByteCount: UInt64 = 0
    /// The bytes of records that were written again elsewhere.
    public internal(set) var movedByteCount: UInt64 = 0
    /// Segments that stay for now, because an upload under way or a verification relies on them.
    public internal(set) var heldSegmentCount: UInt64 = 0

    /// Nothing yet.
    public init() {}
}
