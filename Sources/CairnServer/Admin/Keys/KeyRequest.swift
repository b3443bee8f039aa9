// Part of Cairn, a content-addressed blob store.

/// A call on the key service of a store, on the keys of a bucket, or on the audit log.
///
/// Keys are named by id or alias. All changes are durable when the answer comes.
public enum KeyRequest: Codable, Hashable, Sendable {
    /// Creates a key. Answers `key`.
    case create(alias: String?, description: String, tags: [String: String])
    /// Lists keys in the order of their creation, behind one and 1 to 1000 of them. Answers `keys`.
    case list(after: String?, limit: Int)
    /// Describes a key. Answers `key`.
    case describe(key: String)
    /// Changes a key. Answers `key`, as it is then.
    case change(key: String, KeyChange)
    /// Removes an alias. Answers `done`.
    case deleteAlias(String)
    /// When and why the versions of a key's material were made. Answers `versions`.
    case versions(key: String)
    /// Lists the grants of a key. Answers `grants`.
    case grants(key: String)
    /// Creates a grant. Answers `grant`.
    case createGrant(key: String, GrantRequest)
    /// Puts a bucket under another key, or under the store's own, or changes whom it shares chunks
    /// with; what is nil or false stays. Answers `bucket`.
    case setEncryption(
        bucket: String, key: String?, usesStoreKey: Bool, deduplication: String?)
    /// Starts a new generation of a bucket's data key. Answers `bucket`.
    case rotateDataKey(bucket: String)
    /// Wraps data keys anew, of one bucket or of all under a key, or of all. Answers `rewrapped`.
    case rewrap(bucket: String?, key: String?)
    /// Destroys a bucket with its keys. Answers `shredded`.
    case shred(bucket: String)
    /// Removes from the store's files what deleted buckets and keys have left. Answers `purged`.
    case purge
    /// Lists entries of the audit log behind one. Answers `entries`.
    case auditEntries(after: UInt64, limit: Int)
    /// Checks the audit log, which must have this end in it, if one is given. Answers `audit`.
    case verifyAudit(head: String?)
}

/// What can be changed of a key.
public enum KeyChange: Codable, Hashable, Sendable {
    /// Allows its use.
    case enable
    /// Forbids its use.
    case disable
    /// Gives it new material.
    case rotate
    /// Gives it new material each so many days, 90 to 2560; nil ends that.
    case rotation(periodDays: Int?)
    /// Destroys it after 7 to 30 days.
    case scheduleDeletion(afterDays: Int)
    /// Lets it stay, disabled.
    case cancelDeletion
    /// Makes an alias that leads to it.
    case createAlias(String)
    /// Lets an alias that there is lead to it.
    case updateAlias(String)
    /// Says what it is for.
    case description(String)
    /// Adds tags or changes them.
    case tag([String: String])
    /// Takes tags away.
    case untag([String])
    /// Takes a grant back.
    case revokeGrant(String)
}

/// What a grant is to allow.
public struct GrantRequest: Codable, Hashable, Sendable {
    /// Who may use the key.
    public var principal: String
    /// What is allowed, as AWS KMS names it: `Decrypt`.
    public var operations: [String]
    /// Pairs that the encryption context must have.
    public var context: [String: String]
    /// Whether the context must have these pairs and no other.
    public var isExact: Bool
    /// Who may give the grant up.
    public var retiringPrincipal: String?
    /// The same name with the same parameters is the same grant.
    public var name: String?

    /// Makes a request from its parts.
    public init(
        principal: String, operations: [String], context: [String: String] = [:],
        isExact: Bool = false, retiringPrincipal: String? = nil, name: String? = nil
    ) {
        self.principal = principal
        self.operations = operations
        self.context = context
        self.isExact = isExact
        self.retiringPrincipal = retiringPrincipal
        self.name = name
    }
}

/// The answer to a ``KeyRequest``.
public enum KeyAnswer: Codable, Hashable, Sendable {
    /// Nothing to tell.
    case done
    /// One key.
    case key(KeyInfo)
    /// Keys.
    case keys([KeyInfo])
    /// Versions of a key.
    case versions([KeyVersionInfo])
    /// One grant.
    case grant(GrantInfo)
    /// Grants of a key.
    case grants([GrantInfo])
    /// One bucket.
    case bucket(BucketInfo)
    /// What a rewrapping did.
    case rewrapped(RewrapInfo)
    /// What was destroyed.
    case shredded(ShredInfo)
    /// Whether nothing is left, or a long reader still has some of it open.
    case purged(isComplete: Bool)
    /// Entries of the audit log.
    case entries([AuditEntryInfo])
    /// What a check of the audit log found.
    case audit(AuditInfo)
}
