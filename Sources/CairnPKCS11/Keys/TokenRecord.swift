// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

// The value of a data object (CKO_DATA):
//
// record := version:u8(1) kind:u8 reserved:u16(0) keyID[16] number:i64
//           textByteCount:u16 text[textByteCount] crc32c:u32

/// A fact about a key, as one object of the token holds it.
///
/// Tokens have no transactions, and few of them let the value of an object be changed. So no object
/// ever changes, and each change of a key is one object that comes or goes, which a token does
/// whole or not at all:
///
/// - a key exists while its creation record does;
/// - it is disabled while a record says so;
/// - an alias leads to the key that its record with the highest number names.
///
/// Several processes may change one token: they read records at every call and keep none.
struct TokenRecord {
    /// What a record says.
    enum Kind: UInt8 {
        // On the token: never renumber.
        /// The key exists; the number is when it was created, in nanoseconds since 1970.
        case creation = 1
        /// The key is disabled; the number is since when, in nanoseconds since 1970.
        case disabling = 2
        /// The text is an alias of the key; of several records the highest number counts.
        case alias = 3
    }

    /// On the token: never renumber.
    private static let formatVersion: UInt8 = 1

    let kind: Kind
    let keyID: Octets16
    let number: Int64
    let text: String

    init(_ kind: Kind, of keyID: Octets16, number: Int64, text: String = "") {
        self.kind = kind
        self.keyID = keyID
        self.number = number
        self.text = text
    }

    var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.append(Self.formatVersion)
        writer.append(kind.rawValue)
        writer.appendZeros(2)
        writer.append(keyID)
        writer.append(number)
        // An alias has at most 256 bytes.
        writer.append(UInt16(truncatingIfNeeded: text.utf8.count))
        writer.append([UInt8](text.utf8))
        writer.appendChecksum()
        return writer.bytes
    }

    /// Reads a record.
    ///
    /// - Throws: ``KeyError`` with code `unsupportedVersion` (what it says of the key may forbid
    ///   what this version would do, so nothing is done) or `corrupted`.
    init(decoding bytes: [UInt8]) throws(KeyError) {
        do throws(CoreError) {
            self = try Self.decode(bytes)
        } catch {
            let code: KeyError.Code =
                error.code == .unsupportedVersion ? .unsupportedVersion : .corrupted
            throw KeyError(code, "the token holds a record that cannot be read", cause: error)
        }
    }

    private static func decode(_ bytes: [UInt8]) throws(CoreError) -> TokenRecord {
        guard bytes.count > 4,
            CRC32C.checksum(bytes.span.extracting(..<(bytes.count - 4)))
                == bytes.span.littleEndian(UInt32.self, at: bytes.count - 4)
        else { throw CoreError(.corrupted, "a record does not match its checksum") }
        var reader = ByteReader(bytes.span)
        let version = try reader.readUInt8()
        let code = try reader.readUInt8()
        guard version == formatVersion, let kind = Kind(rawValue: code) else {
            throw CoreError(.unsupportedVersion, "a record of version \(version), kind \(code)")
        }
        try reader.readZeros(2)
        let keyID = try reader.readOctets16()
        let number = try reader.readInt64()
        let byteCount = Int(try reader.readUInt16())
        let text = String(
            validating: [UInt8](copying: try reader.readBytes(byteCount)), as: UTF8.self)
        _ = try reader.readUInt32()
        try reader.expectEnd()
        guard let text else { throw CoreError(.corrupted, "the text of a record is none") }
        // A number that has no successor would keep the alias where it is for ever.
        guard kind != .alias || (1..<Int64.max).contains(number) else {
            throw CoreError(.corrupted, "the number \(number) of an alias")
        }
        return TokenRecord(kind, of: keyID, number: number, text: text)
    }
}
