// Part of Cairn, a content-addressed blob store.

/// What a bucket or an account may hold at most; nil is any amount.
///
/// A hard limit: never a byte over, under any concurrency. Bytes count from the moment at which
/// they arrive, before they are a blob. A limit may be set below what is there: nothing more comes
/// in then, and deletions work.
public struct Quota: Hashable, Sendable {
    /// Bytes of blobs, as the account is charged for them, with those of uploads under way.
    public var byteCount: UInt64?
    /// Blobs.
    public var blobCount: UInt64?
    /// Objects, by their keys; older versions do not count.
    public var objectCount: UInt64?
    /// Bytes of each single blob.
    public var blobByteCount: UInt64?
    /// Upload sessions and multipart uploads that are open.
    public var uploadCount: UInt64?
    /// From how much of a limit on, in percent, the bucket that reaches it gets an event
    /// (``BucketEvent/Kind/quotaWarning``): 1 to 100; nil gives none.
    public var warningPercent: Int?

    /// A quota.
    public init(
        byteCount: UInt64? = nil, blobCount: UInt64? = nil, objectCount: UInt64? = nil,
        blobByteCount: UInt64? = nil, uploadCount: UInt64? = nil, warningPercent: Int? = nil
    ) {
        self.byteCount = byteCount
        self.blobCount = blobCount
        self.objectCount = objectCount
        self.blobByteCount = blobByteCount
        self.uploadCount = uploadCount
        self.warningPercent = warningPercent
    }

    /// No limit at all.
    public static let unlimited = Quota()

    /// A limit of a quota.
    public enum Limit: UInt8, Hashable, Sendable, CaseIterable {
        // On disk: never renumber.
        /// ``Quota/byteCount``
        case byteCount = 1
        /// ``Quota/blobCount``
        case blobCount = 2
        /// ``Quota/objectCount``
        case objectCount = 3
        /// ``Quota/blobByteCount``
        case blobByteCount = 4
        /// ``Quota/uploadCount``
        case uploadCount = 5

        /// The name in JSON and in metrics.
        public var name: String {
            switch self {
            case .byteCount: "byteCount"
            case .blobCount: "blobCount"
            case .objectCount: "objectCount"
            case .blobByteCount: "blobByteCount"
            case .uploadCount: "uploadCount"
            }
        }
    }

    subscript(limit: Limit) -> UInt64? {
        switch limit {
        case .byteCount: byteCount
        case .blobCount: blobCount
        case .objectCount: objectCount
        case .blobByteCount: blobByteCount
        case .uploadCount: uploadCount
        }
    }

    func check() throws(StoreError) {
        for limit in Limit.allCases {
            guard self[limit] ?? 0 <= UInt64(Int64.max) else {
                throw StoreError(.invalidArgument, "\(limit.name) is at most 2^63 - 1")
            }
        }
        guard warningPercent.map((1...100).contains) ?? true else {
            throw StoreError(.invalidArgument, "warningPercent is 1 to 100")
        }
    }

    /// Fails when a bucket would have a limit above that of its account.
    func check(within account: Quota) throws(StoreError) {
        for limit in Limit.allCases {
            guard let own = self[limit], let most = account[limit], own > most else { continue }
            throw StoreError(
                .invalidArgument,
                "\(limit.name) of the bucket is \(own), above the \(most) of its account")
        }
    }
}

/// Whose quota it is.
public enum QuotaScope: UInt8, Hashable, Sendable, CaseIterable {
    // On disk: never renumber.
    /// That of the bucket itself.
    case bucket = 1
    /// That of its account.
    case account = 2

    /// The name in JSON and in messages.
    public var name: String { self == .bucket ? "bucket" : "account" }
}

/// Tells that a bucket has come to the threshold of a quota.
public struct QuotaWarning: Hashable, Sendable {
    /// Whose quota it is.
    public let scope: QuotaScope
    /// Which of its limits.
    public let limit: Quota.Limit
    /// How much is used now.
    public let usedCount: UInt64
    /// How much may be used.
    public let limitCount: UInt64

    /// Describes a warning; for implementations of buckets other than Cairn's own.
    public init(scope: QuotaScope, limit: Quota.Limit, usedCount: UInt64, limitCount: UInt64) {
        self.scope = scope
        self.limit = limit
        self.usedCount = usedCount
        self.limitCount = limitCount
    }
}
