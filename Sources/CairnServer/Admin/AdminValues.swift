// Part of Cairn, a content-addressed blob store.

// The values of the admin interface, which travel as JSON between a server and its clients and
// which commands print as JSON too: digests and times are text, so that the two never differ.
// Adding a field is compatible; renaming or removing one is not.

/// The process that has a store open.
public struct ServerInfo: Codable, Hashable, Sendable {
    /// Cairn's version, such as `0.1.0`.
    public var version: String
    /// The id of the process that has the store open.
    public var processID: Int32
    /// The store's id, a UUID.
    public var storeID: String
    /// Whether the answer came from a server rather than from this process.
    public var isServer: Bool

    /// Makes a description from its parts.
    public init(version: String, processID: Int32, storeID: String, isServer: Bool) {
        self.version = version
        self.processID = processID
        self.storeID = storeID
        self.isServer = isServer
    }
}

/// One bucket.
public struct BucketInfo: Codable, Hashable, Sendable {
    /// The bucket's name, unique in its account.
    public var name: String
    /// The bucket's id, a UUID that is never used again.
    public var id: String
    /// When the bucket was created, RFC 3339.
    public var createdAt: String
    /// How many blobs the bucket holds.
    public var blobCount: UInt64
    /// The sum of their sizes.
    public var logicalByteCount: UInt64
    /// How many objects the bucket holds.
    public var objectCount: UInt64
    /// Their older versions and delete markers.
    public var olderVersionCount: UInt64
    /// The customer key that wraps the bucket's keys; nil is the store's own.
    public var customerKey: String?
    /// How often the bucket's data key was replaced, plus one.
    public var keyGeneration: UInt32
    /// Whom the bucket shares chunks with: `key`, `account` or `bucket`.
    public var deduplication: String

    /// Makes a description from its parts.
    public init(
        name: String, id: String, createdAt: String, blobCount: UInt64, logicalByteCount: UInt64,
        objectCount: UInt64, olderVersionCount: UInt64, customerKey: String?, keyGeneration: UInt32,
        deduplication: String
    ) {
        self.name = name
        self.id = id
        self.createdAt = createdAt
        self.blobCount = blobCount
        self.logicalByteCount = logicalByteCount
        self.objectCount = objectCount
        self.olderVersionCount = olderVersionCount
        self.customerKey = customerKey
        self.keyGeneration = keyGeneration
        self.deduplication = deduplication
    }
}

/// One blob of a bucket.
public struct BlobInfo: Codable, Hashable, Sendable {
    /// The blob's digest, such as `sha256:...`.
    public var digest: String
    /// The blob's size.
    public var byteCount: UInt64
    /// When the blob came into the bucket, RFC 3339.
    public var createdAt: String

    /// Makes a description from its parts.
    public init(digest: String, byteCount: UInt64, createdAt: String) {
        self.digest = digest
        self.byteCount = byteCount
        self.createdAt = createdAt
    }
}

/// One page of a bucket's blobs.
public struct BlobListing: Codable, Hashable, Sendable {
    /// The blobs of this page.
    public var blobs: [BlobInfo]
    /// Where the next page starts; nil on the last page.
    public var next: String?

    /// Makes a page from its parts.
    public init(blobs: [BlobInfo], next: String?) {
        self.blobs = blobs
        self.next = next
    }
}

/// Figures about a whole store.
public struct StatisticsInfo: Codable, Hashable, Sendable {
    /// How many accounts exist.
    public var accountCount: UInt64
    /// How many buckets exist, in all accounts.
    public var bucketCount: UInt64
    /// How many blobs exist, counted once per bucket that holds them.
    public var blobCount: UInt64
    /// The sum of their sizes.
    public var logicalByteCount: UInt64
    /// The bytes that segments, index and catalogue take on disk.
    public var storedByteCount: UInt64
    /// How many distinct chunks are stored.
    public var chunkCount: UInt64
    /// How many segment files exist.
    public var segmentCount: UInt64
    /// The bytes that the index takes on disk, roughly; a part of ``storedByteCount``.
    public var indexByteCount: UInt64
    /// The bytes of the catalogue, from which a lost index is rebuilt.
    public var catalogueByteCount: UInt64
    /// Whether the catalogue has everything; if not, the next compaction makes up for it.
    public var isCatalogueComplete: Bool
    /// How many upload sessions are open.
    public var openUploadCount: UInt64

