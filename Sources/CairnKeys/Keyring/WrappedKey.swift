// Part of Cairn, a content-addressed blob store.
internal import CairnCore

// wrapped := record   (CairnCore; type wrappedKey, suite 2, codec raw, up to 4096 bytes plain)
// name    := keyID[16] keyringID[16]
// keySlot := version of the key's material, from 1
// binding := SHA-256("cairn wrapped key 1" NUL context)   (authenticated, not stored)

/// The ciphertexts that a keyring gives out: each names its key and the version of its material.
enum WrappedKey {
    /// What a ciphertext tells without any key.
    struct Address {
        let keyID: Octets16
        let keyringID: Octets16
        let materialVersion: UInt32
    }

    /// Reads the clear part of a ciphertext and checks it against accidents.
    ///
    /// - Throws: ``KeyError`` with code `integrity` or `unsupportedVersion`.
    static func address(of wrapped: Span<UInt8>) throws(KeyError) -> Address {
        do throws(CoreError) {
            guard wrapped.count <= DataKey.wrappedByteCountMax else {
                throw CoreError(.limitExceeded, "\(wrapped.count) bytes")
            }
            let header = try Record.verifyChecksums(wrapped)
            guard header.type == .wrappedKey, header.suite == .committed,
                header.recordByteCount == wrapped.count,
                header.plaintextByteCount <= DataKey.plaintextByteCountMax
            else {
                throw CoreError(.corrupted, "no wrapped key")
            }
            let name = header.name.span
            return Address(
                keyID: Octets16(name.extracting(0..<16)),
                keyringID: Octets16(name.extracting(16..<32)), materialVersion: header.keySlot)
        } catch {
            throw refusal(error)
        }
    }

    /// Wraps 1 to ``DataKey/plaintextByteCountMax`` bytes with the newest material of a key.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` or `unavailable`.
    static func wrap(
        _ plaintext: SecretBytes, with key: CustomerKey, of keyringID: Octets16,
        context: EncryptionContext, random: any RandomSource
    ) throws(KeyError) -> [UInt8] {
        guard (1...DataKey.plaintextByteCountMax).contains(plaintext.byteCount) else {
            throw KeyError(
                .invalidArgument,
                "a key wraps 1 to \(DataKey.plaintextByteCountMax) bytes at once, "
                    + "not \(plaintext.byteCount)")
        }
        let version = key.currentVersion
        let label = label(key.id, keyringID, version, context)
        do throws(CoreError) {
            return try plaintext.withSpan { plaintext throws(CoreError) in
                try key.withMaterial(version: version) { material throws(CoreError) in
                    try SealedRecord.seal(plaintext, as: label, with: material, random: random)
                }
            }
        } catch {
            throw KeyError(
                .unavailable, "key \(key.keyID) could not wrap what it was given", cause: error)
        }
    }

    /// Unwraps a ciphertext of the given key.
    ///
    /// - Throws: ``KeyError`` with code `integrity`.
    static func unwrap(
        _ wrapped: Span<UInt8>, with key: CustomerKey, of keyringID: Octets16,
        version: UInt32, context: EncryptionContext, random: any RandomSource
    ) throws(KeyError) -> SecretBytes {
        guard key.hasMaterial(version: version) else {
            throw KeyError(
                .integrity,
                "the ciphertext names version \(version) of key \(key.keyID), the keyring ends at "
                    + "\(key.currentVersion); was it replaced by an older copy?")
        }
        do throws(CoreError) {
            return try key.withMaterial(version: version) { material throws(CoreError) in
                try SealedRecord.open(
                    wrapped, as: label(key.id, keyringID, version, context), with: material,
                    random: random)
            }
        } catch {
            throw refusal(error)
        }
    }

    // MARK: -

    // One message for every reason. Only an undamaged header can be of a newer version.
    private static func refusal(_ cause: CoreError) -> KeyError {
        guard cause.code != .unsupportedVersion else {
            return KeyError(
                .unsupportedVersion, "a newer Cairn wrote the ciphertext", cause: cause)
        }
        return KeyError(
            .integrity, "the ciphertext or its encryption context is not what was wrapped",
            cause: cause)
    }

    private static func label(
        _ keyID: Octets16, _ keyringID: Octets16, _ version: UInt32, _ context: EncryptionContext
    ) -> SealedRecordLabel {
        var hash = SHA256()
        hash.update(Array("cairn wrapped key 1\0".utf8).span)
        hash.update(context.encoded.span)
        return SealedRecordLabel(
            type: .wrappedKey, name: Octets32((keyID.bytes + keyringID.bytes).span),
            slot: version, scope: RecordScope(storeID: keyringID, ownerID: keyID),
            binding: hash.finalized())
    }
}
