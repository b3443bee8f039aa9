// Part of Cairn, a content-addressed blob store.

internal import CairnIndex

/// One page of a bucket's objects.
public struct ObjectPage: Sendable {
    /// The objects, in the byte order of their keys.
    public let objects: [ObjectDescription]
    /// What the keys have in common that were left out, each once: all from the prefix asked for to
    /// the first delimiter behind it. In byte order.
    public let commonPrefixes: [String]
    /// Where the next page starts; nil at the end.
    public let next: ObjectCursor?

    /// Whether more follow.
    public var isTruncated: Bool { next != nil }

    /// A page; for implementations of buckets other than Cairn's own.
    public init(
        objects: [ObjectDescription], commonPrefixes: [String] = [], next: ObjectCursor? = nil
    ) {
        self.objects = objects
        self.commonPrefixes = commonPrefixes
        self.next = next
    }
}

/// A position in the listing of a bucket's objects: opaque, valid as long as the bucket exists.
///
/// It holds the last key or common prefix of a page, so that objects may come and go meanwhile.
public struct ObjectCursor: Hashable, Sendable, LosslessStringConvertible {
    private enum Kind: UInt8 {
        // In cursors that users may keep: never renumber.
        case key = 1
        case commonPrefix = 2
    }

    private let kind: Kind
    private let name: [UInt8]

    /// Behind an object, which need not exist.
    public init(behindKey key: String) {
        kind = .key
        name = Array(key.utf8)
    }

    /// Behind all objects whose keys begin so.
    public init(behindPrefix prefix: String) {
        kind = .commonPrefix
        name = Array(prefix.utf8)
    }

    /// Reads the text form of a cursor.
    public init?(_ description: String) {
        guard let bytes = Hex.decode(description), let number = bytes.first,
            let kind = Kind(rawValue: number),
            bytes.count <= 1 + Names.objectKeyByteCount.upperBound
        else { return nil }
        self.kind = kind
        name = Array(bytes.dropFirst())
    }

    /// The text form of the cursor, for URLs.
    public var description: String { Hex.encode([kind.rawValue] + name) }

    /// Whether a key lies behind the position; for implementations of buckets other than Cairn's
    /// own.
    public func precedes(_ key: String) -> Bool {
        guard let first = firstKey(in: []) else { return false }
        return !key.utf8.lexicographicallyPrecedes(first)
    }

    /// The first row key that may follow, given what all row keys of the bucket begin with; nil
    /// when none can.
    func firstKey(in bucket: [UInt8]) -> [UInt8]? {
        switch kind {
        case .key: bucket + name + [0]
        case .commonPrefix: CairnIndex.firstKey(behindPrefix: bucket + name)
        }
    }
}
