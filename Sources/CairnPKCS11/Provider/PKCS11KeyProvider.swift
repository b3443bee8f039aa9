// Part of Cairn, a content-addressed blob store.

public import CairnCore
public import CairnKeys

/// A key provider whose customer keys live in a hardware security module and never leave it.
///
/// Speaks PKCS#11 2.40 to the library of the module's maker. Customer keys are AES-256 keys that
/// the token generates, sensitive and not extractable; data keys come from its random generator.
/// Aliases and states of keys are on the token too, and read at each call: what another provider or
/// process changes is in effect at the next call.
///
/// ```swift
/// let provider = try await PKCS11KeyProvider.open(PKCS11Configuration(
///     libraryPath: "/usr/lib/softhsm/libsofthsm2.so", tokenLabel: "cairn", pin: .bytes(pin)))
/// try await provider.createKey(alias: KeyReference.defaultAlias)
/// let dataKey = try await provider.generateDataKey(
///     under: .default, context: EncryptionContext(["bucket": id]))
/// await provider.close()
/// ```
///
/// Calls come from any task. They wait for one of a few threads of the provider's own, and never
/// block the caller's. A call that is cancelled while it waits fails with code `unavailable`; one
/// that the token works on already goes on to its end. A lost session is reopened once for each
/// call; a PIN that the token refused is never presented again.
public final class PKCS11KeyProvider: KeyProvider {
    private let threads: TokenThreads
    private let clock: any StoreClock

    /// Loads the library, finds the token and logs in.
    ///
    /// Several providers of one process may use one token, with the same PIN. Other code of the
    /// process may use the library as well; whoever comes first initialises it, and if that is not
    /// a provider, the other code has to stay until the last provider is closed.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (no library at the path, none of
    ///   PKCS#11, several tokens with the label, a token without AES-GCM, a number out of range),
    ///   `wrongPassphrase` (the PIN is wrong or locked; it was presented once) or `unavailable`
    ///   (no such token, or it does not answer).
    public static func open(
        _ configuration: PKCS11Configuration
    ) async throws(KeyError) -> PKCS11KeyProvider {
        let path = configuration.libraryPath
        return try await open(configuration) { () throws(KeyError) in try Library.load(path) }
    }

    /// As ``open(_:)``, with a library that tests may have changed.
    static func open(
        _ configuration: PKCS11Configuration,
        load: @escaping @Sendable () throws(KeyError) -> Library
    ) async throws(KeyError) -> PKCS11KeyProvider {
        try configuration.check()
        let token = Token(label: configuration.tokenLabel, pin: configuration.pin, load: load)
        let threads = try TokenThreads(
            count: configuration.threadCount, queueCountMax: configuration.waitingCountMax,
            token: token)
        do throws(KeyError) {
            // Any call opens a session first; this one has nothing else to do.
            try await threads.run { _ in }
        } catch {
            await threads.close()
            throw error
        }
        return PKCS11KeyProvider(threads, clock: configuration.clock)
    }

    private init(_ threads: TokenThreads, clock: any StoreClock) {
        self.threads = threads
        self.clock = clock
    }

    /// Ends the provider: calls that wait fail with code `unavailable`, as do calls to come.
    ///
    /// Returns when calls under way have ended, the sessions are closed and, with the last provider
    /// of a library, the library is finalised. A provider that is not closed does the same, without
    /// anyone waiting for it, when its last reference goes.
    public func close() async {
        await threads.close()
    }
}

// MARK: - Key provider

extension PKCS11KeyProvider {
    /// Tells the id, aliases and state of a key, whatever its state.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `unavailable`, `corrupted` (a record on the
    ///   token is damaged) or `unsupportedVersion` (a newer Cairn made it).
    public func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await run { keys throws(KeyError) in try keys.key(key).description(keys.aliases()) }
    }

    /// Makes 32 random bytes on the token and wraps them with the newest material of the key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled`, or as ``describeKey(_:)``.
    public func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await run { keys throws(KeyError) in
            try keys.generateDataKey(with: keys.usableKey(key), context: context)
        }
    }

    /// As ``generateDataKey(under:context:)``, for keys that are needed later and not now.
    ///
    /// - Throws: ``KeyError`` as ``generateDataKey(under:context:)``.
    public func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await generateDataKey(under: key, context: context).wrapped
    }

    /// Encrypts 1 to 4,096 bytes with the newest material of the key.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (the number of bytes), or as
    ///   ``generateDataKey(under:context:)``.
    public func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await run { keys throws(KeyError) in
            try keys.encrypt(plaintext, with: keys.usableKey(key), context: context)
        }
    }

    /// Decrypts a ciphertext of this token, which itself names its key.
    ///
    /// - Throws: ``KeyError`` with code `integrity` (damaged, forged, or another context),
    ///   `unsupportedVersion` (undamaged, and a newer Cairn made it), `keyNotFound`,
    ///   `keyDisabled`, `unavailable` or `corrupted`.
    public func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try await run { keys throws(KeyError) in try keys.decrypt(wrapped, context: context) }
    }

    /// Encrypts the same plaintext again, under the newest material of a key and another context.
    ///
    /// - Throws: ``KeyError`` as ``decrypt(_:context:)`` and ``encrypt(_:under:context:)``.
    public func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await run { keys throws(KeyError) in
            let target = try keys.usableKey(key)
            let plaintext = try keys.decrypt(wrapped, context: context)
            return try keys.encrypt(plaintext, with: target, context: newContext)
        }
    }
}

