// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

// ciphertext := magic[4]("CRNP") version:u16(1) reserved:u16(0) keyID[16] materialVersion:u32
//               nonce[12] sealed[n + 48] crc32c:u32           (n: bytes of plaintext, 1 to 4096)
// sealed     := AES-256-GCM of (zero[32] plaintext[n]), then its tag[16]
// associated := the 40 bytes before `sealed`, SHA-256("cairn token ciphertext 1" NUL context)
//
// The checksum finds accidents without the token, and ends every version: only what is
// undamaged can be of a later one.

/// The form of what a token has encrypted.
struct TokenCiphertext {
    /// The most bytes encrypted at once: what AWS KMS allows for `Encrypt`.
    static let plaintextByteCountMax = 4096
    /// Zeros before the plaintext, checked after decryption. AES-GCM alone does not commit to its
    /// key: one ciphertext can be made that opens under two keys, to two plaintexts (Albertini et
    /// al., "How to Abuse and Fix Authenticated Encryption Without Key Commitment", USENIX
    /// Security 2022, who propose the zeros).
    static let commitmentByteCount = 32

    private static let magic = Array("CRNP".utf8)
    private static let formatVersion: UInt16 = 1
    private static let headerByteCount = 40
    private static let checksumByteCount = 4
    private static let sealedOverhead = commitmentByteCount + AES256GCM.tagByteCount

    let keyID: Octets16
    let materialVersion: UInt32
    let nonce: [UInt8]
    let sealed: [UInt8]

    /// What is to be encrypted by that version of a key.
    init(keyID: Octets16, materialVersion: UInt32, nonce: [UInt8], sealed: [UInt8] = []) {
        self.keyID = keyID
        self.materialVersion = materialVersion
        self.nonce = nonce
        self.sealed = sealed
    }

    /// The same with what the token made of the plaintext.
    func sealing(_ sealed: [UInt8]) -> TokenCiphertext {
        TokenCiphertext(
            keyID: keyID, materialVersion: materialVersion, nonce: nonce, sealed: sealed)
    }

    /// Reads a ciphertext and checks it against accidents.
    ///
    /// - Throws: ``KeyError`` with code `integrity` or `unsupportedVersion`.
    init(decoding bytes: [UInt8]) throws(KeyError) {
        do throws(CoreError) {
            self = try Self.decode(bytes)
        } catch {
            guard error.code == .unsupportedVersion else { throw Self.refusal(error) }
            throw KeyError(
                .unsupportedVersion, "a newer Cairn made the ciphertext", cause: error)
        }
    }

    /// The one answer to everything that is wrong with a ciphertext.
    static func refusal(_ cause: (any Error)? = nil) -> KeyError {
        KeyError(
            .integrity, "the ciphertext or its encryption context is not what was encrypted",
            cause: cause)
    }

    /// The plaintext behind its zeros, wiped with its last reference.
    static func padded(_ plaintext: Span<UInt8>) -> SecretBytes {
        SecretBytes(byteCount: commitmentByteCount + plaintext.count) {
            $0.copy(plaintext, to: commitmentByteCount)
        }
    }

    /// The bytes of the ciphertext.
    var encoded: [UInt8] {
        var writer = header
        writer.append(sealed)
        writer.appendChecksum()
        return writer.bytes
    }

    /// What is authenticated with the plaintext and not encrypted.
    func associated(_ context: EncryptionContext) -> [UInt8] {
        var hash = SHA256()
        hash.update(Array("cairn token ciphertext 1\0".utf8).span)
        hash.update(context.encoded.span)
        var writer = header
        writer.append(hash.finalized())
        return writer.bytes
    }

    /// The plaintext in what the token has decrypted, room for the tag included; nil when there are
    /// no zeros before it.
    func plaintext(_ opened: SecretBytes) -> SecretBytes? {
        let zeros = [UInt8](repeating: 0, count: Self.commitmentByteCount)
        let end = sealed.count - AES256GCM.tagByteCount
        return opened.withSpan { opened in
            let prefix = opened.extracting(..<Self.commitmentByteCount)
            guard constantTimeEqual(prefix, zeros.span) else { return nil }
            return SecretBytes(copying: opened.extracting(Self.commitmentByteCount..<end))
        }
    }

    // MARK: -

    private var header: ByteWriter {
        var writer = ByteWriter()
        writer.append(Self.magic)
        writer.append(Self.formatVersion)
        writer.appendZeros(2)
        writer.append(keyID)
        writer.append(materialVersion)
        writer.append(nonce)
        assert(writer.byteCount == Self.headerByteCount)
        return writer
    }

    private static func decode(_ bytes: [UInt8]) throws(CoreError) -> TokenCiphertext {
        guard bytes.count <= DataKey.wrappedByteCountMax, bytes.starts(with: magic) else {
            throw CoreError(.corrupted, "\(bytes.count) bytes that are no ciphertext of a token")
        }
        let end = bytes.count - checksumByteCount
        guard end >= magic.count,
            CRC32C.checksum(bytes.span.extracting(..<end))
                == bytes.span.littleEndian(UInt32.self, at: end)
        else { throw CoreError(.corrupted, "a ciphertext does not match its checksum") }
        var reader = ByteReader(bytes.span)
        _ = try reader.readBytes(magic.count)
        let version = try reader.readUInt16()
        guard version <= formatVersion else {
            throw CoreError(.unsupportedVersion, "version \(version) of a ciphertext")
        }
        guard version > 0 else { throw CoreError(.corrupted, "version 0 of a ciphertext") }
        try reader.readZeros(2)
        let keyID = try reader.readOctets16()
        let materialVersion = try reader.readUInt32()
        let nonce = [UInt8](copying: try reader.readBytes(AES256GCM.nonceByteCount))
        let sealedByteCount = end - reader.offset
        guard (1...plaintextByteCountMax).contains(sealedByteCount - sealedOverhead) else {
            throw CoreError(.corrupted, "a ciphertext seals \(sealedByteCount) bytes")
        }
        return TokenCiphertext(
            keyID: keyID, materialVersion: materialVersion, nonce: nonce,
            sealed: [UInt8](copying: try reader.readBytes(sealedByteCount)))
    }
}
