// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// A key provider that hands its calls on to another one.
///
/// For what stands in front of a provider, to record, count or limit its use: implement the calls
/// that differ.
public protocol ForwardingKeyProvider: KeyProvider {
    /// Serves the calls; asked once for each, when it comes in.
    var base: any KeyProvider { get }
}

extension ForwardingKeyProvider {
    /// As ``base``.
    public func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await base.describeKey(key)
    }

    /// As ``base``.
    public func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await base.generateDataKey(under: key, context: context)
    }

    /// As ``base``.
    public func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await base.generateDataKeyWithoutPlaintext(under: key, context: context)
    }

    /// As ``base``.
    public func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await base.encrypt(plaintext, under: key, context: context)
    }

    /// As ``base``.
    public func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try await base.decrypt(wrapped, context: context)
    }

    /// As ``base``.
    public func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await base.reEncrypt(wrapped, context: context, to: key, newContext: newContext)
    }

    /// As ``base``.
    public func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool {
        try await base.isCurrent(wrapped, under: key)
    }
}
