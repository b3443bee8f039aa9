// Part of Cairn, a content-addressed blob store.

/// A part of a blob or object that a reader asks for (RFC 9110 14.1.2).
public enum ByteRange: Hashable, Sendable {
    /// From one byte to another, both included: `first-last`.
    case closed(first: UInt64, last: UInt64)
    /// From a byte to the end: `first-`.
    case from(UInt64)
    /// The last bytes: `-count`; all of them when there are fewer.
    case suffix(UInt64)

    /// The most ranges of one request: no answer is assembled of thousands of parts.
    public static let countMax = 100

    /// Reads `A-B`, `A-` or `-N` of decimal digits; nil when it is malformed or reversed.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        switch (Self.decimal(parts[0]), Self.decimal(parts[1])) {
        case (let first?, let last?) where first <= last: self = .closed(first: first, last: last)
        case (let first?, nil) where parts[1].isEmpty: self = .from(first)
        case (nil, let count?) where parts[0].isEmpty: self = .suffix(count)
        default: return nil
        }
    }

    /// The bytes of something of that length; nil when there is none of them.
    public func resolved(byteCount: UInt64) -> Range<UInt64>? {
        let range: Range<UInt64> =
            switch self {
            case .closed(let first, let last):
                first..<max(first, min(last, byteCount &- 1) &+ 1)
            case .from(let first): first..<max(first, byteCount)
            case .suffix(let count): byteCount - min(count, byteCount)..<byteCount
            }
        return range.lowerBound < min(range.upperBound, byteCount) ? range : nil
    }

    /// Digits only; a number beyond 2^64 is past any end, so it counts as the largest.
    package static func decimal(_ text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.count <= 64,
            text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        return UInt64(text) ?? .max
    }
}

extension Blob {
    /// The bytes of several parts of the blob, each on its own, in the order asked for.
    ///
    /// Parts past the end are left out, as RFC 9110 14.1.2 has it.
    ///
    /// - Throws: ``StoreError`` with code `rangeInvalid` when no part is within the blob,
    ///   `limitExceeded` for more than ``ByteRange/countMax`` of them.
    public func bytes(
        in ranges: [ByteRange]
    ) throws(StoreError) -> [(range: Range<UInt64>, bytes: BlobBytes)] {
        guard ranges.count <= ByteRange.countMax else {
            throw StoreError(.limitExceeded, "a read has at most \(ByteRange.countMax) ranges")
        }
        let parts = ranges.compactMap { $0.resolved(byteCount: description.byteCount) }
        guard !parts.isEmpty else {
            throw StoreError(
                .rangeInvalid, "no range lies within the \(description.byteCount) bytes")
        }
        return parts.map { ($0, bytes(in: $0)) }
    }
}
