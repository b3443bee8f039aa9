// Part of Cairn, a content-addressed blob store.

public import CairnCore
public import CairnKeys

/// Which buckets share the chunks that they have in common.
///
/// Narrower domains hide more from whoever holds one customer's key and a copy of the store;
/// wider ones store less. Decisions/0004 weighs it.
public enum Deduplication: Hashable, Sendable, CaseIterable {
    /// All buckets of the account on the same customer key: the default.
    case key
    /// All buckets of the account that ask for this, whatever their customer keys.
    ///
    /// The secret of the domain is under the store's default key. Whoever has a copy of the store
    /// and may use that key can confirm guesses about what these buckets hold; so can the tenants
    /// of each, from how little an upload adds.
    case account
    /// The bucket alone.
    case bucket

    /// The name in the command line and in JSON.
    public var name: String {
        switch self {
        case .key: "key"
        case .account: "account"
        case .bucket: "bucket"
        }
    }
}

/// Which customer key wraps the keys of a bucket (S3 `SSEAlgorithm`, ECR `encryptionType`).
public enum BucketEncryption: Hashable, Sendable {
    /// The store's default key (`AES256`).
    case storeManaged
    /// A key of the customer (`KMS`), by id, resource name or alias. An alias is followed once,
    /// when the bucket gets the key; moving it later moves no bucket.
    case customerKey(KeyReference)
}

/// How a bucket is made.
public struct BucketConfiguration: Hashable, Sendable {
    /// Which customer key wraps the keys of the bucket.
    public var encryption = BucketEncryption.storeManaged
    /// Whom the bucket shares chunks with.
    public var deduplication = Deduplication.key

    /// The defaults: deduplicated across the account, under its default key.
    public init(
        encryption: BucketEncryption = .storeManaged, deduplication: Deduplication = .key
    ) {
        self.encryption = encryption
        self.deduplication = deduplication
    }
}

/// What an account knows of one bucket.
public struct BucketDescription: Hashable, Sendable {
    /// The name of the bucket: that of the repository.
    public let name: String
    /// A UUID that outlives no bucket and is never reused.
    public let id: String
    /// When the bucket was created.
    public let createdAt: Timestamp
    /// The blobs in the bucket, bodies of objects included.
    public let blobCount: UInt64
    /// The sum of the lengths of these blobs, whatever other buckets share of them.
    public let logicalByteCount: UInt64
    /// The objects in the bucket.
    public let objectCount: UInt64
    /// Their older versions and the delete markers.
    public let olderVersionCount: UInt64
    /// Which customer key wraps the keys of the bucket, named by its id.
    public let encryption: BucketEncryption
    /// How often the bucket's data key was replaced, plus one.
    public let keyGeneration: UInt32
    /// Whom the bucket shares chunks with.
    public let deduplication: Deduplication
}
