// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// How the secret that opens a keyring becomes a key.
enum KeyDerivation: Hashable, Sendable {
    /// Of a passphrase.
    case scrypt(PassphraseCost)
    /// Of a key file.
    case keyFile

    /// On disk: never renumber.
    var code: UInt8 {
        switch self {
        case .scrypt: 1
        case .keyFile: 2
        }
    }
}

/// The key that seals the records of a keyring file, and what a file says about its derivation.
///
/// Kept while the keyring is open, so that it can be written again without asking for the
/// passphrase. Immutable.
struct KeyringSeal: Sendable {
    let derivation: KeyDerivation
    let salt: Octets32
    /// Tells a wrong passphrase from damage; independent of ``recordKey``, so not a secret.
    let verifier: Octets32
    let recordKey: SecretBytes

    /// Derives the key for a new file.
    init(
        _ protection: KeyringProtection, scrypt: PassphraseCost, random: any RandomSource
    ) throws(KeyError) {
        let derivation: KeyDerivation =
            switch protection {
            case .passphrase: .scrypt(scrypt)
            case .keyFile: .keyFile
            }
        try self.init(protection, derivation: derivation, salt: random.octets32())
    }

    /// Derives the key for a file that states its derivation and salt.
    ///
    /// - Throws: ``KeyError`` with code `wrongPassphrase` (a passphrase where the file wants a
    ///   key file, or the reverse), `invalidArgument` or `limitExceeded`.
    init(
        _ protection: KeyringProtection, derivation: KeyDerivation, salt: Octets32
    ) throws(KeyError) {
        let stretched: SecretBytes
        switch (protection, derivation) {
        case (.passphrase(let passphrase), .scrypt(let cost)):
            stretched = try Self.stretch(passphrase, salt, cost)
        case (.keyFile(let content), .keyFile):
            guard content.byteCount == KeyringProtection.keyFileByteCount else {
                throw KeyError(
                    .invalidArgument,
                    "a key file has \(KeyringProtection.keyFileByteCount) bytes, "
                        + "not \(content.byteCount)")
            }
            stretched = content
        case (.passphrase, .keyFile):
            throw KeyError(
                .wrongPassphrase, "the keyring opens with a key file, not with a passphrase")
        case (.keyFile, .scrypt):
            throw KeyError(
                .wrongPassphrase, "the keyring opens with a passphrase, not with a key file")
        }
        self.derivation = derivation
        self.salt = salt
        (verifier, recordKey) = try Self.expand(stretched, salt, derivation)
    }

    // MARK: - Derivation

    private static func stretch(
        _ passphrase: SecretBytes, _ salt: Octets32, _ cost: PassphraseCost
    ) throws(KeyError) -> SecretBytes {
        guard (1...KeyringProtection.passphraseByteCountMax).contains(passphrase.byteCount) else {
            throw KeyError(
                .invalidArgument,
                "a passphrase has 1 to \(KeyringProtection.passphraseByteCountMax) bytes")
        }
        return try deriving(byteCount: 32) { out throws(CoreError) in
            try passphrase.withSpan { secret throws(CoreError) in
                try CairnCore.scrypt(
                    passphrase: secret, salt: salt.span, cost: cost.parameters, into: &out)
            }
        }
    }

    /// One derivation gives two independent halves: what the file shows and what it never shows.
    private static func expand(
        _ stretched: SecretBytes, _ salt: Octets32, _ derivation: KeyDerivation
    ) throws(KeyError) -> (Octets32, SecretBytes) {
        let info = Array("cairn keyring 1, derivation \(derivation.code)".utf8)
        let both = try deriving(byteCount: 64) { out throws(CoreError) in
            try stretched.withSpan { secret throws(CoreError) in
                try hkdfSHA512(secret: secret, salt: salt.span, info: info.span, into: &out)
            }
        }
        return both.withSpan {
            (Octets32($0.extracting(0..<32)), SecretBytes(copying: $0.extracting(32..<64)))
        }
    }

    private static func deriving(
        byteCount: Int, _ body: (inout MutableSpan<UInt8>) throws(CoreError) -> Void
    ) throws(KeyError) -> SecretBytes {
        do throws(CoreError) {
            return try SecretBytes(byteCount: byteCount, body)
        } catch {
            throw KeyError(
                .limitExceeded, "the key of the keyring cannot be derived; is there memory?",
                cause: error)
        }
    }
}
