// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// The plaintexts of a keyring's records:
//
// directory := createdAt:i64 aliasCount:u32 alias*         (aliases ascend by their bytes)
// alias     := byteCount:u16 text[byteCount] keyID[16]
// key       := keyID[16] createdAt:i64 state:u8 reserved:u8[3](0) materialCount:u32
//              materialCreatedAt:i64{materialCount} secret[32]{materialCount}
//
// Times are nanoseconds since 1970. Versions of material count from 1 without gaps.

/// The first record of a keyring: what belongs to no single key.
struct KeyringDirectory {
    let createdAt: Timestamp
    let aliases: [String: Octets16]

    init(createdAt: Timestamp, aliases: [String: Octets16]) {
        self.createdAt = createdAt
        self.aliases = aliases
    }

    var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.append(createdAt.nanosecondsSinceEpoch)
        writer.append(UInt32(aliases.count))
        // Aliases are ASCII, for which the order of strings is the order of bytes.
        for (alias, id) in aliases.sorted(by: { $0.key < $1.key }) {
            writer.append(UInt16(alias.utf8.count))
            writer.append(Array(alias.utf8))
            writer.append(id)
        }
        return writer.bytes
    }

    init(decoding bytes: Span<UInt8>) throws(CoreError) {
        var reader = ByteReader(bytes)
        createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let count = Int(try reader.readUInt32())
        guard count <= KeyringContents.aliasCountMax else {
            throw CoreError(.limitExceeded, "\(count) aliases")
        }
        var aliases: [String: Octets16] = [:]
        var last = ""
        for _ in 0..<count {
            let byteCount = Int(try reader.readUInt16())
            let alias = try Self.alias(reader.readBytes(byteCount))
            guard last < alias else {
                throw CoreError(.corrupted, "the aliases do not ascend")
            }
            aliases[alias] = try reader.readOctets16()
            last = alias
        }
        try reader.expectEnd()
        self.aliases = aliases
    }

    private static func alias(_ bytes: Span<UInt8>) throws(CoreError) -> String {
        guard let text = String(validating: [UInt8](copying: bytes), as: UTF8.self) else {
            throw CoreError(.corrupted, "an alias is not text")
        }
        do throws(KeyError) {
            try KeyReference.checkAlias(text)
        } catch {
            throw CoreError(.corrupted, error.message)
        }
        return text
    }
}

extension CustomerKey {
    private static let fixedByteCount = 32
    private static let dateByteCount = 8
    /// On disk: never renumber.
    private static let stateCodes: (enabled: UInt8, disabled: UInt8) = (1, 2)

    /// The plaintext of the key's record, written once and in place: no copy is left behind.
    var encoded: SecretBytes {
        let secretsOffset = Self.fixedByteCount + materialDates.count * Self.dateByteCount
        return SecretBytes(byteCount: secretsOffset + materials.byteCount) { out in
            out.copy(id.span)
            out.setLittleEndian(createdAt.nanosecondsSinceEpoch, at: 16)
            out[24] = isEnabled ? Self.stateCodes.enabled : Self.stateCodes.disabled
            out.setLittleEndian(currentVersion, at: 28)
            for (index, date) in materialDates.enumerated() {
                out.setLittleEndian(
                    date.nanosecondsSinceEpoch, at: Self.fixedByteCount + index * 8)
            }
            materials.withSpan { out.copy($0, to: secretsOffset) }
        }
    }

    init(decoding bytes: Span<UInt8>) throws(CoreError) {
        var reader = ByteReader(bytes)
        let id = try reader.readOctets16()
        let createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let isEnabled = try Self.isEnabled(try reader.readUInt8())
        try reader.readZeros(3)
        let count = Int(try reader.readUInt32())
        guard (1...Self.materialCountMax).contains(count) else {
            throw CoreError(.limitExceeded, "\(count) versions of a key")
        }
        var dates: [Timestamp] = []
        for _ in 0..<count {
            dates.append(Timestamp(nanosecondsSinceEpoch: try reader.readInt64()))
        }
        let secrets = SecretBytes(copying: try reader.readBytes(count * Self.materialByteCount))
        try reader.expectEnd()
        self.init(
            id: id, createdAt: createdAt, isEnabled: isEnabled, materialDates: dates,
            materials: secrets)
    }

    /// An unknown state is sealed, so no accident: a newer Cairn wrote it.
    private static func isEnabled(_ code: UInt8) throws(CoreError) -> Bool {
        switch code {
        case stateCodes.enabled: true
        case stateCodes.disabled: false
        default: throw CoreError(.unsupportedVersion, "state \(code) of a key")
        }
    }
}
