// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What becomes of some objects of a bucket when they are old, as in S3's lifecycle configuration.
///
/// ```swift
/// var rule = LifecycleRule("old builds", prefix: "builds/")
/// rule.expiration = .after(days: 30)
/// rule.noncurrentExpiration = NoncurrentExpiration(days: 7, keepingNewest: 3)
/// try await bucket.setLifecycle([rule])
/// ```
///
/// Days are 24 hours to the second, where S3 waits for the next midnight. Several rules may concern
/// one object: whatever is due first happens.
public struct LifecycleRule: Hashable, Sendable {
    /// The most rules of one bucket: each write looks through them.
    public static let ruleCountMax = 100
    /// The most bytes of a rule's name (as in S3).
    public static let idByteCountMax = 255
    /// The most days of any period: 100 years.
    public static let dayCountMax = 36_500
    /// The most newer versions that a rule keeps (as in S3).
    public static let keptVersionCountMax = 100

    /// When objects go.
    public enum Expiration: Hashable, Sendable {
        /// So many days after they were written: 1 to 36,500.
        case after(days: Int)
        /// From that moment on.
        case at(Timestamp)
    }

    /// The name of the rule, unique in its bucket: 1 to 255 bytes.
    public var id: String
    /// Whether the rule has any effect.
    public var isEnabled = true
    /// Only keys that begin with it; empty is all.
    public var prefix: String
    /// Only versions that have all of these tags, and maybe others.
    public var tags: [String: String] = [:]
    /// Only versions whose body has so many bytes at least.
    public var byteCountMin: UInt64 = 0
    /// Only versions whose body has so many bytes at most.
    public var byteCountMax: UInt64 = .max
    /// When the latest version goes: for good, or hidden by a delete marker where the bucket keeps
    /// it. Nil is never.
    public var expiration: Expiration?
    /// When older versions go for good; of delete markers among them the prefix alone counts. Nil
    /// is never.
    public var noncurrentExpiration: NoncurrentExpiration?
    /// Whether a delete marker goes that hides nothing any more. Regards the prefix alone.
    public var removesExpiredDeleteMarkers = false
    /// How many days after their beginning multipart uploads are aborted: 1 to 36,500. Regards the
    /// prefix alone. Nil leaves them to ``StoreConfiguration/multipartLifetime``.
    public var incompleteUploadDays: Int?

    /// A rule that does nothing yet.
    public init(_ id: String, prefix: String = "") {
        self.id = id
        self.prefix = prefix
    }
}

/// When older versions of an object go.
public struct NoncurrentExpiration: Hashable, Sendable {
    /// How many days after another version took the place of a version: 1 to 36,500.
    public var days: Int
    /// How many older versions stay in any case, the newest ones: 0 to 100.
    public var keepingNewest: Int

    /// Makes a period.
    public init(days: Int, keepingNewest: Int = 0) {
        self.days = days
        self.keepingNewest = keepingNewest
    }
}

/// What an application of lifecycle rules has done.
public struct LifecycleReport: Hashable, Sendable {
    /// Objects that went, or were hidden by a delete marker.
    public internal(set) var expiredObjectCount: UInt64 = 0
    /// Older versions that were removed for good, delete markers included.
    public internal(set) var removedVersionCount: UInt64 = 0
    /// Keys that were looked at.
    public internal(set) var evaluatedKeyCount: UInt64 = 0
    /// Keys that were left for later because the customer key of their bucket cannot be used now.
    public internal(set) var lockedKeyCount: UInt64 = 0
    /// Keys that were left for later for another reason: rows are damaged, which a verification
    /// names, a locked version is in the way, or others write the key all the time.
    public internal(set) var skippedKeyCount: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// What lifecycle rules would do to a bucket now.
public struct LifecyclePreview: Hashable, Sendable {
    /// Objects that would go, or be hidden by a delete marker.
    public internal(set) var expiredObjectCount: UInt64 = 0
    /// Older versions that would be removed for good, delete markers included.
    public internal(set) var removedVersionCount: UInt64 = 0
    /// Multipart uploads that would be aborted.
    public internal(set) var abortedUploadCount: UInt64 = 0
    /// Blobs that would go from the bucket with them.
    public internal(set) var removedBlobCount: UInt64 = 0
    /// The lengths of these blobs together.
    public internal(set) var logicalByteCount: UInt64 = 0
    /// The bytes that the next sweep would free: of records that nothing else in the store needs.
    /// Parts of multipart uploads and leased blobs are not among them.
    public internal(set) var freedByteCount: UInt64 = 0

    /// Nothing.
    public init() {}
}

// MARK: - Checks

extension LifecycleRule {
    /// - Throws: ``StoreError`` with code `invalidArgument`, `limitExceeded`.
    static func check(_ rules: [LifecycleRule]) throws(StoreError) {
        guard rules.count <= ruleCountMax else {
            throw StoreError(.limitExceeded, "a bucket has at most \(ruleCountMax) lifecycle rules")
        }
        var ids: Set<String> = []
        for rule in rules {
            guard ids.insert(rule.id).inserted else {
                throw StoreError(.invalidArgument, "two lifecycle rules have the name \(rule.id)")
            }
            try rule.check()
        }
    }

    private func check() throws(StoreError) {
        guard (1...Self.idByteCountMax).contains(id.utf8.count) else {
            throw StoreError(
                .invalidArgument, "a lifecycle rule has a name of 1 to \(Self.idByteCountMax) bytes"
            )
        }
        guard prefix.utf8.count <= Names.objectKeyByteCount.upperBound, !prefix.utf8.contains(0)
        else { throw StoreError(.invalidArgument, "the prefix of rule \(id) begins no key") }
        try ObjectAttributes.check(tags: tags)
        guard byteCountMin <= byteCountMax else {
            throw StoreError(.invalidArgument, "rule \(id) wants more bytes than it allows")
        }
        if case .after(let days)? = expiration { try check(days: days) }
        if let noncurrentExpiration {
            try check(days: noncurrentExpiration.days)
            guard (0...Self.keptVersionCountMax).contains(noncurrentExpiration.keepingNewest) else {
                throw StoreError(
                    .invalidArgument,
                    "rule \(id) keeps 0 to \(Self.keptVersionCountMax) newer versions")
            }
        }
        if let incompleteUploadDays { try check(days: incompleteUploadDays) }
        guard
            expiration != nil || noncurrentExpiration != nil || removesExpiredDeleteMarkers
                || incompleteUploadDays != nil
        else { throw StoreError(.invalidArgument, "rule \(id) says nothing of what is to happen") }
    }

    private func check(days: Int) throws(StoreError) {
        guard (1...Self.dayCountMax).contains(days) else {
            throw StoreError(
                .invalidArgument, "rule \(id) names \(days) days, not 1 to \(Self.dayCountMax)")
        }
    }

    /// Whether the rule has to do with a key.
    func concerns(_ key: String) -> Bool {
        isEnabled && key.utf8.starts(with: prefix.utf8)
    }

    /// Whether the rule has to do with a version; of a delete marker only the key counts.
    ///
    /// - Parameter versionTags: those of the version; looked at only if the rule names some.
    func concerns(_ row: ObjectRow, tags versionTags: [String: String]) -> Bool {
        guard !row.isDeleteMarker else { return true }
        return (byteCountMin...byteCountMax).contains(row.byteCount)
            && tags.allSatisfy { versionTags[$0.key] == $0.value }
    }
}

extension Duration {
    static func days(_ count: Int) -> Duration { .seconds(86_400 * count) }
}
