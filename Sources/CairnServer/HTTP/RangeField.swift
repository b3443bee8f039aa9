// Part of Cairn, a content-addressed blob store.
internal import Cairn

/// What a `Range` field asks of a representation (RFC 9110 14.2).
enum RangeField: Hashable {
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
        guard let field, field.lowercased().hasPrefix("bytes="),
            let range = ByteRange(field.dropFirst(6))
        else {
            self = .whole
            return
        }
        self = range.resolved(byteCount: byteCount).map(Self.part) ?? .unsatisfiable
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
