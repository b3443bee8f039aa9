// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// The keys of a keyring as one principal may use them.
///
/// A call is allowed when a grant of its key allows the operation to the principal with the call's
/// context; otherwise code `accessDenied`. A key that does not exist gives the same answer as one
/// without a grant, so nobody finds out which keys there are, or in which state. What is allowed
/// is answered as the keyring answers it. The owner of the store uses the keyring itself, without
/// grants.
///
/// A value, safe to share between threads.
public struct GrantedKeys: KeyProvider {
    /// Who calls.
    public let principal: String

    private let current: @Sendable () -> Keyring

    /// Lets a principal use a keyring that changes.
    ///
    /// - Parameter current: Gives the keyring that is in force, at once. Each call of the provider
    ///   asks once, so what was allowed and what is done come from the same keyring, and a grant
    ///   that was revoked is void for the next call.
    /// - Throws: ``KeyError`` with code `invalidArgument` (the form of the principal).
    public init(
        principal: String, current: @escaping @Sendable () -> Keyring
    ) throws(KeyError) {
        try KeyGrant.checkPrincipal(principal)
        self.principal = principal
        self.current = current
    }

    /// As the keyring; needs `describeKey`.
    public func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        let keyring = current()
        try check(.describeKey, keyring.contents.find(key))
        return try await keyring.describeKey(key)
    }

    /// As the keyring; needs `generateDataKey` with that context.
    public func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        let keyring = current()
        try check(.generateDataKey, keyring.contents.find(key), context)
        return try await keyring.generateDataKey(under: key, context: context)
    }

    /// As the keyring; needs `generateDataKeyWithoutPlaintext` with that context.
    public func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        let keyring = current()
        try check(.generateDataKeyWithoutPlaintext, keyring.contents.find(key), context)
        return try await keyring.generateDataKeyWithoutPlaintext(under: key, context: context)
    }

    /// As the keyring; needs `encrypt` with that context.
    public func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        let keyring = current()
        try check(.encrypt, keyring.contents.find(key), context)
        return try await keyring.encrypt(plaintext, under: key, context: context)
    }

    /// As the keyring; needs `decrypt` with that context, of the key that the ciphertext names.
    public func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        let keyring = current()
        try check(.decrypt, keyring.key(of: wrapped), context)
        return try await keyring.decrypt(wrapped, context: context)
    }

    /// As the keyring; needs `reEncryptFrom` with the old context, of the key that the ciphertext
    /// names, and `reEncryptTo` with the new one.
    public func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        let keyring = current()
        try check(.reEncryptFrom, keyring.key(of: wrapped), context)
        try check(.reEncryptTo, keyring.contents.find(key), newContext)
        return try await keyring.reEncrypt(
            wrapped, context: context, to: key, newContext: newContext)
    }

    /// As the keyring; needs `describeKey`.
    public func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool {
        let keyring = current()
        try check(.describeKey, keyring.contents.find(key))
        return try await keyring.isCurrent(wrapped, under: key)
    }

    // MARK: -

    // Says nothing that depends on the key.
    private func check(
        _ operation: KeyOperation, _ key: CustomerKey?, _ context: EncryptionContext? = nil
    ) throws(KeyError) {
        let isAllowed = key?.grants.contains { $0.allows(operation, to: principal, with: context) }
        guard isAllowed == true else {
            throw KeyError(
                .accessDenied,
                "no grant allows \(operation) to \(principal) with this context, or there is no "
                    + "such key; ask its owner for a grant")
        }
    }
}
