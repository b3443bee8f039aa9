// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// An opaque token that names one state of an object (RFC 9110 8.8.3, without the quotes).
///
/// It is a keyed hash of the body's digest and of what describes it: two writes of the same in one
/// bucket have the same tag, in two buckets they have not.
public struct ETag: Hashable, Sendable, CustomStringConvertible {
    let text: String

    /// Takes a tag that a description or a client gave.
    public init(_ text: String) { self.text = text }

    init(_ octets: Octets16) { self.init(Hex.encode(octets.bytes)) }

    /// The token itself: 32 lower-case hexadecimal digits.
    public var description: String { text }
}

/// When a write, a copy or a deletion of an object may take place (RFC 9110 13.1).
///
/// It is decided in the same transaction that writes: of any number of writes at once on the same
/// state exactly one takes place.
public enum WriteCondition: Hashable, Sendable {
    /// Always.
    case none
    /// Only if no object has the key (`If-None-Match: *`).
    case ifNoneMatch
    /// Only if the object has this tag (`If-Match`).
    case ifMatch(ETag)
    /// Only if some object has the key (`If-Match: *`).
    case ifExists

    /// Whether the condition holds for an object; for implementations of buckets other than Cairn's
    /// own.
    ///
    /// - Parameter etag: of the object; nil when there is none.
    public func holds(for etag: ETag?) -> Bool {
        switch self {
        case .none: true
        case .ifNoneMatch: etag == nil
        case .ifMatch(let wanted): etag == wanted
        case .ifExists: etag != nil
        }
    }

    func holds(for row: ObjectRow?) -> Bool {
        switch self {
        case .none: true
        case .ifNoneMatch: row == nil
        case .ifMatch(let etag): row.map { $0.etag.map(ETag.init) == etag } ?? false
        case .ifExists: row != nil
        }
    }
}

/// When a read of an object is to be answered (RFC 9110 13.1).
///
/// All that is given must hold, in the order of RFC 9110 13.2.2: where tags are given, the times
/// beside them do not count. Times count whole seconds, as the HTTP fields do that carry them.
public struct ReadCondition: Hashable, Sendable {
    /// The object must have one of these tags; nil is any.
    public var ifMatch: [ETag]?
    /// The object must have none of these tags; nil is any.
    public var ifNoneMatch: [ETag]?
    /// The object must have been written after that second.
    public var ifModifiedSince: Timestamp?
    /// The object must not have been written after that second.
    public var ifUnmodifiedSince: Timestamp?

    /// Always.
    public static var none: Self { Self() }

    /// A condition of the parts that are given.
    public init(
        ifMatch: [ETag]? = nil, ifNoneMatch: [ETag]? = nil, ifModifiedSince: Timestamp? = nil,
        ifUnmodifiedSince: Timestamp? = nil
    ) {
        self.ifMatch = ifMatch
        self.ifNoneMatch = ifNoneMatch
        self.ifModifiedSince = ifModifiedSince
        self.ifUnmodifiedSince = ifUnmodifiedSince
    }

    /// Decides whether a read of an object is to be answered; for implementations of buckets other
    /// than Cairn's own.
    ///
    /// - Throws: ``StoreError`` with code `preconditionFailed` or `notModified`.
    public func check(_ object: ObjectDescription) throws(StoreError) {
        if let ifMatch {
            guard ifMatch.contains(object.etag) else { throw Transaction.conditionFailed }
        } else if let ifUnmodifiedSince, object.isModified(since: ifUnmodifiedSince) {
            throw Transaction.conditionFailed
        }
        if let ifNoneMatch {
            guard !ifNoneMatch.contains(object.etag) else { throw Self.notModified }
        } else if let ifModifiedSince, !object.isModified(since: ifModifiedSince) {
            throw Self.notModified
        }
    }

    private static var notModified: StoreError {
        StoreError(.notModified, "the object is as the caller knows it")
    }
}

extension ObjectDescription {
    fileprivate func isModified(since moment: Timestamp) -> Bool {
        modifiedAt.secondOfEpoch > moment.secondOfEpoch
    }
}

extension Timestamp {
    fileprivate var secondOfEpoch: Int64 {
        let (second, nanosecond) = nanosecondsSinceEpoch.quotientAndRemainder(
            dividingBy: 1_000_000_000)
        return nanosecond < 0 ? second - 1 : second
    }
}
