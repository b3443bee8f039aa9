// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What a bucket knows of one blob.
public struct BlobDescription: Hashable, Sendable {
    /// The identity of the bytes.
    public let digest: Digest
    /// The length of the blob in bytes.
    public let byteCount: UInt64
    /// When the blob came into this bucket.
    public let createdAt: Timestamp
    /// Until when it stays without an object that refers to it; nil when it stays until it is
    /// deleted, or is kept by objects alone.
    public let leaseEnd: Timestamp?

    /// Describes a blob; for implementations of buckets other than Cairn's own.
    public init(
        digest: Digest, byteCount: UInt64, createdAt: Timestamp, leaseEnd: Timestamp? = nil
    ) {
        self.leaseEnd = leaseEnd
        self.digest = digest
        self.byteCount = byteCount
        self.createdAt = createdAt
    }
}

/// One page of a bucket's blobs.
public struct BlobPage: Sendable {
    /// The blobs, in an order that is stable but says nothing about digests or times.
    public let blobs: [BlobDescription]
    /// Where the next page starts; nil at the end.
    public let next: BlobCursor?
}

/// A position in the listing of a bucket's blobs: opaque, valid as long as the bucket exists.
public struct BlobCursor: Hashable, Sendable, LosslessStringConvertible {
    let linkName: LinkName

    init(_ linkName: LinkName) { self.linkName = linkName }

    /// Reads the text form of a cursor.
    public init?(_ description: String) {
        guard let bytes = Hex.decode(description), bytes.count == Octets32.byteCount else {
            return nil
        }
        linkName = LinkName(octets: Octets32(bytes.span))
    }

    /// The text form of the cursor, for URLs.
    public var description: String { Hex.encode(linkName.octets.bytes) }
}