    /// Makes figures from their parts.
    public init(
        accountCount: UInt64, bucketCount: UInt64, blobCount: UInt64, logicalByteCount: UInt64,
        storedByteCount: UInt64, chunkCount: UInt64, segmentCount: UInt64, indexByteCount: UInt64,
        catalogueByteCount: UInt64, isCatalogueComplete: Bool, openUploadCount: UInt64
    ) {
        self.accountCount = accountCount
        self.bucketCount = bucketCount
        self.blobCount = blobCount
        self.logicalByteCount = logicalByteCount
        self.storedByteCount = storedByteCount
        self.chunkCount = chunkCount
        self.segmentCount = segmentCount
        self.indexByteCount = indexByteCount
        self.catalogueByteCount = catalogueByteCount
        self.isCatalogueComplete = isCatalogueComplete
        self.openUploadCount = openUploadCount
    }
}

/// What a sweep and the compaction behind it did, or what a sweep would free.
public struct SweepInfo: Codable, Hashable, Sendable {
    /// Chunks that nothing needs any more.
    public var chunkCount: UInt64
    /// The bytes of their records.
    public var byteCount: UInt64
    /// Blobs that went from their buckets because their leases were over.
    public var expiredBlobCount: UInt64
    /// Deleted buckets that are gone for good.
    public var bucketCount: UInt64
    /// Trees that were left alone because somebody reads them.
    public var leasedCount: UInt64
    /// What stays because it is damaged; a verification names it.
    public var damagedCount: UInt64
    /// Segment files that were removed.
    public var segmentCount: UInt64
    /// Their bytes: what the disk got back.
    public var freedByteCount: UInt64
    /// Bytes that were written again elsewhere so that segments could go.
    public var movedByteCount: UInt64

    /// Makes figures from their parts.
    public init(
        chunkCount: UInt64, byteCount: UInt64, expiredBlobCount: UInt64, bucketCount: UInt64,
        leasedCount: UInt64, damagedCount: UInt64, segmentCount: UInt64, freedByteCount: UInt64,
        movedByteCount: UInt64
    ) {
        self.expiredBlobCount = expiredBlobCount
        self.chunkCount = chunkCount
        self.byteCount = byteCount
        self.bucketCount = bucketCount
        self.leasedCount = leasedCount
        self.damagedCount = damagedCount
        self.segmentCount = segmentCount
        self.freedByteCount = freedByteCount
        self.movedByteCount = movedByteCount
    }
}

/// What keeps a blob alive.
public struct KeepersInfo: Codable, Hashable, Sendable {
    /// The blob.
    public var digest: String
    /// The buckets that have it.
    public var keepers: [KeeperInfo]
    /// Whether somebody reads it just now.
    public var isBeingRead: Bool
    /// The bytes that a sweep would free if all of them gave it up.
    public var freedByteCount: UInt64

    /// Makes an answer from its parts.
    public init(digest: String, keepers: [KeeperInfo], isBeingRead: Bool, freedByteCount: UInt64) {
        self.digest = digest
        self.keepers = keepers
        self.isBeingRead = isBeingRead
        self.freedByteCount = freedByteCount
    }
}

/// What keeps a blob alive in one bucket.
public struct KeeperInfo: Codable, Hashable, Sendable {
    /// The account of the bucket.
    public var account: String
    /// The bucket.
    public var bucket: String
    /// Whether it was stored or mounted as a blob.
    public var isPinned: Bool
    /// Until when it stays without an object, if it is leased, RFC 3339.
    public var leaseEnd: String?
    /// How many objects have it as their body or refer to it.
    public var objectCount: UInt64
    /// Their keys, at most a hundred.
    public var objectKeys: [String]
    /// The bytes that a sweep would free if this bucket alone gave it up.
    public var freedByteCount: UInt64

    /// Makes an answer from its parts.
    public init(
        account: String, bucket: String, isPinned: Bool, leaseEnd: String?, objectCount: UInt64,
        objectKeys: [String], freedByteCount: UInt64
    ) {
        self.account = account
        self.bucket = bucket
        self.isPinned = isPinned
        self.leaseEnd = leaseEnd
        self.objectCount = objectCount
        self.objectKeys = objectKeys
        self.freedByteCount = freedByteCount
    }
}

