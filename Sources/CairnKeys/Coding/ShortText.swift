// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// text := byteCount:u16 utf8[byteCount]

extension ByteWriter {
    /// Appends the count of the UTF-8 bytes as u16, then the bytes.
    ///
    /// - Precondition: fewer than 2^16 bytes.
    mutating func appendText(_ text: String) {
        append(UInt16(text.utf8.count))
        append(Array(text.utf8))
    }
}

extension ByteReader {
    /// Reads what ``ByteWriter/appendText(_:)`` wrote; the count is checked before it is obeyed.
    ///
    /// - Throws: ``CoreError`` with code `limitExceeded` (the count) or `corrupted`.
    @_lifetime(self: copy self)
    mutating func readText(byteCounts: ClosedRange<Int>) throws(CoreError) -> String {
        let byteCount = Int(try readUInt16())
        guard byteCounts.contains(byteCount) else {
            throw CoreError(.limitExceeded, "a text of \(byteCount) bytes")
        }
        // The validating initialiser: repaired UTF-8 would give two encodings one meaning.
        guard
            let text = String(
                validating: [UInt8](copying: try readBytes(byteCount)), as: UTF8.self)
        else {
            throw CoreError(.corrupted, "not UTF-8")
        }
        return text
    }
}
