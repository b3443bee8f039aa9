// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// Whether a bucket keeps what its objects were before, as in S3.
public enum Versioning: UInt8, Hashable, Sendable, CaseIterable {
    // On disk: never renumber.
    /// A write replaces the object, a deletion removes it. How buckets begin; once versions were
    /// kept there is no way back, only ``suspended``.
    case off = 0
    /// A write keeps the object that was there as an older version, and so does a deletion, which
    /// leaves a delete marker.
    case enabled = 1
    /// Older versions stay, writes and deletions replace the null version alone.
    case suspended = 2
}

/// Names one version of an object: opaque, never reused.
public struct ObjectVersionID: Hashable, Sendable, LosslessStringConvertible {
    /// The version that was written while the bucket kept none; of each key there is at most one.
    public static let null = ObjectVersionID(sequence: 0, token: 0)

    /// Later versions of a key have higher numbers; 0 where it is not known.
    let sequence: UInt64
    /// Random, and 0 for the null version alone: together with the key it names the version.
    let token: UInt64

    init(sequence: UInt64, token: UInt64) {
        self.sequence = token == 0 ? 0 : sequence
        self.token = token
    }

    /// Reads the text form: `null`, or 32 lower-case hexadecimal digits.
    public init?(_ description: String) {
        guard description != Self.null.description else {
            self = .null
            return
        }
        guard let bytes = Hex.decode(description), bytes.count == 16,
            let sequence = RowKey.number64(bytes[..<8]), let token = RowKey.number64(bytes[8...]),
            token != 0
        else { return nil }
        self.init(sequence: sequence, token: token)
    }

    /// The text form, for URLs.
    public var description: String {
        token == 0 ? "null" : Hex.encode(RowKey.bigEndian(sequence) + RowKey.bigEndian(token))
    }
}

/// One version of an object, or a delete marker.
public struct ObjectVersion: Hashable, Sendable {
    /// The name of the object.
    public let key: String
    /// The name of the version.
    public let id: ObjectVersionID
    /// Whether this is what a read without a version finds: for a delete marker, nothing.
    public let isLatest: Bool
    /// When it was written, or the object was deleted.
    public let modifiedAt: Timestamp
    /// What is known of the object; nil for a delete marker.
    public let object: ObjectDescription?

    /// Whether it says that the object was deleted.
    public var isDeleteMarker: Bool { object == nil }

    /// Describes a version; for implementations of buckets other than Cairn's own.
    public init(
        key: String, id: ObjectVersionID, isLatest: Bool, modifiedAt: Timestamp,
        object: ObjectDescription?
    ) {
        self.key = key
        self.id = id
        self.isLatest = isLatest
        self.modifiedAt = modifiedAt
        self.object = object
    }
}

/// One page of the versions of a bucket's objects.
public struct ObjectVersionPage: Sendable {
    /// The versions: keys in byte order, of each key the newest first.
    public let versions: [ObjectVersion]
    /// Where the next page starts; nil at the end.
    public let next: ObjectVersionCursor?

    /// Whether more follow.
    public var isTruncated: Bool { next != nil }

    /// A page; for implementations of buckets other than Cairn's own.
    public init(versions: [ObjectVersion], next: ObjectVersionCursor?) {
        self.versions = versions
        self.next = next
    }
}

/// A position in the listing of versions: opaque, valid as long as the bucket exists.
public struct ObjectVersionCursor: Hashable, Sendable, LosslessStringConvertible {
    let key: [UInt8]
    /// Of the last version seen: those of the key that are older follow.
    let sequence: UInt64

    init(key: String, sequence: UInt64) {
        self.key = Array(key.utf8)
        self.sequence = sequence
    }

    /// Reads the text form of a cursor.
    public init?(_ description: String) {
        guard let bytes = Hex.decode(description),
            (8 + Names.objectKeyByteCount.lowerBound...8 + Names.objectKeyByteCount.upperBound)
                .contains(bytes.count), let sequence = RowKey.number64(bytes[..<8])
        else { return nil }
        self.sequence = sequence
        key = Array(bytes[8...])
    }

    /// The text form of the cursor, for URLs.
    public var description: String { Hex.encode(RowKey.bigEndian(sequence) + key) }
}
