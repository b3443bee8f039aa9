// Part of Cairn, a content-addressed blob store.
package import CairnCore

/// The bytes before each hyphen of a UUID's text: 8-4-4-4-12 digits (RFC 9562, section 4).
private let hyphenPositions: Set<Int> = [4, 6, 8, 10]

extension KeyID {
    /// The lower-case text of a UUID.
    package init(uuid: Octets16) {
        self.init(unchecked: uuid.uuidText)
    }
}

extension Octets16 {
    /// A random UUID (version 4, RFC 9562 section 5.4).
    package static func randomUUID(from random: any RandomSource) -> Octets16 {
        var bytes = random.octets16().bytes
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        return Octets16(bytes.span)
    }

    /// The 36 characters of a UUID in lower case.
    package var uuidText: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if hyphenPositions.contains(index) {
                text.append(UInt8(ascii: "-"))
            }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 0x0f)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads exactly the form that ``uuidText`` writes: one id has one text.
    package init?(uuid text: String) {
        let digits = text.utf8.filter { $0 != UInt8(ascii: "-") }
        guard digits.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.digitValue(digits[index]),
                let low = Self.digitValue(digits[index + 1])
            else { return nil }
            bytes.append(high << 4 | low)
        }
        self.init(bytes.span)
        guard uuidText.utf8.elementsEqual(text.utf8) else { return nil }
    }

    private static func digitValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
