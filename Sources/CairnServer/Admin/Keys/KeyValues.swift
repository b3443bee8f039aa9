// Part of Cairn, a content-addressed blob store.

// Adding a field is compatible; renaming or removing one is not.

/// One customer key; never its material.
public struct KeyInfo: Codable, Hashable, Sendable {
    /// The permanent name of the key.
    public var id: String
    /// The aliases that lead to it.
    public var aliases: [String]
    /// `enabled`, `disabled` or `pendingDeletion`.
    public var state: String
    /// What the key is for.
    public var description: String
    /// The tags of the key.
    public var tags: [String: String]
    /// When it was created, RFC 3339.
    public var createdAt: String
    /// How many versions of its material there are.
    public var versionCount: Int
    /// When it is destroyed, RFC 3339.
    public var deletionDate: String?
    /// Days between automatic rotations.
    public var rotationPeriodDays: Int?
    /// When it is rotated next by itself, RFC 3339.
    public var nextRotationDate: String?
    /// What it was used for last, and when, RFC 3339.
    public var lastUse: String?
    /// When that was, RFC 3339.
    public var lastUsedAt: String?
}

/// One version of a key's material.
public struct KeyVersionInfo: Codable, Hashable, Sendable {
    /// The number of the version, from 1.
    public var version: Int
    /// When it was made, RFC 3339.
    public var createdAt: String
    /// `creation`, `automatic` or `onDemand`.
    public var origin: String
}

/// One grant of a key.
public struct GrantInfo: Codable, Hashable, Sendable {
    /// The permanent name of the grant.
    public var id: String
    /// The name that its creator gave it.
    public var name: String?
    /// Who may use the key.
    public var principal: String
    /// Who may give the grant up.
    public var retiringPrincipal: String?
    /// What is allowed, as AWS KMS names it.
    public var operations: [String]
    /// Pairs that the encryption context must have.
    public var context: [String: String]
    /// Whether the context must have these pairs and no other.
    public var isExact: Bool
    /// When it was made, RFC 3339.
    public var createdAt: String
}

/// What a rewrapping did.
public struct RewrapInfo: Codable, Hashable, Sendable {
    /// Buckets that were looked at.
    public var bucketCount: UInt64
    /// Keys that were wrapped anew.
    public var rewrappedCount: UInt64
    /// Buckets that were left out because their key cannot be used.
    public var unavailableBucketCount: UInt64
}

/// What was destroyed with a bucket.
public struct ShredInfo: Codable, Hashable, Sendable {
    /// The name of the bucket.
    public var bucket: String
    /// The id of the bucket.
    public var bucketID: String
    /// The customer key that its keys were under.
    public var customerKey: String?
    /// The generations of its data key.
    public var generationCount: UInt32
    /// The keys that were destroyed.
    public var keyCount: Int
    /// The blobs that cannot be read any more.
    public var blobCount: UInt64
    /// The sum of their sizes.
    public var logicalByteCount: UInt64
    /// When it was done, RFC 3339.
    public var time: String
    /// Whether nothing is left in the index's files; else run `cairn bucket purge` later.
    public var isPurged: Bool
    /// Directories with an older index, to be removed by hand.
    public var olderIndexes: [String]
    /// Where the audit log ended then.
    public var auditHead: String
}

/// One entry of the audit log.
public struct AuditEntryInfo: Codable, Hashable, Sendable {
    /// The number of the entry, from 1.
    public var sequence: UInt64
    /// When it was recorded, RFC 3339.
    public var time: String
    /// What was done.
    public var action: String
    /// The key.
    public var key: String?
    /// On whose behalf.
    public var principal: String?
    /// The encryption context, with quotes and escapes.
    public var context: String?
    /// What else tells the act from others of its kind.
    public var detail: String?
    /// `ok`, or the code of the error.
    public var outcome: String
}

/// What a check of the audit log found.
public struct AuditInfo: Codable, Hashable, Sendable {
    /// Whether the log is complete and unchanged.
    public var isSound: Bool
    /// Entries that are there.
    public var entryCount: UInt64
    /// The first of them.
    public var firstSequence: UInt64
    /// Where the log ends; note it elsewhere.
    public var head: String
    /// What is wrong.
    public var problems: [String]
}
