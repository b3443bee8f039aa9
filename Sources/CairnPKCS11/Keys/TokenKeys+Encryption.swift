// Part of Cairn, a content-addressed blob store.

internal import CPKCS11
internal import CairnCore
internal import CairnKeys

extension TokenKeys {
    /// Encrypts 1 to 4,096 bytes with the newest material of a key.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    func encrypt(
        _ plaintext: SecretBytes, with key: TokenKey, context: EncryptionContext
    ) throws(KeyError) -> [UInt8] {
        let byteCountMax = TokenCiphertext.plaintextByteCountMax
        guard (1...byteCountMax).contains(plaintext.byteCount) else {
            throw KeyError(.invalidArgument, "a key encrypts 1 to \(byteCountMax) bytes at once")
        }
        var nonce = [UInt8](repeating: 0, count: AES256GCM.nonceByteCount)
        var span = nonce.mutableSpan
        try session.fill(&span)
        let padded = plaintext.withSpan { TokenCiphertext.padded($0) }
        return try seal(padded, with: key, nonce: nonce, context: context)
    }

    /// Makes a data key and encrypts it.
    ///
    /// - Throws: ``KeyError`` with code `unavailable`.
    func generateDataKey(
        with key: TokenKey, context: EncryptionContext
    ) throws(KeyError) -> DataKey {
        // Nonce and key in one call: each one may be a journey over a network.
        let nonceByteCount = AES256GCM.nonceByteCount
        let random = try SecretBytes(byteCount: nonceByteCount + DataKey.byteCount) {
            span throws(KeyError) in try session.fill(&span)
        }
        let nonce = random.withSpan { [UInt8](copying: $0.extracting(..<nonceByteCount)) }
        let plaintext = random.withSpan { SecretBytes(copying: $0.extracting(nonceByteCount...)) }
        let padded = plaintext.withSpan { TokenCiphertext.padded($0) }
        let wrapped = try seal(padded, with: key, nonce: nonce, context: context)
        return try DataKey(plaintext: plaintext, wrapped: wrapped, keyID: key.keyID)
    }

    /// Decrypts a ciphertext, which itself names its key.
    ///
    /// - Throws: ``KeyError`` with code `integrity`, `unsupportedVersion`, `keyNotFound`,
    ///   `keyDisabled` or `unavailable`.
    func decrypt(
        _ ciphertext: [UInt8], context: EncryptionContext
    ) throws(KeyError) -> SecretBytes {
        let ciphertext = try TokenCiphertext(decoding: ciphertext)
        let key = try key(ciphertext.keyID)
        try checkUsable(key)
        let version = ciphertext.materialVersion
        let objects = try objects(of: key, version: version)
        guard !objects.isEmpty else {
            throw KeyError(
                .integrity,
                "the ciphertext names version \(version) of key \(key.keyID), which the token does "
                    + "not have; was it replaced by an older copy?")
        }
        for object in objects {
            if let plaintext = try open(ciphertext, with: object, context: context) {
                return plaintext
            }
        }
        throw TokenCiphertext.refusal()
    }

    // MARK: -

    private func seal(
        _ padded: SecretBytes, with key: TokenKey, nonce: [UInt8], context: EncryptionContext
    ) throws(KeyError) -> [UInt8] {
        let material = try newestMaterial(of: key)
        let ciphertext = TokenCiphertext(
            keyID: key.id, materialVersion: material.version, nonce: nonce)
        let sealed = try padded.withSpan { padded throws(KeyError) in
            try session.encrypt(
                padded, with: material.object, nonce: nonce.span,
                associated: ciphertext.associated(context))
        }
        return ciphertext.sealing(sealed).encoded
    }

    private func open(
        _ ciphertext: TokenCiphertext, with object: CK_OBJECT_HANDLE, context: EncryptionContext
    ) throws(KeyError) -> SecretBytes? {
        var isAuthentic = false
        let opened = try SecretBytes(byteCount: ciphertext.sealed.count) {
            span throws(KeyError) in
            isAuthentic = try session.decrypt(
                ciphertext.sealed.span, with: object, nonce: ciphertext.nonce.span,
                associated: ciphertext.associated(context), into: &span)
        }
        return isAuthentic ? ciphertext.plaintext(opened) : nil
    }
}
