// Part of Cairn, a content-addressed blob store.

/// A lifecycle rule, as files and answers have it.
public struct LifecycleRuleInfo: Codable, Hashable, Sendable {
    /// The name of the rule, unique in its bucket.
    public var id: String
    /// Whether it has any effect; nil is yes.
    public var enabled: Bool?
    /// Only keys that begin with it; nil is all.
    public var prefix: String?
    /// Only versions that have all of these tags.
    public var tags: [String: String]?
    /// Only bodies of so many bytes at least.
    public var byteCountMin: UInt64?
    /// Only bodies of so many bytes at most.
    public var byteCountMax: UInt64?
    /// The latest version goes so many days after it was written.
    public var expirationDays: Int?
    /// The latest version goes from that moment on, RFC 3339.
    public var expirationDate: String?
    /// Older versions go so many days after another one took their place.
    public var noncurrentDays: Int?
    /// So many older versions stay in any case.
    public var keepNewest: Int?
    /// Delete markers go that hide nothing any more.
    public var removeExpiredDeleteMarkers: Bool?
    /// Multipart uploads are aborted so many days after their beginning.
    public var incompleteUploadDays: Int?

    /// A rule that says nothing yet.
    public init(id: String) { self.id = id }

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case id, enabled, prefix, tags, byteCountMin, byteCountMax, expirationDays, expirationDate,
            noncurrentDays, keepNewest, removeExpiredDeleteMarkers, incompleteUploadDays
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        let intValue: Int? = nil
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Reads a rule. A field that it does not know is an error: a filter that was misspelt would
    /// leave a rule on everything.
    public init(from decoder: any Decoder) throws {
        for key in try decoder.container(keyedBy: AnyKey.self).allKeys
        where CodingKeys(stringValue: key.stringValue) == nil {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "A rule has no field '\(key.stringValue)'."))
        }
        let values = try decoder.container(keyedBy: CodingKeys.self)
        id = try values.decode(String.self, forKey: .id)
        enabled = try values.decodeIfPresent(Bool.self, forKey: .enabled)
        prefix = try values.decodeIfPresent(String.self, forKey: .prefix)
        tags = try values.decodeIfPresent([String: String].self, forKey: .tags)
        byteCountMin = try values.decodeIfPresent(UInt64.self, forKey: .byteCountMin)
        byteCountMax = try values.decodeIfPresent(UInt64.self, forKey: .byteCountMax)
        expirationDays = try values.decodeIfPresent(Int.self, forKey: .expirationDays)
        expirationDate = try values.decodeIfPresent(String.self, forKey: .expirationDate)
        noncurrentDays = try values.decodeIfPresent(Int.self, forKey: .noncurrentDays)
        keepNewest = try values.decodeIfPresent(Int.self, forKey: .keepNewest)
        removeExpiredDeleteMarkers = try values.decodeIfPresent(
            Bool.self, forKey: .removeExpiredDeleteMarkers)
        incompleteUploadDays = try values.decodeIfPresent(Int.self, forKey: .incompleteUploadDays)
    }
}

/// What lifecycle rules would do to a bucket now.
public struct LifecyclePreviewInfo: Codable, Hashable, Sendable {
    /// Objects that would go, or be hidden by a delete marker.
    public var expiredObjectCount: UInt64
    /// Older versions and delete markers that would be removed for good.
    public var removedVersionCount: UInt64
    /// Multipart uploads that would be aborted.
    public var abortedUploadCount: UInt64
    /// Blobs that would go from the bucket.
    public var removedBlobCount: UInt64
    /// The lengths of these blobs together.
    public var logicalByteCount: UInt64
    /// The bytes that the next sweep would free.
    public var freedByteCount: UInt64

    /// Makes it from its parts.
    public init(
        expiredObjectCount: UInt64, removedVersionCount: UInt64, abortedUploadCount: UInt64,
        removedBlobCount: UInt64, logicalByteCount: UInt64, freedByteCount: UInt64
    ) {
        self.expiredObjectCount = expiredObjectCount
        self.removedVersionCount = removedVersionCount
        self.abortedUploadCount = abortedUploadCount
        self.removedBlobCount = removedBlobCount
        self.logicalByteCount = logicalByteCount
        self.freedByteCount = freedByteCount
    }
}

