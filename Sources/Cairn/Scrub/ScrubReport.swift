// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// How far and how fast a scrub reads.
public struct ScrubConfiguration: Hashable, Sendable {
    /// Bytes per second at most; nil is as fast as it goes.
    public var byteRateMax: UInt64?
    /// Ends the call once so many bytes are read; nil is a whole round over the store. The next
    /// call goes on behind the last segment.
    public var byteCountMax: UInt64?
    /// Whether to begin a new round, wherever the last call ended.
    public var startsOver = false

    /// A whole round, as fast as it goes.
    public init() {}
}

/// What a scrub has read and found.
public struct ScrubReport: Hashable, Sendable {
    /// Segments that were read to their end.
    public internal(set) var segmentCount: UInt64 = 0
    /// The bytes of their records.
    public internal(set) var byteCount: UInt64 = 0
    /// Chunks that turned out to be damaged and were not known to be.
    public internal(set) var damagedChunkCount: UInt64 = 0
    /// Damaged places that no chunk needs: nothing is lost there.
    public internal(set) var unusedDamageCount: UInt64 = 0
    /// Whether the round over the store is complete; the next call begins another.
    public internal(set) var isRoundComplete = false

    /// Nothing yet.
    public init() {}
}

/// A blob that cannot be read whole because a chunk of it is damaged.
public struct DamagedBlob: Hashable, Sendable {
    /// The account of the bucket.
    public let account: String
    /// The bucket that has the blob.
    public let bucket: String
    /// The blob.
    public let digest: Digest
}
