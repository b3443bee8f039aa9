// Part of Cairn, a content-addressed blob store.
//
// file   := header entry*
// header := magic:"CAIRNAUD" version:u32 number:u32 storeID[16] firstSequence:u64 createdAt:i64
//           previousCode[32] code[32]                  code = HMAC(key, all before it)
// entry  := byteCount:u32 body[byteCount] code[32]     code = HMAC(key, chain ‖ byteCount ‖ body)
// body   := sequence:u64 time:i64 action:prefixed key:prefixed principal:prefixed detail:prefixed
//           outcome:prefixed context:prefixed          (the encoding of Formats/Keyring.md)
//
// The chain is the code of the entry before, and for the first entry of a file that of its header.

internal import CairnCore
internal import CairnKeys

/// The bytes of an audit log. Formats/Audit.md describes them.
struct AuditFormat: Sendable {
    /// On disk: raised when an older release could not read what this one writes.
    private static let version: UInt32 = 1
    private static let magic = Array("CAIRNAUD".utf8)
    static let headerByteCount = 112
    /// A context has at most 8 KiB, the name of a key 2 KiB.
    static let bodyByteCountMax = 16 << 10
    static let textByteCountMax = 8 << 10
    private static let suffix = ".audit"

    struct Header: Sendable {
        var number: UInt32
        var storeID: Octets16
        var firstSequence: UInt64
        var createdAt: Timestamp
        /// The code of the last entry before; zeros before the first.
        var previousCode: Octets32
    }

    private let key: HMACSHA256

    // HKDF-SHA-512(secret: store key, salt: storeID, info: label).  On disk: never change.
    private static let label = Array("cairn audit 1".utf8)

    init(storeKey: SecretBytes, storeID: Octets16) throws(StoreError) {
        let secret = try lower(
            "deriving the key of the audit log",
            core: { () throws(CoreError) in
                try SecretBytes(byteCount: 32) { output throws(CoreError) in
                    try storeKey.withSpan { storeKey throws(CoreError) in
                        try hkdfSHA512(
                            secret: storeKey, salt: storeID.span, info: Self.label.span,
                            into: &output)
                    }
                }
            })
        key = secret.withSpan { HMACSHA256(key: $0) }
    }

    /// The code of something beside the log.
    func authenticate(_ label: [UInt8], _ value: [UInt8]) -> Octets32 {
        key.authenticate(label.span, value.span)
    }

    // MARK: - Files

    static func path(_ number: UInt32) -> String {
        StoreFormat.audit + "/" + Hex.encode(RowKey.bigEndian(number)) + suffix
    }

    static func number(ofFile name: String) -> UInt32? {
        guard name.hasSuffix(suffix), name.utf8.count == 8 + suffix.utf8.count,
            let number = Hex.decode(String(name.prefix(8))).flatMap(RowKey.number)
        else { return nil }
        // The last one could have no successor.
        return number == .max ? nil : number
    }

    // MARK: - Header

    func encode(_ header: Header) -> (bytes: [UInt8], code: Octets32) {
        var writer = ByteWriter(capacity: Self.headerByteCount)
        writer.append(Self.magic)
        writer.append(Self.version)
        writer.append(header.number)
        writer.append(header.storeID)
        writer.append(header.firstSequence)
        writer.append(header.createdAt.nanosecondsSinceEpoch)
        writer.append(header.previousCode)
        let code = key.authenticate(writer.bytes.span)
        writer.append(code)
        return (writer.bytes, code)
    }

    func decodeHeader(
        _ bytes: Span<UInt8>, _ number: UInt32, _ storeID: Octets16
    ) throws(CoreError) -> (header: Header, code: Octets32) {
        var reader = ByteReader(bytes)
        guard try reader.readBytes(Self.magic.count).hasSameBytes(as: Self.magic.span) else {
            throw CoreError(.corrupted, "it does not begin as a file of an audit log")
        }
        let version = try reader.readUInt32()
        guard version <= Self.version else {
            throw CoreError(.unsupportedVersion, "version \(version) of an audit log")
        }
        let header = Header(
            number: try reader.readUInt32(), storeID: try reader.readOctets16(),
            firstSequence: try reader.readUInt64(),
            createdAt: Timestamp(nanosecondsSinceEpoch: try reader.readInt64()),
            previousCode: try reader.readOctets32())
        let code = key.authenticate(bytes.extracting(first: reader.offset))
        guard try reader.readOctets32() == code, header.number == number,
            header.storeID == storeID
        else { throw CoreError(.corrupted, "its header was changed or belongs elsewhere") }
        return (header, code)
    }

    // MARK: - Entries

    func encode(_ entry: AuditEntry, after chain: Octets32) -> (bytes: [UInt8], code: Octets32) {
        var body = ByteWriter(capacity: 512)
        body.append(entry.sequence)
        body.append(entry.time.nanosecondsSinceEpoch)
        for text in [entry.action, entry.key, entry.principal, entry.detail, entry.outcome] {
            body.appendLengthPrefixed(text)
        }
        body.appendLengthPrefixed(entry.context.encoded)
        var writer = ByteWriter(capacity: body.bytes.count + 36)
        writer.append(UInt32(body.bytes.count))
        writer.append(body.bytes)
        let code = key.authenticate(chain.span, writer.bytes.span)
        writer.append(code)
        return (writer.bytes, code)
    }

    /// The entry at the start of `bytes`; nil when there is none, or not a whole or genuine one.
    func decodeEntry(
        _ bytes: Span<UInt8>, _ sequence: UInt64, after chain: Octets32
    ) -> (entry: AuditEntry, code: Octets32, byteCount: Int)? {
        guard bytes.count > 4 else { return nil }
        let byteCount = Int(bytes.littleEndian(UInt32.self, at: 0))
        guard byteCount <= Self.bodyByteCountMax, bytes.count >= byteCount + 36 else { return nil }
        let code = key.authenticate(chain.span, bytes.extracting(first: 4 + byteCount))
        guard bytes.extracting(4 + byteCount..<36 + byteCount).hasSameBytes(as: code.span),
            let entry = try? Self.decodeBody(bytes.extracting(4..<4 + byteCount)),
            entry.sequence == sequence
        else { return nil }
        return (entry, code, 36 + byteCount)
    }

    private static func decodeBody(_ bytes: Span<UInt8>) throws(CoreError) -> AuditEntry {
        var reader = ByteReader(bytes)
        let sequence = try reader.readUInt64()
        let time = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let action = try reader.readString(limit: textByteCountMax)
        let key = try reader.readString(limit: textByteCountMax)
        let principal = try reader.readString(limit: textByteCountMax)
        let detail = try reader.readString(limit: textByteCountMax)
        let outcome = try reader.readString(limit: textByteCountMax)
        let context = try reader.readLengthPrefixed(
            limit: EncryptionContext.encodedByteCountMax)
        let pairs: EncryptionContext
        do throws(KeyError) {
            pairs = try EncryptionContext(decoding: [UInt8](copying: context))
        } catch {
            throw CoreError(.corrupted, error.message)
        }
        try reader.expectEnd()
        return AuditEntry(
            action: action, key: key, context: pairs, principal: principal, detail: detail,
            outcome: outcome, sequence: sequence, time: time)
    }
}
