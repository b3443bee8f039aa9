// Part of Cairn, a content-addressed blob store.

// Percent encoding after RFC 3986 2.1, strict both ways: what is not `%` and two hex digits, or
// does not decode to UTF-8, is no text at all.
enum PercentCoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// Encodes everything but unreserved characters, so that the result fits anywhere in a URI.
    static func encode(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if isUnreserved(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Decodes one path segment or one part of a query; nil when it is malformed.
    ///
    /// A plus stays a plus: neither OCI clients nor ours write a space that way.
    static func decode(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next().flatMap(hexValue),
                let low = iterator.next().flatMap(hexValue)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}

/// The parameters of a request's query, decoded.
struct Query {
    private var values: [String: [String]] = [:]

    /// Parses what follows the question mark; nil when it is malformed.
    init?(_ text: some StringProtocol) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(parts[0]),
                let value = PercentCoding.decode(parts.count > 1 ? parts[1] : "")
            else { return nil }
            values[name, default: []].append(value)
        }
    }

    /// The value of a parameter; nil when it is absent, empty when it has none.
    ///
    /// Of several with one name the first counts.
    subscript(name: String) -> String? { values[name]?.first }

    /// All values of a parameter, in order.
    func all(_ name: String) -> [String] { values[name] ?? [] }
}
