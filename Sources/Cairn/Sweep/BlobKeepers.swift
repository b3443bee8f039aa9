// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What keeps a blob alive in one bucket.
public struct BlobKeeper: Hashable, Sendable {
    /// Object keys that are named at most; ``objectCount`` counts all.
    public static let objectKeyCountMax = 100

    /// The account of the bucket.
    public let account: String
    /// The bucket that has the blob.
    public let bucket: String
    /// Whether it was stored or mounted as a blob, and stays until it is deleted as one.
    public let isPinned: Bool
    /// Until when it stays without an object, if it is leased.
    public let leaseEnd: Timestamp?
    /// How many objects of the bucket have it as their body or refer to it.
    public let objectCount: UInt64
    /// The keys of these objects, the first of them.
    public let objectKeys: [String]
    /// The bytes that a sweep would free if this bucket alone gave the blob up.
    public let freedByteCount: UInt64
}

/// What keeps a blob alive in the whole store, as of one moment.
public struct BlobKeepers: Hashable, Sendable {
    /// The buckets that have the blob.
    public internal(set) var keepers: [BlobKeeper] = []
    /// Whether somebody reads it just now.
    public internal(set) var isBeingRead = false
    /// The bytes that a sweep would free if all of them gave it up.
    public internal(set) var freedByteCount: UInt64 = 0
}