/// What a scrub has read and found.
public struct ScrubInfo: Codable, Hashable, Sendable {
    /// Segment files that were read.
    public var segmentCount: UInt64
    /// The bytes of their records.
    public var byteCount: UInt64
    /// Chunks that turned out to be damaged just now.
    public var damagedChunkCount: UInt64
    /// Damaged places that no chunk needs.
    public var unusedDamageCount: UInt64
    /// All blobs that cannot be read whole.
    public var damagedBlobs: [DamagedBlobInfo]

    /// Makes figures from their parts.
    public init(
        segmentCount: UInt64, byteCount: UInt64, damagedChunkCount: UInt64,
        unusedDamageCount: UInt64, damagedBlobs: [DamagedBlobInfo]
    ) {
        self.segmentCount = segmentCount
        self.byteCount = byteCount
        self.damagedChunkCount = damagedChunkCount
        self.unusedDamageCount = unusedDamageCount
        self.damagedBlobs = damagedBlobs
    }
}

/// What a backup holds.
public struct BackupInfo: Codable, Hashable, Sendable {
    /// Segment files in the backup.
    public var segmentCount: UInt64
    /// Bytes that backup and store share on disk.
    public var linkedByteCount: UInt64
    /// Bytes that were copied, without the index.
    public var copiedByteCount: UInt64
    /// Whether the key file is in the backup.
    public var includesKeyFile: Bool

    /// Makes figures from their parts.
    public init(
        segmentCount: UInt64, linkedByteCount: UInt64, copiedByteCount: UInt64,
        includesKeyFile: Bool
    ) {
        self.segmentCount = segmentCount
        self.linkedByteCount = linkedByteCount
        self.copiedByteCount = copiedByteCount
        self.includesKeyFile = includesKeyFile
    }
}

/// A blob that cannot be read whole.
public struct DamagedBlobInfo: Codable, Hashable, Sendable {
    /// The account of the bucket.
    public var account: String
    /// The bucket that has the blob.
    public var bucket: String
    /// The blob.
    public var digest: String

    /// Names a blob.
    public init(account: String, bucket: String, digest: String) {
        self.account = account
        self.bucket = bucket
        self.digest = digest
    }
}

/// How much a verification reads.
public enum VerifyDepthInfo: String, Codable, Hashable, Sendable, CaseIterable {
    /// References, counts and locations; no stored byte is read.
    case structure
    /// Every stored byte and every digest too.
    case full
}

/// How far a verification has come.
public struct VerifyProgressInfo: Codable, Hashable, Sendable {
    /// How many blobs have been checked.
    public var checkedBlobCount: UInt64
    /// How many blobs there are to check; nil when that is not known.
    public var totalBlobCount: UInt64?
    /// How many bytes have been read and checked.
    public var checkedByteCount: UInt64

    /// Makes a progress report from its parts.
    public init(checkedBlobCount: UInt64, totalBlobCount: UInt64?, checkedByteCount: UInt64) {
        self.checkedBlobCount = checkedBlobCount
        self.totalBlobCount = totalBlobCount
        self.checkedByteCount = checkedByteCount
    }
}

/// What a verification found.
public struct VerifyInfo: Codable, Hashable, Sendable {
    /// Whether nothing is wrong.
    public var isSound: Bool
    /// How many blobs were checked.
    public var checkedBlobCount: UInt64
    /// How many bytes were read and checked.
    public var checkedByteCount: UInt64
    /// Damaged places that nothing needs: nothing is lost there.
    public var unusedDamageCount: UInt64
    /// One sentence per finding; empty when the store is sound.
    public var problems: [String]

    /// Makes a report from its parts.
    public init(
        isSound: Bool, checkedBlobCount: UInt64, checkedByteCount: UInt64,
        unusedDamageCount: UInt64, problems: [String]
    ) {
        self.isSound = isSound
        self.checkedBlobCount = checkedBlobCount
        self.checkedByteCount = checkedByteCount
        self.unusedDamageCount = unusedDamageCount
        self.problems = problems
    }
}
