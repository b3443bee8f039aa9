// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// The plaintexts of a keyring's records:
//
// directory := createdAt:i64 aliasCount:u32 alias*         (aliases ascend by their bytes)
// alias     := byteCount:u16 text[byteCount] keyID[16]
// key       := keyID[16] createdAt:i64 state:u8 form:u8 periodDays:u16 versionCount:u32
//              versionCreatedAt:i64{versionCount} secret[32]{versionCount}
//              | form 1: origin:u8{versionCount} periodSince:i64 deletionDate:i64
//              | form 2: as form 1, then labels grants           (KeyLabels, KeyGrant+Coding)
//
// Times are nanoseconds since 1970. Versions of material count from 1 without gaps. Form 0 is for
// keys without a period and a deletion, whose later versions were all made on demand; form 1 for
// those without labels and grants.

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
    private static let formMax: UInt8 = 2
    /// On disk: never renumber.
    private static let stateCodes: (enabled: UInt8, disabled: UInt8, pendingDeletion: UInt8) =
        (1, 2, 3)

    /// The plaintext of the key's record, written once and in place: no copy is left behind.
    var encoded: SecretBytes {
        let secretsOffset = Self.fixedByteCount + versions.count * Self.dateByteCount
        let originsOffset = secretsOffset + materials.byteCount
        let datesOffset = originsOffset + versions.count
        let detailsOffset = form == 0 ? originsOffset : datesOffset + 2 * Self.dateByteCount
        // Empty below form 2, and no secret.
        let details = encodedDetails
        return SecretBytes(byteCount: detailsOffset + details.count) { out in
            out.copy(id.span)
            out.setLittleEndian(createdAt.nanosecondsSinceEpoch, at: 16)
            out[24] = stateCode
            out[25] = form
            out.setLittleEndian(rotation?.periodDays ?? 0, at: 26)
            out.setLittleEndian(currentVersion, at: 28)
            for (index, version) in versions.enumerated() {
                out.setLittleEndian(
                    version.createdAt.nanosecondsSinceEpoch, at: Self.fixedByteCount + index * 8)
            }
            materials.withSpan { out.copy($0, to: secretsOffset) }
            guard form > 0 else { return }
            for (index, version) in versions.enumerated() {
                out[originsOffset + index] = version.origin.rawValue
            }
            out.setLittleEndian(rotation?.since.nanosecondsSinceEpoch ?? 0, at: datesOffset)
            out.setLittleEndian(
                deletionDate?.nanosecondsSinceEpoch ?? 0, at: datesOffset + Self.dateByteCount)
            out.copy(details.span, to: detailsOffset)
        }
    }

    private var encodedDetails: [UInt8] {
        guard form > 1 else { return [] }
        var writer = ByteWriter()
        labels.encode(into: &writer)
        writer.append(UInt16(grants.count))
        for grant in grants { grant.encode(into: &writer) }
        return writer.bytes
    }

    // The oldest form that says everything, so that older versions read it.
    private var form: UInt8 {
        guard labels.isEmpty, grants.isEmpty else { return 2 }
        let isPlain =
            rotation == nil && deletionDate == nil && versions[0].origin == .creation
            && versions.dropFirst().allSatisfy { $0.origin == .onDemand }
        return isPlain ? 0 : 1
    }

    private var stateCode: UInt8 {
        switch state {
        case .enabled: Self.stateCodes.enabled
        case .disabled: Self.stateCodes.disabled
        case .pendingDeletion: Self.stateCodes.pendingDeletion
        }
    }

    init(decoding bytes: Span<UInt8>) throws(CoreError) {
        var reader = ByteReader(bytes)
        let id = try reader.readOctets16()
        let createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let stateCode = try reader.readUInt8()
        let form = try reader.readUInt8()
        // Sealed, so no accident: a newer Cairn wrote it.
        guard form <= Self.formMax else {
            throw CoreError(.unsupportedVersion, "form \(form) of a key")
        }
        let periodDays = try reader.readUInt16()
        let count = Int(try reader.readUInt32())
        guard (1...Self.materialCountMax).contains(count) else {
            throw CoreError(.limitExceeded, "\(count) versions of a key")
        }
        var dates: [Timestamp] = []
        for _ in 0..<count {
            dates.append(Timestamp(nanosecondsSinceEpoch: try reader.readInt64()))
        }
        let secrets = SecretBytes(copying: try reader.readBytes(count * Self.materialByteCount))
        let rest = try Self.rest(form, &reader, count: count, periodDays: periodDays)
        let labels = form > 1 ? try KeyLabels(decoding: &reader) : KeyLabels()
        let grants = form > 1 ? try Self.grants(&reader) : []
        try reader.expectEnd()
        self.init(
            id: id, createdAt: createdAt, state: try Self.state(stateCode, rest.deletionDate),
            rotation: try Self.rotation(periodDays, rest.since),
            versions: zip(dates, rest.origins).map { KeyVersion(createdAt: $0, origin: $1) },
            materials: secrets)
        self.labels = labels
        self.grants = grants
    }

    private static func rest(
        _ form: UInt8, _ reader: inout ByteReader, count: Int, periodDays: UInt16
    ) throws(CoreError) -> (origins: [KeyVersion.Origin], since: Int64, deletionDate: Int64) {
        guard form > 0 else {
            guard periodDays == 0 else {
                throw CoreError(.corrupted, "a period in a record that has no room for its begin")
            }
            let later = [KeyVersion.Origin](repeating: .onDemand, count: count - 1)
            return ([.creation] + later, 0, 0)
        }
        var origins: [KeyVersion.Origin] = []
        for _ in 0..<count {
            let code = try reader.readUInt8()
            guard let origin = KeyVersion.Origin(rawValue: code) else {
                throw CoreError(.unsupportedVersion, "origin \(code) of a version")
            }
            origins.append(origin)
        }
        return (origins, try reader.readInt64(), try reader.readInt64())
    }

    private static func grants(_ reader: inout ByteReader) throws(CoreError) -> [KeyGrant] {
        let count = Int(try reader.readUInt16())
        guard count <= grantCountMax, reader.remainingByteCount <= grantsByteCountMax else {
            throw CoreError(.limitExceeded, "\(count) grants of a key, or too many bytes of them")
        }
        var grants: [KeyGrant] = []
        for _ in 0..<count {
            grants.append(try KeyGrant(decoding: &reader))
        }
        return grants
    }

    private static func state(_ code: UInt8, _ date: Int64) throws(CoreError) -> State {
        switch (code, date) {
        case (stateCodes.enabled, 0): return .enabled
        case (stateCodes.disabled, 0): return .disabled
        case (stateCodes.pendingDeletion, _):
            return .pendingDeletion(until: Timestamp(nanosecondsSinceEpoch: date))
        case (stateCodes.enabled, _), (stateCodes.disabled, _):
            throw CoreError(.corrupted, "a key that stays has a deletion date")
        default: throw CoreError(.unsupportedVersion, "state \(code) of a key")
        }
    }

    private static func rotation(
        _ periodDays: UInt16, _ since: Int64
    ) throws(CoreError) -> AutomaticRotation? {
        guard periodDays > 0 else {
            guard since == 0 else { throw CoreError(.corrupted, "a period without days") }
            return nil
        }
        return AutomaticRotation(
            periodDays: periodDays, since: Timestamp(nanosecondsSinceEpoch: since))
    }
}
