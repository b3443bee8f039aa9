// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// labels := description:text tagCount:u16 (key:text value:text){tagCount}
//
// Tags ascend by the bytes of their keys.

/// What people write on a key to tell it from others: of no meaning to Cairn.
struct KeyLabels: Hashable, Sendable {
    /// As AWS KMS allows, there in characters.
    static let textByteCountMax = 8192
    /// As AWS allows for everything that takes tags, the rest as well.
    static let tagCountMax = 50
    static let tagKeyScalarCountMax = 128
    static let tagValueScalarCountMax = 256
    /// Tags that Cairn may come to make for itself.
    static let reservedTagPrefix = "cairn:"

    /// No scalar takes more in UTF-8.
    private static let scalarByteCountMax = 4

    private(set) var text = ""
    private(set) var tags: [String: String] = [:]

    /// Neither a description nor tags.
    init() {}

    /// Checks what somebody wrote.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` or `limitExceeded`.
    init(text: String, tags: [String: String]) throws(KeyError) {
        try setText(text)
        try add(tags)
    }

    var isEmpty: Bool { text.isEmpty && tags.isEmpty }

    /// - Throws: ``KeyError`` with code `limitExceeded`.
    mutating func setText(_ text: String) throws(KeyError) {
        guard text.utf8.count <= Self.textByteCountMax else {
            throw KeyError(
                .limitExceeded,
                "the description of a key takes at most \(Self.textByteCountMax) bytes")
        }
        self.text = text
    }

    /// Adds tags; one of the same key gets the new value.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed or reserved tag) or
    ///   `limitExceeded`.
    mutating func add(_ more: [String: String]) throws(KeyError) {
        for (key, value) in more {
            try Self.check(key, value)
        }
        let all = tags.merging(more) { $1 }
        guard all.count <= Self.tagCountMax else {
            throw KeyError(.limitExceeded, "a key has at most \(Self.tagCountMax) tags")
        }
        tags = all
    }

    /// Removes tags; those that are not there do not matter.
    mutating func remove(_ keys: some Sequence<String>) {
        for key in keys { tags[key] = nil }
    }

    // MARK: - Form of a tag

    private static func check(_ key: String, _ value: String) throws(KeyError) {
        guard (1...tagKeyScalarCountMax).contains(key.unicodeScalars.count),
            value.unicodeScalars.count <= tagValueScalarCountMax,
            key.unicodeScalars.allSatisfy(isAllowed), value.unicodeScalars.allSatisfy(isAllowed)
        else {
            throw KeyError(
                .invalidArgument,
                "the key of a tag is 1 to \(tagKeyScalarCountMax) letters, digits, spaces and "
                    + "_.:/=+-@, its value 0 to \(tagValueScalarCountMax) of these")
        }
        guard !key.lowercased().utf8.starts(with: reservedTagPrefix.utf8) else {
            throw KeyError(.invalidArgument, "tags under \(reservedTagPrefix) are the store's")
        }
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case " ", "_", ".", ":", "/", "=", "+", "-", "@": return true
        default: break
        }
        return switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
            .decimalNumber, .letterNumber, .otherNumber:
            true
        default: false
        }
    }

    // MARK: - Coding

    func encode(into writer: inout ByteWriter) {
        writer.appendText(text)
        writer.append(UInt16(tags.count))
        let ascending = tags.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        for (key, value) in ascending {
            writer.appendText(key)
            writer.appendText(value)
        }
    }

    // Which scalars are letters is not asked again: that depends on the version of Unicode, and a
    // keyring opens with every one.
    init(decoding reader: inout ByteReader) throws(CoreError) {
        text = try reader.readText(byteCounts: 0...Self.textByteCountMax)
        let count = Int(try reader.readUInt16())
        guard count <= Self.tagCountMax else {
            throw CoreError(.limitExceeded, "\(count) tags of a key")
        }
        var last = ""
        for _ in 0..<count {
            let key = try Self.text(&reader, scalarCounts: 1...Self.tagKeyScalarCountMax)
            let value = try Self.text(&reader, scalarCounts: 0...Self.tagValueScalarCountMax)
            guard last.utf8.lexicographicallyPrecedes(key.utf8) else {
                throw CoreError(.corrupted, "the tags do not ascend")
            }
            // Other bytes may still be what Unicode calls the same text.
            guard tags.updateValue(value, forKey: key) == nil else {
                throw CoreError(.corrupted, "two tags are equal")
            }
            last = key
        }
    }

    private static func text(
        _ reader: inout ByteReader, scalarCounts: ClosedRange<Int>
    ) throws(CoreError) -> String {
        let byteCountMax = scalarCounts.upperBound * scalarByteCountMax
        let text = try reader.readText(byteCounts: scalarCounts.lowerBound...byteCountMax)
        guard scalarCounts.contains(text.unicodeScalars.count) else {
            throw CoreError(.limitExceeded, "a tag of \(text.unicodeScalars.count) characters")
        }
        return text
    }
}
