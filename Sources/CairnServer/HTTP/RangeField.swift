// Part of Cairn, a content-addressed blob store.

/// What a `Range` field asks of a representation (RFC 9110 14.2).
enum ByteRange: Hashable {
    /// All of it: no range, one that is malformed, or several at once.
    case whole
    /// One part.
    case part(Range<UInt64>)
    /// A part past the end.
    case unsatisfiable

    /// Reads a field's value for a representation of `byteCount` bytes.
    ///
    /// A server may ignore a `Range` field; ranges that are malformed and sets of several are
    /// ignored, so that no request can make the server assemble thousands of parts.
    init(_ field: String?, byteCount: UInt64) {
        guard let field, let specifier = Self.specifier(field) else {
            self = .whole
            return
        }
        switch specifier {
        case (let first?, let last):
            if let last, last < first {
                self = .whole
            } else if first >= byteCount {
                self = .unsatisfiable
            } else {
                self = .part(first..<(min(last ?? byteCount, byteCount - 1) + 1))
            }
        case (nil, let suffix?):
            self =
                suffix == 0 || byteCount == 0
                ? .unsatisfiable : .part(byteCount - min(suffix, byteCount)..<byteCount)
        case (nil, nil): self = .whole
        }
    }

    /// `bytes=first-last`, `bytes=first-` or `bytes=-suffix`.
    private static func specifier(_ field: String) -> (UInt64?, UInt64?)? {
        guard field.lowercased().hasPrefix("bytes=") else { return nil }
        let parts = field.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].isEmpty || decimal(parts[0]) != nil,
            parts[1].isEmpty || decimal(parts[1]) != nil
        else { return nil }
        return (decimal(parts[0]), decimal(parts[1]))
    }

    /// Digits only; a number beyond 2^64 is past any end, so it counts as the largest.
    static func decimal(_ text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.count <= 64,
            text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        return UInt64(text) ?? .max
    }
}

/// What a `Content-Range` field says about a chunk of an upload: `first-last`, both included
/// (OCI distribution-spec, "Pushing a blob in chunks"), or the same in the form of RFC 9110 14.4.
struct ChunkRange: Hashable {
    /// Sizes and offsets beyond this are refused, so that no sum can overflow.
    static let byteCountMax = UInt64(Int64.max)

    var first: UInt64
    var byteCount: UInt64

    /// Reads a field's value; nil when it is malformed, reversed or beyond 2^63.
    init?(_ field: String) {
        var text = field[...]
        if text.lowercased().hasPrefix("bytes ") { text = text.dropFirst(6) }
        if let slash = text.firstIndex(of: "/") { text = text[..<slash] }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = ByteRange.decimal(parts[0]),
            let last = ByteRange.decimal(parts[1]), first <= last, last < Self.byteCountMax
        else { return nil }
        self.first = first
        byteCount = last - first + 1
    }
}
