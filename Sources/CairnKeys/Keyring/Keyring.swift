// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// The embedded key provider: customer keys in one sealed file.
///
/// Bytes in, bytes out: whoever owns the file reads it, hands its bytes to
/// ``init(decoding:protection:random:clock:)`` and writes what ``encoded()`` returns. A keyring
/// never changes, so it is safe to share between threads. A change gives a successor; its owner
/// writes the successor durably **before** using it, because a data key that was wrapped with
/// material that is in no file is lost with the process.
///
/// ```swift
/// let keyring = try Keyring.create(protection: .passphrase(passphrase), random: SystemRandom(),
///                                  clock: SystemClock())
/// try disk.replace("keyring", with: keyring.encoded().span, permissions: 0o600)
/// let dataKey = try await keyring.generateDataKey(
///     under: .default, context: EncryptionContext(["bucket": id]))
/// ```
public final class Keyring: KeyProvider {
    /// The most bytes of a keyring file; read no more than this.
    public static let encodedByteCountMax = KeyringFile.byteCountMax

    let contents: KeyringContents
    let random: any RandomSource
    let clock: any StoreClock
    private let seal: KeyringSeal

    /// Makes a keyring with one customer key, reached as ``KeyReference/default``.
    ///
    /// Nothing is durable: write ``encoded()`` before wrapping anything of value. With a
    /// passphrase this blocks for as long as `scrypt` says; call it on a thread that may block.
    ///
    /// - Parameter scrypt: The cost of guessing; of no meaning for a key file.
    /// - Throws: ``KeyError`` with code `invalidArgument` (the form of the passphrase or key
    ///   file) or `limitExceeded` (no memory for scrypt).
    public static func create(
        protection: KeyringProtection, random: any RandomSource, clock: any StoreClock,
        scrypt: PassphraseCost = .standard
    ) throws(KeyError) -> Keyring {
        let seal = try KeyringSeal(protection, scrypt: scrypt, random: random)
        let now = clock.now()
        var contents = KeyringContents(id: .randomUUID(from: random), createdAt: now)
        try contents.addKey(
            CustomerKey(createdAt: now, random: random), alias: KeyReference.defaultAlias)
        return Keyring(contents, seal, random, clock)
    }

    /// Opens the bytes of a keyring file.
    ///
    /// With a passphrase this blocks for as long as the file's scrypt parameters say, at most
    /// ``PassphraseCost/workMax``; call it on a thread that may block.
    ///
    /// - Throws: ``KeyError`` with code `wrongPassphrase` (the file is undamaged and does not
    ///   open with this), `corrupted` (restore a copy), `unsupportedVersion` (a newer Cairn wrote
    ///   it), `limitExceeded` (parameters no honest file has) or `invalidArgument` (the form of
    ///   the passphrase or key file).
    public convenience init(
        decoding bytes: [UInt8], protection: KeyringProtection, random: any RandomSource,
        clock: any StoreClock
    ) throws(KeyError) {
        let (contents, seal) = try KeyringFile.decode(
            bytes.span, protection: protection, random: random)
        self.init(contents, seal, random, clock)
    }

    private init(
        _ contents: KeyringContents, _ seal: KeyringSeal, _ random: any RandomSource,
        _ clock: any StoreClock
    ) {
        self.contents = contents
        self.seal = seal
        self.random = random
        self.clock = clock
    }

    /// The UUID of the keyring; every successor has the same.
    public var id: String { contents.id.uuidText }

    /// Grows by one with every change: a smaller one than last seen is an older copy of the file.
    public var revision: UInt64 { contents.revision }

    /// Describes every customer key, in the order of their creation.
    public var keys: [KeyDescription] { contents.keys.map(description) }

    /// The bytes of the keyring file.
    ///
    /// Different at each call, as salts are random; each opens with the same passphrase. Cheap:
    /// nothing is stretched again.
    ///
    /// - Throws: ``KeyError`` with code `limitExceeded`.
    public func encoded() throws(KeyError) -> [UInt8] {
        try KeyringFile.encode(contents, seal, random: random)
    }

    /// Checks a keyring file as far as that goes without opening it: form, limits, checksums.
    ///
    /// - Throws: ``KeyError`` with code `corrupted`, `unsupportedVersion` or `limitExceeded`.
    public static func verifyChecksums(_ bytes: [UInt8]) throws(KeyError) {
        _ = try KeyringFile.check(bytes.span)
    }
}

// MARK: - Key provider

