// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// A new data key, in the clear and wrapped.
public struct DataKey: Sendable {
    /// The bytes of every data key: one AES-256 key.
    public static let byteCount = 32

    /// The most bytes of a wrapped key: what AWS KMS allows for a `CiphertextBlob`.
    public static let wrappedByteCountMax = 6144

    /// The most bytes that ``KeyProvider/encrypt(_:under:context:)`` wraps at once: what AWS KMS
    /// allows for `Encrypt`. What is larger is encrypted with a data key.
    public static let plaintextByteCountMax = 4096

    /// The key itself; keep it for a bounded time, never write it down.
    public let plaintext: SecretBytes
    /// The key sealed by the customer key: safe to store, useless without the provider.
    public let wrapped: [UInt8]
    /// The customer key that wrapped it.
    public let keyID: KeyID

    /// Puts together what a provider answered, and checks it.
    ///
    /// - Throws: ``KeyError`` with code `integrity` when the plaintext is not ``byteCount`` bytes
    ///   or the ciphertext is empty or above ``wrappedByteCountMax``: a provider that answers so
    ///   must not be trusted with data.
    public init(plaintext: SecretBytes, wrapped: [UInt8], keyID: KeyID) throws(KeyError) {
        guard plaintext.byteCount == Self.byteCount else {
            throw KeyError(
                .integrity,
                "key \(keyID) gave a data key of \(plaintext.byteCount) bytes, "
                    + "not \(Self.byteCount)")
        }
        guard (1...Self.wrappedByteCountMax).contains(wrapped.count) else {
            throw KeyError(
                .integrity, "key \(keyID) gave a wrapped key of \(wrapped.count) bytes")
        }
        self.plaintext = plaintext
        self.wrapped = wrapped
        self.keyID = keyID
    }
}

/// Holds customer keys and wraps data keys with them; the keys themselves never leave it.
///
/// These are the calls that use a key, with the meaning of the AWS KMS operations of the same
/// names. Everything else that a key management service does (creating keys and aliases,
/// rotation, disabling, scheduled deletion, grants) changes what these calls answer and never how
/// they are called: a ciphertext names its key and the version of its material, so an alias can
/// be pointed elsewhere and a key rotated while every older ciphertext still decrypts.
///
/// What every provider promises, and `KeyProviderConformance` in CairnTesting checks:
///
/// 1. A ciphertext opens under the key that made it, whatever aliases and rotations came since.
/// 2. The context of ``decrypt(_:context:)`` must equal the one given when wrapping, byte for
///    byte after canonical ordering; otherwise code `integrity`, as for a damaged ciphertext.
/// 3. A key that is not enabled serves no call that needs its material, so none but
///    ``describeKey(_:)`` and ``isCurrent(_:under:)``: code `keyDisabled`. Providers on this
///    machine notice at the next call, remote ones within their stated delay.
/// 4. No call falls back to another key, to older material for wrapping, or to no encryption.
/// 5. No plaintext key is in any error, log line or description.
///
/// A provider that acts for a principal, as ``GrantedKeys`` does, answers `accessDenied` where no
/// grant allows the call, and in place of `keyNotFound`.
///
/// Calls come from any task at once. They may suspend, and must not block their thread for long.
/// No call changes the provider: a failed or cancelled call can simply be made again.
public protocol KeyProvider: Sendable {
    /// Tells the id, aliases and state of a key (KMS `DescribeKey`), whatever its state.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound` or `unavailable`.
    func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription

    /// Makes 32 random bytes and wraps them with the newest material of the key
    /// (KMS `GenerateDataKey`).
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `unavailable`.
    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey

    /// Makes 32 random bytes, wraps them as ``generateDataKey(under:context:)`` does, and keeps
    /// nothing of them in the clear (KMS `GenerateDataKeyWithoutPlaintext`).
    ///
    /// For whoever prepares keys that only others may open.
    ///
    /// - Throws: ``KeyError`` with code `keyNotFound`, `keyDisabled` or `unavailable`.
    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8]

    /// Wraps bytes of the caller's with the newest material of the key (KMS `Encrypt`).
    ///
    /// ``decrypt(_:context:)`` opens the ciphertext, which differs at each call.
    ///
    /// - Parameter plaintext: 1 to ``DataKey/plaintextByteCountMax`` bytes.
    /// - Throws: ``KeyError`` with code `invalidArgument` (the number of bytes), `keyNotFound`,
    ///   `keyDisabled` or `unavailable`.
    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8]

    /// Unwraps a ciphertext, which itself names its key (KMS `Decrypt`).
    ///
    /// - Throws: ``KeyError`` with code `integrity` (damaged, forged, or another context),
    ///   `keyNotFound`, `keyDisabled`, `unsupportedVersion` (undamaged, in a form of the future)
    ///   or `unavailable`.
    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes

    /// Wraps the same plaintext again, under the newest material of a key and another context,
    /// without showing it (KMS `ReEncrypt`).
    ///
    /// The old ciphertext stays valid; forgetting it is up to the caller.
    ///
    /// - Throws: ``KeyError`` as ``decrypt(_:context:)`` and
    ///   ``generateDataKey(under:context:)``.
    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8]

    /// Whether a ciphertext is already under the newest material of that key, so that whoever
    /// rewraps what older material has wrapped can skip it.
    ///
    /// Looks at what a ciphertext shows without any key, whatever the state of the key: "true"
    /// does not say that it opens. A provider that cannot tell answers "false", which costs a
    /// needless ``reEncrypt(_:context:to:newContext:)``; that is what the default does.
    ///
    /// - Throws: ``KeyError`` with code `integrity` or `unsupportedVersion` (as
    ///   ``decrypt(_:context:)``), `keyNotFound` or `unavailable`.
    func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool
}

extension KeyProvider {
    /// Cannot tell: every ciphertext is worth rewrapping.
    public func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool { false }

    /// Unwraps a data key, and checks that it is one.
    ///
    /// - Throws: ``KeyError`` as ``decrypt(_:context:)``; code `integrity` also when the answer
    ///   is not ``DataKey/byteCount`` bytes.
    public func decryptDataKey(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        let plaintext = try await decrypt(wrapped, context: context)
        guard plaintext.byteCount == DataKey.byteCount else {
            throw KeyError(
                .integrity,
                "the key provider unwrapped \(plaintext.byteCount) bytes, not a data key")
        }
        return plaintext
    }
}
