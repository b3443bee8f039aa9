// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// context := version:u8(1) pairCount:u16 pair*          (pairs ascend by the bytes of their key)
// pair    := keyByteCount:u16 key[keyByteCount] valueByteCount:u16 value[valueByteCount]
//
// Every length precedes its bytes and the order is fixed, so two different contexts never share
// an encoding, and one context has exactly one.

/// Names what a wrapped key is for; needed again, to the byte, to unwrap it.
///
/// A context is public: it appears in audit logs and must hold no secret. It is compared by the
/// bytes of its UTF-8, never by Unicode equivalence: "é" in one and in two scalars differ, as do
/// upper and lower case. The order of the pairs does not matter.
public struct EncryptionContext: Hashable, Sendable, CustomStringConvertible {
    /// The most pairs: far above the four that the store uses.
    public static let pairCountMax = 64

    /// The most bytes of one key, in UTF-8; a key has at least one.
    public static let keyByteCountMax = 256

    /// The most bytes of one value, in UTF-8; a value may be empty.
    public static let valueByteCountMax = 2048

    /// The most bytes of the canonical encoding: it is hashed on every call.
    public static let encodedByteCountMax = 8192

    /// On disk: never renumber.
    private static let formatVersion: UInt8 = 1

    /// One name and its value.
    public struct Pair: Sendable {
        /// 1 to ``EncryptionContext/keyByteCountMax`` bytes of UTF-8.
        public let key: String
        /// 0 to ``EncryptionContext/valueByteCountMax`` bytes of UTF-8.
        public let value: String
    }

    /// The pairs in canonical order.
    public let pairs: [Pair]

    /// The canonical encoding: the identity of the context.
    public let encoded: [UInt8]

    /// The context without pairs.
    public init() {
        pairs = []
        encoded = Self.encode([])
    }

    /// Creates a context of the given pairs.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (an empty key) or `limitExceeded`.
    public init(_ pairs: [String: String]) throws(KeyError) {
        let sorted = pairs.map { Pair(key: $0.key, value: $0.value) }
            .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        guard sorted.count <= Self.pairCountMax else {
            throw KeyError(
                .limitExceeded,
                "an encryption context holds at most \(Self.pairCountMax) pairs"
            )
        }
        for pair in sorted {
            try Self.check(pair)
        }
        self.pairs = sorted
        self.encoded = Self.encode(sorted)
        guard encoded.count <= Self.encodedByteCountMax else {
            throw KeyError(
                .limitExceeded,
                "an encryption context takes at most \(Self.encodedByteCountMax) bytes encoded")
        }
    }

    /// Restores a context from its canonical encoding and accepts no other encoding of it.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    public init(decoding bytes: [UInt8]) throws(KeyError) {
        do throws(CoreError) {
            pairs = try Self.decode(bytes)
        } catch {
            throw KeyError(.invalidArgument, "not a canonical encryption context", cause: error)
        }
        encoded = bytes
    }

    /// Whether both have the same canonical encoding.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.encoded == rhs.encoded }

    /// Hashes the canonical encoding.
    public func hash(into hasher: inout Hasher) { hasher.combine(encoded) }

    /// The pairs, quoted and escaped for a log line.
    public var description: String {
        let texts = pairs.map { "\($0.key.debugDescription): \($0.value.debugDescription)" }
        return "{\(texts.joined(separator: ", "))}"
    }

    // MARK: - Coding

    private static func check(_ pair: Pair) throws(KeyError) {
        guard !pair.key.isEmpty else {
            throw KeyError(.invalidArgument, "a key of an encryption context is empty")
        }
        guard pair.key.utf8.count <= keyByteCountMax else {
            throw KeyError(
                .limitExceeded,
                "a key of an encryption context takes at most \(keyByteCountMax) bytes")
        }
        guard pair.value.utf8.count <= valueByteCountMax else {
            throw KeyError(
                .limitExceeded,
                "a value of an encryption context takes at most \(valueByteCountMax) bytes")
        }
    }

    private static func encode(_ pairs: [Pair]) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(formatVersion)
        writer.append(UInt16(pairs.count))
        for pair in pairs {
            writer.appendText(pair.key)
            writer.appendText(pair.value)
        }
        return writer.bytes
    }

    private static func decode(_ bytes: [UInt8]) throws(CoreError) -> [Pair] {
        guard bytes.count <= encodedByteCountMax else {
            throw CoreError(.limitExceeded, "too many bytes")
        }
        var reader = ByteReader(bytes.span)
        guard try reader.readUInt8() == formatVersion else {
            throw CoreError(.unsupportedVersion, "unknown version of the context encoding")
        }
        let count = Int(try reader.readUInt16())
        guard count <= pairCountMax else {
            throw CoreError(.limitExceeded, "too many pairs")
        }
        var pairs: [Pair] = []
        for _ in 0..<count {
            let key = try reader.readText(byteCounts: 1...keyByteCountMax)
            let value = try reader.readText(byteCounts: 0...valueByteCountMax)
            if let last = pairs.last, !last.key.utf8.lexicographicallyPrecedes(key.utf8) {
                throw CoreError(.corrupted, "the pairs do not ascend")
            }
            pairs.append(Pair(key: key, value: value))
        }
        try reader.expectEnd()
        return pairs
    }
}