/// What an application of lifecycle rules has done.
public struct LifecycleReportInfo: Codable, Hashable, Sendable {
    /// Objects that went, or were hidden by a delete marker.
    public var expiredObjectCount: UInt64
    /// Older versions and delete markers that were removed for good.
    public var removedVersionCount: UInt64
    /// Keys that were left for later because their customer key cannot be used now.
    public var lockedKeyCount: UInt64
    /// Keys that were left for later for another reason.
    public var skippedKeyCount: UInt64

    /// Makes it from its parts.
    public init(
        expiredObjectCount: UInt64, removedVersionCount: UInt64, lockedKeyCount: UInt64,
        skippedKeyCount: UInt64
    ) {
        self.expiredObjectCount = expiredObjectCount
        self.removedVersionCount = removedVersionCount
        self.lockedKeyCount = lockedKeyCount
        self.skippedKeyCount = skippedKeyCount
    }
}

/// What keeps a version of an object from being deleted.
public struct ObjectLockInfo: Codable, Hashable, Sendable {
    /// `governance` or `compliance`; nil without a retention.
    public var mode: String?
    /// Until when, RFC 3339; nil without a retention.
    public var retainUntil: String?
    /// Whether a legal hold keeps it, whatever the date.
    public var legalHold: Bool

    /// Makes it from its parts.
    public init(mode: String? = nil, retainUntil: String? = nil, legalHold: Bool = false) {
        self.mode = mode
        self.retainUntil = retainUntil
        self.legalHold = legalHold
    }
}

/// How the lock of a version is to be changed; what is nil stays.
public struct ObjectLockChange: Codable, Hashable, Sendable {
    /// The bucket of the object.
    public var bucket: String
    /// Its key.
    public var key: String
    /// Which version; nil is the latest.
    public var version: String?
    /// `governance`, `compliance`, or `none` to take the retention away.
    public var mode: String?
    /// Until when, RFC 3339; with a mode.
    public var retainUntil: String?
    /// Whether there is a legal hold.
    public var legalHold: Bool?
    /// Whether a retention in governance mode counts for nothing.
    public var bypassGovernance: Bool

    /// Makes it from its parts.
    public init(
        bucket: String, key: String, version: String? = nil, mode: String? = nil,
        retainUntil: String? = nil, legalHold: Bool? = nil, bypassGovernance: Bool = false
    ) {
        self.bucket = bucket
        self.key = key
        self.version = version
        self.mode = mode
        self.retainUntil = retainUntil
        self.legalHold = legalHold
        self.bypassGovernance = bypassGovernance
    }
}

/// Something that a bucket has committed.
public struct BucketEventInfo: Codable, Hashable, Sendable {
    /// The position behind it.
    public var cursor: String
    /// When it was asked for, RFC 3339.
    public var time: String
    /// What was done, such as `objectWritten`.
    public var kind: String
    /// Why: `call`, `lease` or `lifecycle`.
    public var cause: String
    /// The object that it concerns.
    public var key: String?
    /// The version that it concerns.
    public var version: String?
    /// The tag of the version.
    public var etag: String?
    /// The digest of the blob or the body, where it is known.
    public var digest: String?
    /// The length of the blob or the body.
    public var byteCount: UInt64?

    /// Makes it from its parts.
    public init(
        cursor: String, time: String, kind: String, cause: String, key: String?, version: String?,
        etag: String?, digest: String?, byteCount: UInt64?
    ) {
        self.cursor = cursor
        self.time = time
        self.kind = kind
        self.cause = cause
        self.key = key
        self.version = version
        self.etag = etag
        self.digest = digest
        self.byteCount = byteCount
    }
}

/// One page of the events of a bucket.
public struct BucketEventListing: Codable, Hashable, Sendable {
    /// The events of this page.
    public var events: [BucketEventInfo]
    /// Where to go on, also when there are no events now.
    public var next: String
    /// Whether there was nothing more at that moment.
    public var isAtEnd: Bool

    /// Makes a page from its parts.
    public init(events: [BucketEventInfo], next: String, isAtEnd: Bool) {
        self.events = events
        self.next = next
        self.isAtEnd = isAtEnd
    }
}
