// Part of Cairn, a content-addressed blob store.

/// A call on the objects of a bucket. All changes are durable when the answer comes.
public enum ObjectRequest: Codable, Hashable, Sendable {
    /// Describes an object, or a version of it. Answers `object`.
    case head(bucket: String, key: String, version: String?)
    /// Lists objects in the byte order of their keys. Answers `listing`.
    case list(bucket: String, ObjectListRequest)
    /// Copies an object, or gives it another key. Answers `object`, as it is there.
    case transfer(ObjectTransfer)
    /// Deletes an object, if it has this tag. Answers `done`.
    case delete(bucket: String, key: String, ifMatch: String?)
    /// Lists versions of objects; there are no common prefixes. Answers `versions`.
    case listVersions(bucket: String, ObjectListRequest)
    /// Removes a version of an object for good, also one that a retention in governance mode keeps
    /// if that is bypassed. Answers `done`.
    case deleteVersion(bucket: String, key: String, version: String, bypassGovernance: Bool)
    /// Whether a bucket keeps versions of its objects: `off`, `enabled` or `suspended`; one that is
    /// not nil is set first. Answers `versioning`.
    case versioning(bucket: String, String?)
    /// Gives an object other tags. Answers `object`.
    case setTags(bucket: String, key: String, tags: [String: String])
    /// Changes the lock of a version. Answers `object`.
    case lock(ObjectLockChange)
    /// The lifecycle rules of a bucket; those that are given are set first. Answers `lifecycle`.
    case lifecycle(bucket: String, [LifecycleRuleInfo]?)
    /// What rules would do to a bucket now; nil is its own. Answers `lifecyclePreview`.
    case previewLifecycle(bucket: String, [LifecycleRuleInfo]?)
    /// Does what the rules of all buckets want done by now. Answers `lifecycleReport`.
    case applyLifecycle
    /// What a bucket has committed behind a position; nil begins with the oldest event. Answers
    /// `events`.
    case events(bucket: String, after: String?, limit: Int)
}

/// Which objects to list.
public struct ObjectListRequest: Codable, Hashable, Sendable {
    /// What the keys begin with.
    public var prefix: String
    /// Where common prefixes end; empty for none.
    public var delimiter: String
    /// ``ObjectListing/next`` of the page before; nil starts at the beginning.
    public var after: String?
    /// 1 to 1000.
    public var limit: Int

    /// Makes a request from its parts.
    public init(prefix: String = "", delimiter: String = "", after: String? = nil, limit: Int) {
        self.prefix = prefix
        self.delimiter = delimiter
        self.after = after
        self.limit = limit
    }
}

/// When an object may be written.
public struct ObjectCondition: Codable, Hashable, Sendable {
    /// Only if no object has the key.
    public var ifNoneMatch = false
    /// Only if the object has this tag; `*` is any.
    public var ifMatch: String?

    /// Makes a condition from its parts.
    public init(ifNoneMatch: Bool = false, ifMatch: String? = nil) {
        self.ifNoneMatch = ifNoneMatch
        self.ifMatch = ifMatch
    }
}

/// A copy or a rename.
public struct ObjectTransfer: Codable, Hashable, Sendable {
    /// The bucket of the object.
    public var bucket: String
    /// Its key.
    public var key: String
    /// The bucket where it goes.
    public var targetBucket: String
    /// Its key there.
    public var targetKey: String
    /// Whether it leaves its place.
    public var isMove: Bool
    /// When it may be written there.
    public var condition: ObjectCondition

    /// Makes a transfer from its parts.
    public init(
        bucket: String, key: String, targetBucket: String, targetKey: String, isMove: Bool,
        condition: ObjectCondition = ObjectCondition()
    ) {
        self.bucket = bucket
        self.key = key
        self.targetBucket = targetBucket
        self.targetKey = targetKey
        self.isMove = isMove
        self.condition = condition
    }
}

/// An object to be written, but for its bytes.
public struct ObjectPut: Codable, Hashable, Sendable {
    /// The bucket of the object.
    public var bucket: String
    /// Its key.
    public var key: String
    /// What is said of it.
    public var attributes: ObjectAttributesInfo
    /// The digests of the blobs that it keeps alive.
    public var references: [String]
    /// When it may be written.
    public var condition: ObjectCondition

    /// Makes it from its parts.
    public init(
        bucket: String, key: String, attributes: ObjectAttributesInfo = ObjectAttributesInfo(),
        references: [String] = [], condition: ObjectCondition = ObjectCondition()
    ) {
        self.bucket = bucket
        self.key = key
        self.attributes = attributes
        self.references = references
        self.condition = condition
    }
}

/// What an ``ObjectRequest`` answers.
public enum ObjectAnswer: Codable, Hashable, Sendable {
    /// An object.
    case object(ObjectInfo)
    /// A page of objects.
    case listing(ObjectListing)
    /// A page of versions.
    case versions(ObjectVersionListing)
    /// Whether a bucket keeps versions of its objects.
    case versioning(String)
    /// Lifecycle rules.
    case lifecycle([LifecycleRuleInfo])
    /// What rules would do.
    case lifecyclePreview(LifecyclePreviewInfo)
    /// What rules have done.
    case lifecycleReport(LifecycleReportInfo)
    /// A page of events.
    case events(BucketEventListing)
    /// Nothing more to say.
    case done
}
