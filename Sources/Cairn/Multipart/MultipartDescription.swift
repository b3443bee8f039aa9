// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// The name of a multipart upload beside its key: 122 random bits, which nobody can guess.
public struct MultipartUploadID: Hashable, Sendable, LosslessStringConvertible {
    let octets: Octets16

    init(octets: Octets16) { self.octets = octets }

    /// Reads the text form; nil for anything that is not one.
    public init?(_ description: String) {
        guard let octets = UUIDText.parse(description) else { return nil }
        self.octets = octets
    }

    /// The text form: a UUID in lower case.
    public var description: String { UUIDText.format(octets) }
}

/// The number of a part, on disk too.
typealias PartNumber = UInt16

/// A multipart upload inside its bucket.
struct MultipartName: Hashable, Sendable {
    let key: String
    let id: MultipartUploadID
}

/// What is known of a multipart upload that is neither completed nor aborted.
public struct MultipartUploadDescription: Hashable, Sendable {
    /// The key of the object that it will be.
    public let key: String
    /// Its name beside the key.
    public let id: MultipartUploadID
    /// When it began.
    public let startedAt: Timestamp
    /// When it is given up, unless it gets another part before.
    public let expiresAt: Timestamp
    /// How many parts it has.
    public let partCount: Int
    /// How many bytes they have.
    public let byteCount: UInt64

    /// Describes an upload; for implementations of buckets other than Cairn's own.
    public init(
        key: String, id: MultipartUploadID, startedAt: Timestamp, expiresAt: Timestamp,
        partCount: Int, byteCount: UInt64
    ) {
        self.key = key
        self.id = id
        self.startedAt = startedAt
        self.expiresAt = expiresAt
        self.partCount = partCount
        self.byteCount = byteCount
    }
}

/// One page of the multipart uploads of a bucket.
public struct MultipartUploadPage: Sendable {
    /// The uploads: keys in byte order, those of one key in no order.
    public let uploads: [MultipartUploadDescription]
    /// Where the next page starts; nil at the end.
    public let next: MultipartCursor?

    /// Whether more follow.
    public var isTruncated: Bool { next != nil }

    /// A page; for implementations of buckets other than Cairn's own.
    public init(uploads: [MultipartUploadDescription], next: MultipartCursor?) {
        self.uploads = uploads
        self.next = next
    }
}

/// A position in the listing of multipart uploads: opaque, valid as long as the bucket exists.
public struct MultipartCursor: Hashable, Sendable, LosslessStringConvertible {
    /// The key of the row behind that of the bucket.
    let name: [UInt8]

    init(behindRow name: [UInt8]) { self.name = name }

    /// A position behind an upload; for implementations of buckets other than Cairn's own.
    public init(behind upload: MultipartUploadDescription) {
        name = Array(upload.key.utf8) + [0] + upload.id.octets.bytes
    }

    /// Reads the text form of a cursor.
    public init?(_ description: String) {
        guard let bytes = Hex.decode(description),
            bytes.count <= Names.objectKeyByteCount.upperBound + 1 + Octets16.byteCount
        else { return nil }
        name = bytes
    }

    /// The text form of the cursor, for URLs.
    public var description: String { Hex.encode(name) }
}

/// What is known of a part of a multipart upload.
public struct PartDescription: Hashable, Sendable {
    /// Where it belongs: 1 to ``MultipartUpload/partCountMax``.
    public let number: Int
    /// Opaque; another one each time the part is sent.
    public let etag: ETag
    /// Its length in bytes.
    public let byteCount: UInt64
    /// When it was received.
    public let modifiedAt: Timestamp

    /// Describes a part; for implementations of buckets other than Cairn's own.
    public init(number: Int, etag: ETag, byteCount: UInt64, modifiedAt: Timestamp) {
        self.number = number
        self.etag = etag
        self.byteCount = byteCount
        self.modifiedAt = modifiedAt
    }
}
