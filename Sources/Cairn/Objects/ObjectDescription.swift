// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What a bucket knows of one object.
public struct ObjectDescription: Hashable, Sendable {
    /// The most blobs that one object may keep alive: twice what a 4 MiB manifest can name
    /// in practice, and a bound for the size of one transaction.
    public static let referenceCountMax = 10_000

    /// The name of the object in its bucket: 1 to 1024 bytes.
    public let key: String
    /// Which version this is; ``ObjectVersionID/null`` where the bucket keeps none.
    public let versionID: ObjectVersionID
    /// Changes with the body, the references and all attributes but the tags and the lock.
    public let etag: ETag
    /// The digest of the body, which is also a blob of the bucket.
    public let digest: Digest
    /// The length of the body in bytes.
    public let byteCount: UInt64
    /// When the object was written.
    public let modifiedAt: Timestamp
    /// How many blobs the object keeps alive beside its body: see ``Bucket/references(of:)``.
    public let referenceCount: Int
    /// What the writer said of it.
    public let attributes: ObjectAttributes
    /// The checksums of the body that its writer asked for, in the order of the algorithms.
    public let checksums: [Checksum]

    /// The media type given at the write; `application/octet-stream` when none was.
    public var contentType: String { attributes.contentType }
    /// What the writer attached, at most 2 KiB.
    public var metadata: [String: String] { attributes.metadata }
    /// The tags that it has now.
    public var tags: [String: String] { attributes.tags }
    /// What keeps this version from being deleted.
    public var lock: ObjectLock { attributes.lock }

    /// Describes an object; for implementations of buckets other than Cairn's own.
    public init(
        key: String, etag: ETag, digest: Digest, byteCount: UInt64, modifiedAt: Timestamp,
        referenceCount: Int = 0, attributes: ObjectAttributes = ObjectAttributes(),
        versionID: ObjectVersionID = .null, checksums: [Checksum] = []
    ) {
        self.key = key
        self.versionID = versionID
        self.etag = etag
        self.digest = digest
        self.byteCount = byteCount
        self.modifiedAt = modifiedAt
        self.referenceCount = referenceCount
        self.attributes = attributes
        self.checksums = checksums
    }

    /// Checks the form of a key; for implementations of buckets other than Cairn's own.
    ///
    /// - Throws: ``StoreError`` with code `keyInvalid`.
    public static func checkKey(_ key: String) throws(StoreError) { try Names.checkObjectKey(key) }

    /// The same as another version.
    func named(_ versionID: ObjectVersionID) -> Self {
        Self(
            key: key, etag: etag, digest: digest, byteCount: byteCount, modifiedAt: modifiedAt,
            referenceCount: referenceCount, attributes: attributes, versionID: versionID,
            checksums: checksums)
    }

    /// The same with other tags.
    func tagged(_ tags: [String: String]) -> Self {
        var attributes = attributes
        attributes.tags = tags
        return with(attributes)
    }

    /// The same with another lock.
    func locked(_ lock: ObjectLock) -> Self {
        var attributes = attributes
        attributes.lock = lock
        return with(attributes)
    }

    private func with(_ attributes: ObjectAttributes) -> Self {
        Self(
            key: key, etag: etag, digest: digest, byteCount: byteCount, modifiedAt: modifiedAt,
            referenceCount: referenceCount, attributes: attributes, versionID: versionID,
            checksums: checksums)
    }
}
