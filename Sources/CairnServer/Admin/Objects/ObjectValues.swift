// Part of Cairn, a content-addressed blob store.

/// What a writer says of an object beside its bytes.
public struct ObjectAttributesInfo: Codable, Hashable, Sendable {
    /// The media type; nil is `application/octet-stream`.
    public var contentType: String?
    /// How answers may be cached.
    public var cacheControl: String?
    /// How the object is to be presented.
    public var contentDisposition: String?
    /// What was done to the bytes beside their type.
    public var contentEncoding: String?
    /// Whom the object is for.
    public var contentLanguage: String?
    /// When the object is stale.
    public var expires: String?
    /// What the writer attached.
    public var metadata: [String: String] = [:]
    /// Names with values.
    public var tags: [String: String] = [:]

    /// Says nothing.
    public init() {}
}

/// One object of a bucket.
public struct ObjectInfo: Codable, Hashable, Sendable {
    /// The object's key.
    public var key: String
    /// Which version this is; `null` where the bucket keeps none.
    public var version: String
    /// The tag of its state.
    public var etag: String
    /// The digest of its body, such as `sha256:...`.
    public var digest: String
    /// The size of its body.
    public var byteCount: UInt64
    /// When it was written, RFC 3339.
    public var modifiedAt: String
    /// How many blobs it keeps alive beside its body.
    public var referenceCount: Int
    /// What is said of it.
    public var attributes: ObjectAttributesInfo
    /// What keeps it from being deleted; nil is nothing.
    public var lock: ObjectLockInfo?
    /// The checksums of its body, such as `crc32c:e3069283`; nil is none.
    public var checksums: [String]?

    /// Makes a description from its parts.
    public init(
        key: String, version: String, etag: String, digest: String, byteCount: UInt64,
        modifiedAt: String,
        referenceCount: Int, attributes: ObjectAttributesInfo
    ) {
        self.key = key
        self.version = version
        self.etag = etag
        self.digest = digest
        self.byteCount = byteCount
        self.modifiedAt = modifiedAt
        self.referenceCount = referenceCount
        self.attributes = attributes
    }
}

/// One page of a bucket's objects.
public struct ObjectListing: Codable, Hashable, Sendable {
    /// The objects of this page.
    public var objects: [ObjectInfo]
    /// What the keys that were left out begin with.
    public var commonPrefixes: [String]
    /// Where the next page starts; nil on the last page.
    public var next: String?

    /// Makes a page from its parts.
    public init(objects: [ObjectInfo], commonPrefixes: [String], next: String?) {
        self.objects = objects
        self.commonPrefixes = commonPrefixes
        self.next = next
    }
}

/// One version of an object, or a delete marker.
public struct ObjectVersionInfo: Codable, Hashable, Sendable {
    /// The object's key.
    public var key: String
    /// The name of the version.
    public var version: String
    /// Whether it is the latest one.
    public var isLatest: Bool
    /// When it was written, or the object was deleted, RFC 3339.
    public var modifiedAt: String
    /// What is known of it; nil for a delete marker.
    public var object: ObjectInfo?

    /// Makes a description from its parts.
    public init(
        key: String, version: String, isLatest: Bool, modifiedAt: String, object: ObjectInfo?
    ) {
        self.key = key
        self.version = version
        self.isLatest = isLatest
        self.modifiedAt = modifiedAt
        self.object = object
    }
}

/// One page of versions.
public struct ObjectVersionListing: Codable, Hashable, Sendable {
    /// The versions of this page.
    public var versions: [ObjectVersionInfo]
    /// Where the next page starts; nil on the last page.
    public var next: String?

    /// Makes a page from its parts.
    public init(versions: [ObjectVersionInfo], next: String?) {
        self.versions = versions
        self.next = next
    }
}
