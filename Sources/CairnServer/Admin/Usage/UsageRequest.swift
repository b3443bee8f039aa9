// Part of Cairn, a content-addressed blob store.

/// A call on quotas, usage and bills. All changes are durable when the answer comes.
public enum UsageRequest: Codable, Hashable, Sendable {
    /// The quota of a bucket; nil is that of the account. One that is given is set first. Answers
    /// `quota`.
    case quota(bucket: String?, QuotaInfo?)
    /// The quotas of buckets in the order of their names, those without one left out; the page
    /// goes behind a name. Answers `quotas`.
    case quotas(after: String?, limit: Int)
    /// Who pays for shared blobs: `logical`, `unique` or `fairShare`; one that is not nil is set
    /// first. Answers `charging`.
    case charging(String?)
    /// What a bucket has; nil is the whole account. Answers `usage`.
    case usage(bucket: String?)
    /// What buckets have, in the order of their names. Answers `usages`.
    case usages(after: String?, limit: Int)
    /// What waits for the sweep, by buckets. Answers `garbage`.
    case garbage
    /// What the account may use in a month, and has; what is given is set first. Answers
    /// `allowances`.
    case allowances([AllowanceInfo]?)
    /// Whether everybody may read a bucket; what is given is set first. Answers `visibility`.
    case visibility(bucket: String, isPublic: Bool?)
    /// Where the bytes of the store's files are. Answers `store`.
    case store
    /// What was held in a month, `YYYY-MM`: by all buckets, with days if these are wanted, or by
    /// one. Answers `bill`.
    case bill(month: String, bucket: String?, includesDays: Bool)
}

/// What a ``UsageRequest`` answers.
public enum UsageAnswer: Codable, Hashable, Sendable {
    /// A quota.
    case quota(QuotaInfo)
    /// Some quotas of buckets.
    case quotas(QuotaListing)
    /// Who pays for shared blobs.
    case charging(String)
    /// What a bucket or the account has.
    case usage(UsageInfo)
    /// What some buckets have.
    case usages([UsageInfo])
    /// Bytes that wait for the sweep, by the buckets that have brought them.
    case garbage([GarbageInfo])
    /// What the account may use in a month, and has.
    case allowances([AllowanceInfo])
    /// Whether everybody may read a bucket.
    case visibility(isPublic: Bool)
    /// Where the bytes of the store's files are.
    case store(StoreUsageInfo)
    /// What was held in a month.
    case bill(BillInfo)
}

/// A quota; nil is any amount.
public struct QuotaInfo: Codable, Hashable, Sendable {
    /// Bytes of blobs and of uploads under way.
    public var bytes: UInt64?
    /// Blobs.
    public var blobs: UInt64?
    /// Objects.
    public var objects: UInt64?
    /// Bytes of each single blob.
    public var blobBytes: UInt64?
    /// Open uploads.
    public var uploads: UInt64?
    /// From how many percent of a limit on an event warns.
    public var warningPercent: Int?

    /// No limit at all.
    public init() {}
}

/// The quotas of some buckets.
public struct QuotaListing: Codable, Hashable, Sendable {
    /// One bucket with a quota.
    public struct Entry: Codable, Hashable, Sendable {
        /// The bucket's name.
        public var bucket: String
        /// What it may have.
        public var quota: QuotaInfo
        /// The bytes that count for the quota now.
        public var usedBytes: UInt64
    }

    /// Those that have a quota.
    public var quotas: [Entry]
    /// The last name that was looked at; nil at the end.
    public var next: String?
}

/// What a bucket or an account has.
public struct UsageInfo: Codable, Hashable, Sendable {
    /// The bucket's name; absent for the account.
    public var bucket: String?
    /// Bytes of all blobs.
    public var logicalBytes: UInt64
    /// Of these, bytes of blobs that no other bucket has.
    public var uniqueBytes: UInt64
    /// Of these, bytes of blobs that other buckets have too.
    public var sharedBytes: UInt64
    /// Bytes, where a shared blob is split among all that have it.
    public var fairShareBytes: UInt64
    /// Bytes of blobs that no other bucket had before.
    public var ownedBytes: UInt64
    /// Bytes that are paid for.
    public var chargedBytes: UInt64
    /// Bytes of uploads under way.
    public var inFlightBytes: UInt64
    /// Bytes in segments that it has brought.
    public var storedBytes: UInt64
    /// The data in them before compression.
    public var uncompressedBytes: UInt64
    /// How many times smaller compression has made it.
    public var compressionFactor: Double
    /// How many times smaller deduplication has made it; absent where nothing was brought.
    public var deduplicationFactor: Double?
    /// Blobs.
    public var blobs: UInt64
    /// Objects.
    public var objects: UInt64
    /// Older versions and delete markers.
    public var olderVersions: UInt64
    /// Open uploads.
    public var uploads: UInt64
    /// Bytes delivered since the day began, in UTC; zero for the account.
    public var transferredBytesToday: UInt64 = 0
    /// Requests since then; zero for the account.
    public var requestsToday: UInt64 = 0
}