// MARK: - Administration

/// Each of these is on the token when it returns. After an error or a crash in the middle the token
/// holds the keys and aliases of before or of after; `createKey(alias:)` may leave a key without
/// its alias. Calls of one process come one after the other. Two processes that give one alias at
/// the same moment both succeed, and the alias leads to one of the two keys, the same for all.
extension PKCS11KeyProvider {
    /// Makes a key.
    ///
    /// - Parameter alias: a name for it, such as ``KeyReference/defaultAlias``.
    /// - Throws: ``KeyError`` with code `invalidArgument` (a malformed alias), `aliasExists`,
    ///   `limitExceeded` (10,000 keys, or the token is full) or `unavailable`.
    @discardableResult
    public func createKey(alias: String? = nil) async throws(KeyError) -> KeyDescription {
        try await change { keys, now throws(KeyError) in
            try keys.createKey(alias: alias, at: now).description(keys.aliases())
        }
    }

    /// Gives a key new material, which wraps from now on; the older material still unwraps.
    ///
    /// A version of the material is good for 2^32 ciphertexts, as their nonces are random (NIST SP
    /// 800-38D, 8.3); nobody counts them, so rotate well before.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled`, `limitExceeded` (1,000
    ///   versions, or the token is full) or `unavailable`.
    public func rotateKey(_ key: KeyReference) async throws(KeyError) {
        try await change { keys, _ throws(KeyError) in try keys.rotate(key) }
    }

    /// Allows or forbids the use of a key, for all processes from their next call on.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `unavailable`.
    public func setKey(_ key: KeyReference, isEnabled: Bool) async throws(KeyError) {
        try await change { keys, now throws(KeyError) in
            try keys.setEnabled(isEnabled, key, at: now)
        }
    }

    /// Describes every key of Cairn on the token, in the order of their creation.
    ///
    /// - Throws: ``KeyError`` as ``describeKey(_:)``.
    public func keys() async throws(KeyError) -> [KeyDescription] {
        try await run { keys throws(KeyError) in
            let aliases = try keys.aliases()
            return try keys.all().map { $0.description(aliases) }
        }
    }

    /// Lets a new alias lead to a key.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument` (malformed or reserved for the store),
    ///   `aliasExists`, `keyNotFound`, `limitExceeded` (10,000 aliases, or the token is full) or
    ///   `unavailable`.
    public func addAlias(_ alias: String, to key: KeyReference) async throws(KeyError) {
        try await change { keys, _ throws(KeyError) in try keys.addAlias(alias, to: key) }
    }

    /// Lets an alias lead to another key. What was wrapped stays with its key.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` (the alias or the key), `invalidArgument`
    ///   (reserved for the store) or `unavailable`.
    public func moveAlias(_ alias: String, to key: KeyReference) async throws(KeyError) {
        try await change { keys, _ throws(KeyError) in try keys.moveAlias(alias, to: key) }
    }

    /// Forgets an alias. The key stays.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `invalidArgument` (reserved for the store)
    ///   or `unavailable`.
    public func removeAlias(_ alias: String) async throws(KeyError) {
        try await change { keys, _ throws(KeyError) in try keys.removeAlias(alias) }
    }

    // MARK: -

    private func run<Result: Sendable>(
        _ body: @escaping @Sendable (TokenKeys) throws(KeyError) -> Result
    ) async throws(KeyError) -> Result {
        try await threads.run { session throws(KeyError) in
            try body(TokenKeys(session: session))
        }
    }

    private func change<Result: Sendable>(
        _ body: @escaping @Sendable (TokenKeys, Timestamp) throws(KeyError) -> Result
    ) async throws(KeyError) -> Result {
        try await threads.run { [clock] session throws(KeyError) in
            try session.module.administer { () throws(KeyError) in
                try body(TokenKeys(session: session), clock.now())
            }
        }
    }
}