extension Keyring {
    /// Tells the id, aliases and state of a key, whatever its state.
    public func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        description(try contents.key(key))
    }

    /// Makes 32 random bytes and wraps them with the newest material of the key.
    public func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        let key = try contents.usableKey(key)
        let plaintext = SecretBytes.random(byteCount: DataKey.byteCount, from: random)
        let wrapped = try WrappedKey.wrap(
            plaintext, with: key, of: contents.id, context: context, random: random)
        return try DataKey(plaintext: plaintext, wrapped: wrapped, keyID: key.keyID)
    }

    /// Makes 32 random bytes, wraps them with the newest material of the key and wipes them.
    public func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await generateDataKey(under: key, context: context).wrapped
    }

    /// Wraps 1 to ``DataKey/plaintextByteCountMax`` bytes with the newest material of the key.
    public func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try WrappedKey.wrap(
            plaintext, with: contents.usableKey(key), of: contents.id, context: context,
            random: random)
    }

    /// Unwraps a ciphertext of this keyring.
    public func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try unwrap(wrapped, context)
    }

    /// Wraps the same plaintext again, under the newest material of a key and another context.
    public func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        let key = try contents.usableKey(key)
        let plaintext = try unwrap(wrapped, context)
        return try WrappedKey.wrap(
            plaintext, with: key, of: contents.id, context: newContext, random: random)
    }

    /// Whether a ciphertext names this key and the newest version of its material.
    public func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool {
        let key = try contents.key(key)
        let address = try WrappedKey.address(of: wrapped.span)
        return address.keyringID == contents.id && address.keyID == key.id
            && address.materialVersion == key.currentVersion
    }

    /// The key that a ciphertext names, if it is here.
    ///
    /// - Throws: ``KeyError`` with code `integrity` or `unsupportedVersion`.
    func key(of wrapped: [UInt8]) throws(KeyError) -> CustomerKey? {
        let address = try WrappedKey.address(of: wrapped.span)
        return address.keyringID == contents.id ? contents.key(address.keyID) : nil
    }

    /// What a ciphertext names, all of it in this keyring.
    ///
    /// - Throws: ``KeyError`` with code `integrity`, `unsupportedVersion` or `keyNotFound`.
    func knownAddress(
        of wrapped: [UInt8]
    ) throws(KeyError) -> (address: WrappedKey.Address, key: CustomerKey) {
        let address = try WrappedKey.address(of: wrapped.span)
        guard address.keyringID == contents.id, let key = contents.key(address.keyID) else {
            throw KeyError(
                .keyNotFound,
                "the ciphertext names key \(KeyID(uuid: address.keyID)), which is not in this "
                    + "keyring")
        }
        return (address, key)
    }

    private func unwrap(
        _ wrapped: [UInt8], _ context: EncryptionContext
    ) throws(KeyError) -> SecretBytes {
        let (address, key) = try knownAddress(of: wrapped)
        try contents.checkUsable(key)
        return try WrappedKey.unwrap(
            wrapped.span, with: key, of: contents.id, version: address.materialVersion,
            context: context, random: random)
    }

    private func description(_ key: CustomerKey) -> KeyDescription {
        let state: KeyState =
            switch key.state {
            case .enabled: .enabled
            case .disabled: .disabled
            case .pendingDeletion: .pendingDeletion
            }
        return KeyDescription(
            id: key.keyID, aliases: contents.aliases(of: key.id), state: state,
            createdAt: key.createdAt, deletionDate: key.deletionDate,
            rotationPeriodDays: key.rotation.map { Int($0.periodDays) },
            nextRotationDate: key.rotation?.isDueAt, currentVersion: Int(key.currentVersion),
            description: key.labels.text, tags: key.labels.tags)
    }
}

// MARK: - Successors

extension Keyring {
    /// The keyring with one more customer key, under a new alias if one is given.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed or reserved alias, a
    ///   malformed or reserved tag) or `limitExceeded`.
    package func addingKey(
        alias: String?, description: String = "", tags: [String: String] = [:]
    ) throws(KeyError) -> Keyring {
        if let alias { try contents.checkOwnAlias(alias) }
        var key = CustomerKey(createdAt: clock.now(), random: random)
        key.labels = try KeyLabels(text: description, tags: tags)
        return try successor { contents throws(KeyError) in
            try contents.addKey(key, alias: alias)
        }
    }

