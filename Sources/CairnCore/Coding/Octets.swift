// Part of Cairn, a content-addressed blob store.

/// Sixteen bytes: the identifier of a store, a bucket or a domain.
///
/// A plain value without heap storage, safe to share between threads.
public struct Octets16: Hashable, Comparable, Sendable {
    /// How many bytes there are.
    public static let byteCount = 16

    private var storage: InlineArray<16, UInt8>

    /// Sixteen zero bytes.
    public init() { storage = InlineArray(repeating: 0) }

    /// Copies 16 bytes.
    ///
    /// - Precondition: `bytes.count == 16`.
    public init(_ bytes: Span<UInt8>) {
        precondition(bytes.count == Self.byteCount)
        storage = InlineArray { bytes[$0] }
    }

    /// A view of the bytes, without a copy.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { storage.span }
    }

    /// The bytes as an array of their own.
    public var bytes: [UInt8] { [UInt8](copying: span) }

    /// Whether all bytes are equal.
    public static func == (lhs: Self, rhs: Self) -> Bool {
        var difference: UInt8 = 0
        for index in lhs.storage.indices { difference |= lhs.storage[index] ^ rhs.storage[index] }
        return difference == 0
    }

    /// Whether the left bytes come first in lexicographic order.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.storage.span.precedes(rhs.storage.span)
    }

    /// Hashes the bytes, one word at a time.
    public func hash(into hasher: inout Hasher) {
        for offset in stride(from: 0, to: Self.byteCount, by: 8) {
            hasher.combine(storage.span.littleEndianWord(at: offset))
        }
    }
}

/// Thirty-two bytes: a SHA-256 digest, a chunk's name or a key.
///
/// A plain value without heap storage, safe to share between threads. It is not wiped; secrets
/// that live long belong into ``SecretBytes``.
public struct Octets32: Hashable, Comparable, Sendable {
    /// How many bytes there are.
    public static let byteCount = 32

    private var storage: InlineArray<32, UInt8>

    /// Thirty-two zero bytes.
    public init() { storage = InlineArray(repeating: 0) }

    /// Copies 32 bytes.
    ///
    /// - Precondition: `bytes.count == 32`.
    public init(_ bytes: Span<UInt8>) {
        precondition(bytes.count == Self.byteCount)
        storage = InlineArray { bytes[$0] }
    }

    /// A view of the bytes, without a copy.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { storage.span }
    }

    /// A view through which the bytes can be overwritten.
    package var mutableSpan: MutableSpan<UInt8> {
        @_lifetime(&self)
        mutating get { storage.mutableSpan }
    }

    /// The bytes as an array of their own.
    public var bytes: [UInt8] { [UInt8](copying: span) }

    /// Whether all bytes are equal; takes the same time wherever they differ.
    public static func == (lhs: Self, rhs: Self) -> Bool {
        var difference: UInt8 = 0
        for index in lhs.storage.indices { difference |= lhs.storage[index] ^ rhs.storage[index] }
        return difference == 0
    }

    /// Whether the left bytes come first in lexicographic order.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.storage.span.precedes(rhs.storage.span)
    }

    /// Hashes the bytes, one word at a time.
    public func hash(into hasher: inout Hasher) {
        for offset in stride(from: 0, to: Self.byteCount, by: 8) {
            hasher.combine(storage.span.littleEndianWord(at: offset))
        }
    }
}

extension Span<UInt8> {
    /// Whether these bytes come before others in lexicographic order: as many, and whole words.
    fileprivate func precedes(_ other: Span<UInt8>) -> Bool {
        for offset in stride(from: 0, to: count, by: 8) {
            let left = littleEndianWord(at: offset).byteSwapped
            let right = other.littleEndianWord(at: offset).byteSwapped
            if left != right { return left < right }
        }
        return false
    }
}