/// What of a bucket waits for the sweep.
public struct GarbageInfo: Codable, Hashable, Sendable {
    /// The name of the bucket that has brought it; empty for those that were deleted.
    public var bucket: String
    /// Bytes in segments.
    public var garbageBytes: UInt64
}

/// Where the bytes of the store's files are.
public struct StoreUsageInfo: Codable, Hashable, Sendable {
    /// Bytes stored for accounts.
    public var storedBytes: UInt64
    /// Segment files beside that: headers, reserved room, freed records.
    public var segmentOverheadBytes: UInt64
    /// Files of the index.
    public var indexBytes: UInt64
    /// Files of the catalogue.
    public var catalogueBytes: UInt64
    /// Files of the audit log.
    public var auditBytes: UInt64
    /// All other files.
    public var otherBytes: UInt64
    /// The sum.
    public var fileBytes: UInt64
}

/// What an account may use in a month.
public struct AllowanceInfo: Codable, Hashable, Sendable {
    /// `privateStorage`, `publicStorage`, `anonymousTransfer` or `signedInTransfer`.
    public var kind: String
    /// Bytes; for storage those held for the whole month. Nil takes the allowance away.
    public var bytes: UInt64?
    /// `allow`, `warn` or `deny`.
    public var action: String?
    /// How much is used; absent in requests.
    public var usedBytes: UInt64?
    /// Whether all of it is used; absent in requests.
    public var isExceeded: Bool?

    /// Makes one from its parts.
    public init(kind: String, bytes: UInt64?, action: String?) {
        self.kind = kind
        self.bytes = bytes
        self.action = action
    }
}

/// Bytes over time. The numbers are decimal digits: they may be longer than JSON readers take.
public struct ByteTimeInfo: Codable, Hashable, Sendable {
    /// Bytes times seconds, the rest of one left out.
    public var byteSeconds: String
    /// Bytes times nanoseconds, exact.
    public var byteNanoseconds: String
    /// Gigabytes (10^9 bytes) for the whole month.
    public var gigabyteMonths: Double
}

/// What was held in a month.
public struct BillInfo: Codable, Hashable, Sendable {
    /// What a bucket has held.
    public struct Bucket: Codable, Hashable, Sendable {
        /// The bucket's name.
        public var bucket: String
        /// Its id.
        public var id: String
        /// In the month.
        public var total: ByteTimeInfo
        /// Bytes that were delivered, by who got them.
        public var transferredBytes: [String: UInt64]
        /// Requests, by what was asked for.
        public var requests: [String: UInt64]
        /// On each day on which it held anything; absent if not asked for.
        public var days: [Day]?
    }

    /// What a bucket has held on a day.
    public struct Day: Codable, Hashable, Sendable {
        /// `YYYY-MM-DD`.
        public var date: String
        /// Bytes at the beginning.
        public var startBytes: UInt64
        /// Bytes at the end.
        public var endBytes: UInt64
        /// On the day.
        public var total: ByteTimeInfo
        /// Bytes that were delivered, by who got them.
        public var transferredBytes: [String: UInt64]
        /// Requests, by what was asked for.
        public var requests: [String: UInt64]
    }

    /// `YYYY-MM`.
    public var month: String
    /// Until when it was counted.
    public var end: String
    /// Whether the month is over.
    public var isFinal: Bool
    /// Who pays for shared blobs.
    public var charging: String
    /// All buckets together.
    public var total: ByteTimeInfo
    /// Bytes that were delivered, by who got them.
    public var transferredBytes: [String: UInt64]
    /// Requests, by what was asked for.
    public var requests: [String: UInt64]
    /// Those that have held anything, in the order of their names.
    public var buckets: [Bucket]
}
