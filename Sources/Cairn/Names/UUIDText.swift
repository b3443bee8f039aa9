// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// The text form of a 16-byte id (RFC 9562 4): 8-4-4-4-12 lower-case hex digits.
enum UUIDText {
    private static let groupByteCounts = [4, 2, 2, 2, 6]

    static func format(_ octets: Octets16) -> String {
        var rest = octets.bytes[...]
        var groups: [String] = []
        for count in groupByteCounts {
            groups.append(Hex.encode(Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        return groups.joined(separator: "-")
    }

    /// Strict: exactly the form that `format` gives.
    static func parse(_ text: some StringProtocol) -> Octets16? {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.utf8.count) == groupByteCounts.map({ $0 * 2 }),
            let bytes = Hex.decode(groups.joined())
        else { return nil }
        return Octets16(bytes.span)
    }

    /// A random id (RFC 9562 5.4, version 4).
    static func random(from source: any RandomSource) -> Octets16 {
        var bytes = [UInt8](repeating: 0, count: Octets16.byteCount)
        var span = bytes.mutableSpan
        source.fill(&span)
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return Octets16(bytes.span)
    }
}
