// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What a bucket knows of one object.
public struct ObjectDescription: Hashable, Sendable {
    /// The most blobs that one object may keep alive: twice what a 4 MiB manifest can name
    /// in practice, and a bound for the size of one transaction.
    public static let referenceCountMax = 10_000
    /// The longest content type in bytes (RFC 6838 4.2: two names of 127 characters).
    public static let contentTypeByteCountMax = 255
    /// The most bytes of metadata, names and values together (as in S3).
    public static let metadataByteCountMax = 2048

    /// The name of the object in its bucket: 1 to 1024 bytes.
    public let key: String
    /// Changes with every write of the object.
    public let etag: ETag
    /// The digest of the body, which is also a blob of the bucket.
    public let digest: Digest
    /// The length of the body in bytes.
    public let byteCount: UInt64
    /// The media type given at the write; `application/octet-stream` when none was.
    public let contentType: String
    /// The blobs that the object keeps alive beside its body, each once.
    public let references: [Digest]
    /// What the writer attached, at most 2 KiB.
    public let metadata: [String: String]
    /// When the object was written.
    public let modifiedAt: Timestamp

    /// Describes an object; for implementations of buckets other than Cairn's own.
    public init(
        key: String, etag: ETag, digest: Digest, byteCount: UInt64, contentType: String,
        references: [Digest], metadata: [String: String], modifiedAt: Timestamp
    ) {
        self.key = key
        self.etag = etag
        self.digest = digest
        self.byteCount = byteCount
        self.contentType = contentType
        self.references = references
        self.metadata = metadata
        self.modifiedAt = modifiedAt
    }
}

/// An opaque token that names one version of an object (RFC 9110 8.8.3, without the quotes).
public struct ETag: Hashable, Sendable, CustomStringConvertible {
    let text: String

    /// Takes a tag that a description or a client gave.
    public init(_ text: String) { self.text = text }

    /// The token itself.
    public var description: String { text }
}

/// When a write of an object may take place (RFC 9110 13.1).
public enum WriteCondition: Hashable, Sendable {
    /// Always.
    case none
    /// Only if no object has the key.
    case ifNoneMatch
    /// Only if the object has this tag.
    case ifMatch(ETag)
}

/// One page of a bucket's objects.
public struct ObjectPage: Sendable {
    /// The objects, in the byte order of their keys.
    public let objects: [ObjectDescription]
    /// Whether more follow; pass the last key as `after`.
    public let isTruncated: Bool
}