    /// The keyring with a key enabled or disabled.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (a key that is to be
    ///   destroyed) or `invalidArgument` (to disable the key that the store itself needs).
    package func settingKey(_ key: KeyReference, isEnabled: Bool) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in
            try contents.setEnabled(isEnabled, key)
        }
    }

    // MARK: Labels

    /// The keyring with another description of a key: what it is for, in at most 8,192 bytes.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (a key that is to be
    ///   destroyed) or `limitExceeded`.
    package func describingKey(
        _ key: KeyReference, as description: String
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in
            try contents.describe(key, as: description)
        }
    }

    /// The keyring with more tags on a key, or with other values of those it has.
    ///
    /// - Parameter tags: Keys of 1 to 128 and values of 0 to 256 letters, digits, spaces and
    ///   `_.:/=+-@`; at most 50 on a key; none under `cairn:`.
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (a key that is to be
    ///   destroyed), `invalidArgument` or `limitExceeded`.
    package func taggingKey(
        _ key: KeyReference, with tags: [String: String]
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.tag(key, with: tags) }
    }

    /// The keyring without some tags of a key; those it does not have do not matter.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `keyDisabled` (a key that is to be
    ///   destroyed).
    package func untaggingKey(
        _ key: KeyReference, keys: [String]
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.untag(key, keys: keys) }
    }

    // MARK: Rotation

    /// When and why each version of a key's material was made, version 1 first.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`.
    package func versions(of key: KeyReference) throws(KeyError) -> [KeyVersion] {
        try contents.key(key).versions
    }

    /// The keyring with new material in a key; older ciphertexts still decrypt.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `limitExceeded` (25 times
    ///   on demand).
    package func rotatingKey(_ key: KeyReference) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in
            try contents.rotate(key, adding: newMaterial(), newVersion(.onDemand))
        }
    }

    /// The keyring with automatic rotation of a key, each 90 to 2560 days; nil ends it.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `invalidArgument`.
    package func settingRotation(
        periodDays: Int?, of key: KeyReference
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in
            try contents.setRotation(periodDays: periodDays, key, at: clock.now())
        }
    }

    /// The keyring with new material in every key whose automatic rotation is due; nil when there
    /// is none.
    ///
    /// A key that missed several periods is rotated once, and its next period begins now.
    package func rotatingDueKeys() throws(KeyError) -> Keyring? {
        let due = contents.keysDueForRotation(at: clock.now())
        guard !due.isEmpty else { return nil }
        return try successor { contents throws(KeyError) in
            try contents.rotate(due, adding: newMaterial, newVersion(.automatic))
        }
    }

    // MARK: Deletion

    /// The keyring with a key that serves no call any more and is destroyed after 7 to 30 days.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` (scheduled before) or
    ///   `invalidArgument` (the days, or a key that the store itself needs).
    package func schedulingDeletion(
        of key: KeyReference, afterDays days: Int
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in
            try contents.scheduleDeletion(key, afterDays: days, at: clock.now())
        }
    }

    /// The keyring with a key that stays after all. It is disabled, as with AWS KMS.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `invalidArgument`.
    package func cancellingDeletion(of key: KeyReference) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.cancelDeletion(key) }
    }

    /// The keyring without the keys whose time has come, and the ids of those; nil when there are
    /// none.
    ///
    /// What they have wrapped is lost when the last copy of the older file is.
    package func destroyingDueKeys() -> (keyring: Keyring, destroyed: [KeyID])? {
        var next = contents
        let destroyed = next.destroyDueKeys(at: clock.now())
        return destroyed.isEmpty ? nil : (Keyring(next, seal, random, clock), destroyed)
    }

    // MARK: Aliases

    /// The keyring with one more alias.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (malformed or reserved), `aliasExists`,
    ///   `keyNotFound`, `keyDisabled` (a key that is to be destroyed) or `limitExceeded`.
    package func addingAlias(
        _ alias: String, to key: KeyReference
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.createAlias(alias, to: key) }
    }

    /// The keyring with an alias that leads to another key. What was wrapped stays with its key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the alias or the key), `keyDisabled` or
    ///   `invalidArgument` (reserved).
    package func movingAlias(
        _ alias: String, to key: KeyReference
    ) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.updateAlias(alias, to: key) }
    }

    /// The keyring without an alias. The key stays.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `invalidArgument` (reserved).
    package func removingAlias(_ alias: String) throws(KeyError) -> Keyring {
        try successor { contents throws(KeyError) in try contents.deleteAlias(alias) }
    }

    // MARK: Protection

    /// The same keys under another passphrase or key file, with a new salt.
    ///
    /// Copies of the old file still open with the old one: to shut those out, rotate the keys and
    /// rewrap what they wrapped. Blocks as ``create(protection:random:clock:scrypt:)`` does.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` or `limitExceeded`.
    package func protected(
        by protection: KeyringProtection, scrypt: PassphraseCost = .standard
    ) throws(KeyError) -> Keyring {
        var next = contents
        next.advanceRevision()
        let seal = try KeyringSeal(protection, scrypt: scrypt, random: random)
        return Keyring(next, seal, random, clock)
    }

    private func newMaterial() -> SecretBytes {
        .random(byteCount: CustomerKey.materialByteCount, from: random)
    }

    private func newVersion(_ origin: KeyVersion.Origin) -> KeyVersion {
        KeyVersion(createdAt: clock.now(), origin: origin)
    }

    func successor(
        _ change: (inout KeyringContents) throws(KeyError) -> Void
    ) throws(KeyError) -> Keyring {
        var next = contents
        try change(&next)
        return Keyring(next, seal, random, clock)
    }
}
