// Part of Cairn, a content-addressed blob store.

/// A named, ordered set of rows inside an index.
///
/// The name is persisted and identifies the rows; the profile only tunes how they are stored and
/// may change between two openings.
public struct IndexTable: Hashable, Sendable {
    /// How the rows of a table are mostly reached.
    public enum Profile: Hashable, Sendable {
        /// Look-ups by whole keys of this many bytes, many of which are absent.
        case pointLookups(keyByteCount: Int)
        /// Scans over neighbouring keys, look-ups besides.
        case ordered
        /// At most some thousand rows.
        case small
    }

    /// The persisted name: 1 to ``nameByteCountMax`` bytes, unique inside an index.
    public let name: String
    /// How the rows are mostly reached.
    public let profile: Profile

    /// Describes a table.
    public init(_ name: String, _ profile: Profile) {
        self.name = name
        self.profile = profile
    }

    /// Longest table name, in bytes of UTF-8: names appear in messages and file metadata.
    public static let nameByteCountMax = 64
}

/// One row: a key and its value.
public struct IndexEntry: Hashable, Sendable {
    /// The key, 1 to ``IndexLimits/keyByteCountMax`` bytes.
    public let key: [UInt8]
    /// The value, 0 to ``IndexLimits/valueByteCountMax`` bytes.
    public let value: [UInt8]

    /// Pairs a key with its value.
    public init(key: [UInt8], value: [UInt8]) {
        self.key = key
        self.value = value
    }
}

/// What an index accepts; beyond it, calls throw `limitExceeded`.
public enum IndexLimits {
    /// Longest key: an object key of 1024 bytes behind several fixed-width prefixes fits fourfold.
    public static let keyByteCountMax = 4096
    /// Longest value: anything larger belongs in a segment.
    public static let valueByteCountMax = 16 << 20
    /// Most bytes of keys and values that one transaction may write.
    ///
    /// The bytes are held three times until they are flushed: pending, in the log, in memory.
    public static let transactionByteCountMax = 48 << 20
    /// Most tables of one index; each costs memory and background work even when it is empty.
    public static let tableCountMax = 64
}
