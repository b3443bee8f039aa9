// Part of Cairn, a content-addressed blob store.

/// What a bucket, an account or a store has, as of one moment.
///
/// The figures of an account are the sums of those of its buckets, to the byte, and those of the
/// store the sums of its accounts; but for what is stored for buckets that were deleted, and for
/// uploads that have nothing durable yet, which those of the store leave out.
public struct Usage: Hashable, Sendable {
    /// Blobs, bodies of objects included; one that is in two buckets counts in both.
    public var blobCount: UInt64 = 0
    /// Objects, by their keys.
    public var objectCount: UInt64 = 0
    /// Older versions of objects and delete markers.
    public var olderVersionCount: UInt64 = 0
    /// Upload sessions and multipart uploads that are open.
    public var uploadCount: UInt64 = 0

    /// The sum of the lengths of all blobs: what clients believe to have stored.
    public var logicalByteCount: UInt64 = 0
    /// Of these, the bytes of blobs that no other bucket has: what the bucket alone keeps alive.
    public var uniqueByteCount: UInt64 = 0
    /// The logical bytes where each blob is split among all buckets that have it, see
    /// ``ChargingMode/fairShare``.
    public var fairShareByteCount: UInt64 = 0
    /// The logical bytes of blobs that no bucket had before, see ``ChargingMode/unique``. Of an
    /// account: the bytes of its distinct blobs.
    public var ownedByteCount: UInt64 = 0
    /// The bytes that the account is charged for, in the way that it is charged now.
    public var chargedByteCount: UInt64 = 0
    /// Bytes of uploads under way: received or announced, and not a blob yet. They count for the
    /// quota.
    public var inFlightByteCount: UInt64 = 0

    /// Bytes of the records in segments that the bucket has brought, after deduplication and
    /// compression; those that wait for the sweep are among them, see ``Account/garbage()``. Blobs
    /// of at most 16 KiB lie in the index and are not.
    public var storedByteCount: UInt64 = 0
    /// The data in these records before it was compressed.
    public var uncompressedByteCount: UInt64 = 0

    /// An empty one.
    public init() {}

    /// The logical bytes of blobs that other buckets have too.
    public var sharedByteCount: UInt64 { logicalByteCount - min(logicalByteCount, uniqueByteCount) }

    /// How many times smaller the stored data is than it was before it was compressed; 1 where
    /// nothing is stored.
    public var compressionFactor: Double {
        storedByteCount == 0 ? 1 : Double(uncompressedByteCount) / Double(storedByteCount)
    }

    /// How many times more bytes clients have stored than were kept before compression. Of a bucket
    /// that has stored nothing in segments it is infinite; 1 where there is nothing.
    public var deduplicationFactor: Double {
        guard logicalByteCount > 0 else { return 1 }
        return Double(logicalByteCount) / Double(uncompressedByteCount)
    }

    init(_ counts: UsageCounts, _ promised: PromisedUsage, _ charging: ChargingMode) {
        blobCount = counts.magnitude(.blobs)
        objectCount = counts.magnitude(.objects)
        olderVersionCount = counts.magnitude(.olderVersions)
        uploadCount = Self.sum(counts[.uploads], promised.uploadCount)
        logicalByteCount = counts.magnitude(.logicalBytes)
        uniqueByteCount = Self.sum(counts[.logicalBytes], 0 &- counts[.sharedBytes])
        fairShareByteCount = Self.sum(counts.chargedBytes(.fairShare), 0)
        ownedByteCount = Self.sum(counts.chargedBytes(.unique), 0)
        chargedByteCount = Self.sum(counts.chargedBytes(charging), 0)
        inFlightByteCount = Self.sum(counts[.inFlightBytes], promised.byteCount)
        storedByteCount = counts.magnitude(.storedBytes)
        uncompressedByteCount = counts.magnitude(.uncompressedBytes)
    }

    // A count below zero cannot be; the verification reports it.
    private static func sum(_ first: Int64, _ second: Int64) -> UInt64 {
        UInt64(clamping: Int128(first) + Int128(second))
    }
}

/// The usage of one bucket among others.
public struct BucketUsage: Hashable, Sendable {
    /// The name of the bucket.
    public let name: String
    /// What it has.
    public let usage: Usage
    /// What was delivered and asked for today, in UTC.
    public let trafficToday: Traffic
}

/// Where the bytes of a store's files are.
public struct StoreUsage: Hashable, Sendable {
    /// What all accounts have together, with what was stored before it was known by whom.
    public var total = Usage()
    /// Bytes of the segment files.
    public var segmentByteCount: UInt64 = 0
    /// Bytes of the files of the index.
    public var indexByteCount: UInt64 = 0
    /// Bytes of the catalogue, the copy of the index that a repair starts from.
    public var catalogueByteCount: UInt64 = 0
    /// Bytes of the audit log.
    public var auditByteCount: UInt64 = 0
    /// Bytes of all other files in the store's directory: the keyring, and what a repair has put
    /// aside.
    public var otherByteCount: UInt64 = 0

    /// Of the segment files what is not stored for anybody: headers, lists of references, room that
    /// is reserved, and freed records that the next compaction removes.
    public var segmentOverheadByteCount: UInt64 {
        segmentByteCount - min(segmentByteCount, total.storedByteCount)
    }
    /// Bytes of all files.
    public var fileByteCount: UInt64 {
        segmentByteCount + indexByteCount + catalogueByteCount + auditByteCount + otherByteCount
    }

    /// An empty one.
    public init() {}
}
