// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// keyring := header record{recordCount}   (records: CairnCore; first the directory, then keys)
// header  := magic:"CRNKRING" formatVersion:u16(1) derivation:u8 log2N:u8 r:u32 p:u32
//            recordCount:u32 revision:u64 keyringID[16] editionID[16] salt[32] verifier[32]
//            crc32c:u32 reserved:u32(0)

/// The clear part of a keyring file: how to derive its key, and what its records are bound to.
struct KeyringHeader: Sendable {
    static let magic = Array("CRNKRING".utf8)
    /// On disk: never renumber.
    static let formatVersion: UInt16 = 1
    static let byteCount = 136

    let derivation: KeyDerivation
    /// The directory and one record for each key.
    let recordCount: UInt32
    /// Grows by one with every change of the keyring.
    let revision: UInt64
    let keyringID: Octets16
    /// Random for each encoding: records of two files never mix, whatever their revision.
    let editionID: Octets16
    let salt: Octets32
    let verifier: Octets32

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.append(Self.magic)
        writer.append(Self.formatVersion)
        writer.append(derivation.code)
        switch derivation {
        case .scrypt(let cost):
            writer.append(cost.log2N)
            writer.append(cost.r)
            writer.append(cost.p)
        case .keyFile:
            writer.appendZeros(9)
        }
        writer.append(recordCount)
        writer.append(revision)
        writer.append(keyringID)
        writer.append(editionID)
        writer.append(salt)
        writer.append(verifier)
        writer.appendChecksum()
        writer.appendZeros(4)
        return writer.bytes
    }

    /// What each record of the file is bound to: all of the header.
    var binding: Octets32 {
        var hash = SHA256()
        hash.update(encoded.span)
        return hash.finalized()
    }
}

extension KeyringHeader {
    /// Reads the header at the start of a keyring file.
    ///
    /// - Throws: ``KeyError`` with code `corrupted`, `unsupportedVersion`, or `limitExceeded`
    ///   (parameters that no honest file has; nothing was derived or allocated yet).
    init(decoding bytes: Span<UInt8>) throws(KeyError) {
        do throws(CoreError) {
            var reader = ByteReader(bytes)
            let version = try Self.readVersion(&reader)
            guard version <= Self.formatVersion else {
                throw CoreError(
                    .unsupportedVersion,
                    "format version \(version); this Cairn reads up to \(Self.formatVersion)")
            }
            self = try Self.readFields(&reader)
        } catch {
            throw KeyError(keyring: error)
        }
    }

    /// Everything that tells another file from a keyring; stays as it is in every version.
    private static func readVersion(_ reader: inout ByteReader) throws(CoreError) -> UInt16 {
        guard try reader.readBytes(magic.count).hasSameBytes(as: magic.span) else {
            throw CoreError(.corrupted, "the file does not begin as a keyring does")
        }
        let version = try reader.readUInt16()
        guard version > 0 else {
            throw CoreError(.corrupted, "format version 0")
        }
        return version
    }

    private static func readFields(_ reader: inout ByteReader) throws(CoreError) -> Self {
        let derivationCode = try reader.readUInt8()
        let cost = (try reader.readUInt8(), try reader.readUInt32(), try reader.readUInt32())
        let recordCount = try reader.readUInt32()
        let revision = try reader.readUInt64()
        let keyringID = try reader.readOctets16()
        let editionID = try reader.readOctets16()
        let salt = try reader.readOctets32()
        let verifier = try reader.readOctets32()
        try reader.readChecksum()
        try reader.readZeros(4)
        guard (1...KeyringContents.keyCountMax + 1).contains(Int(recordCount)) else {
            throw CoreError(.limitExceeded, "\(recordCount) records")
        }
        return Self(
            derivation: try derivation(derivationCode, cost), recordCount: recordCount,
            revision: revision, keyringID: keyringID, editionID: editionID, salt: salt,
            verifier: verifier)
    }

    private static func derivation(
        _ code: UInt8, _ cost: (log2N: UInt8, r: UInt32, p: UInt32)
    ) throws(CoreError) -> KeyDerivation {
        switch code {
        case 1:
            do throws(KeyError) {
                return .scrypt(try PassphraseCost(log2N: cost.log2N, r: cost.r, p: cost.p))
            } catch {
                throw CoreError(.limitExceeded, error.message)
            }
        case 2:
            guard cost == (0, 0, 0) else {
                throw CoreError(.corrupted, "a key file needs no scrypt parameters")
            }
            return .keyFile
        default:
            throw CoreError(.unsupportedVersion, "key derivation \(code)")
        }
    }
}

extension KeyError {
    /// Says what a failure while reading a keyring means for its owner.
    init(keyring error: CoreError) {
        let code: Code =
            switch error.code {
            case .unsupportedVersion: .unsupportedVersion
            case .limitExceeded: .limitExceeded
            default: .corrupted
            }
        self.init(code, "the keyring cannot be read: \(error.message)", cause: error)
    }
}
