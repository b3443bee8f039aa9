// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// Something that a bucket has committed.
public struct BucketEvent: Hashable, Sendable {
    /// What was done.
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        // On disk: never renumber.
        /// The bucket has a blob that it did not have: uploaded, mounted, or the body of an object.
        case blobAdded = 1
        /// A blob has gone from the bucket.
        case blobRemoved = 2
        /// An object was written, as its latest version.
        case objectWritten = 3
        /// The tags, the references or the lock of a version were changed.
        case objectUpdated = 4
        /// An object was deleted: removed, or hidden by a delete marker where versions are kept.
        case objectDeleted = 5
        /// A version of an object, or a delete marker, was removed for good.
        case versionDeleted = 6
        /// Versioning, the default retention or the lifecycle rules were changed.
        case settingsChanged = 7
        /// So much of a quota is used that it warns.
        case quotaWarning = 8
    }

    /// Why it was done.
    public enum Cause: UInt8, Hashable, Sendable, CaseIterable {
        // On disk: never renumber.
        /// Somebody asked for it.
        case call = 0
        /// The lease of a blob was over.
        case lease = 1
        /// A lifecycle rule of the bucket.
        case lifecycle = 2
    }

    /// The position behind the event: go on from here.
    public let cursor: EventCursor
    /// When it was committed, by the clock of the store's metering: while a store is open never
    /// before the event that comes before it, whatever is done to the clock of the machine.
    public let time: Timestamp
    /// What was done.
    public let kind: Kind
    /// Why it was done.
    public let cause: Cause
    /// The object that it concerns; nil for blobs and settings.
    public let key: String?
    /// The version that was written, changed or removed; of a deletion the delete marker.
    public let versionID: ObjectVersionID?
    /// The tag of the version; nil for delete markers, blobs and settings.
    public let etag: ETag?
    /// The digest of the blob or of the object's body; nil for settings and delete markers, and for
    /// a blob that has gone since: the event of that, which follows, has it.
    public let digest: Digest?
    /// The length of the blob or of the body.
    public let byteCount: UInt64?
    /// Of a warning: which quota, and how much of it is used.
    public let quota: QuotaWarning?

    /// Describes an event; for implementations of buckets other than Cairn's own.
    public init(
        cursor: EventCursor, time: Timestamp, kind: Kind, cause: Cause = .call, key: String? = nil,
        versionID: ObjectVersionID? = nil, etag: ETag? = nil, digest: Digest? = nil,
        byteCount: UInt64? = nil, quota: QuotaWarning? = nil
    ) {
        self.quota = quota
        self.cursor = cursor
        self.time = time
        self.kind = kind
        self.cause = cause
        self.key = key
        self.versionID = versionID
        self.etag = etag
        self.digest = digest
        self.byteCount = byteCount
    }
}

/// A position in the events of a bucket: opaque, valid while the events behind it are kept.
public struct EventCursor: Hashable, Sendable, LosslessStringConvertible {
    /// 0 for a bucket that had no event yet.
    let epoch: UInt64
    /// The number of the last event seen.
    let number: UInt64

    init(epoch: UInt64, number: UInt64) {
        self.epoch = epoch
        self.number = number
    }

    /// A position; for implementations of buckets other than Cairn's own.
    ///
    /// - Parameter number: how many events lie before it.
    public init(behind number: UInt64) { self.init(epoch: 1, number: number) }

    /// Reads the text form of a cursor.
    public init?(_ description: String) {
        guard let bytes = Hex.decode(description), bytes.count == 16,
            let epoch = RowKey.number64(bytes[..<8]), let number = RowKey.number64(bytes[8...])
        else { return nil }
        self.init(epoch: epoch, number: number)
    }

    /// The text form of the cursor, for URLs: 32 hexadecimal digits.
    public var description: String {
        Hex.encode(RowKey.bigEndian(epoch) + RowKey.bigEndian(number))
    }
}

/// Some events of a bucket, in the order in which they were committed.
public struct BucketEventPage: Sendable {
    /// The events; none when nothing has happened since.
    public let events: [BucketEvent]
    /// Where to go on, also when there are no events now.
    public let next: EventCursor
    /// Whether there was nothing more at that moment.
    public let isAtEnd: Bool

    /// A page; for implementations of buckets other than Cairn's own.
    public init(events: [BucketEvent], next: EventCursor, isAtEnd: Bool) {
        self.events = events
        self.next = next
        self.isAtEnd = isAtEnd
    }
}
