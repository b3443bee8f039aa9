// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

/// A key provider each of whose calls is counted: those of a remote one are paid for.
struct MeteredKeyProvider: ForwardingKeyProvider {
    let base: any KeyProvider
    let metrics: KeyProviderMetrics

    func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await counting(.describeKey) { () throws(KeyError) in try await base.describeKey(key) }
    }

    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await counting(.generateDataKey) { () throws(KeyError) in
            try await base.generateDataKey(under: key, context: context)
        }
    }

    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await counting(.generateDataKeyWithoutPlaintext) { () throws(KeyError) in
            try await base.generateDataKeyWithoutPlaintext(under: key, context: context)
        }
    }

    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await counting(.encrypt) { () throws(KeyError) in
            try await base.encrypt(plaintext, under: key, context: context)
        }
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try await counting(.decrypt) { () throws(KeyError) in
            try await base.decrypt(wrapped, context: context)
        }
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await counting(.reEncrypt) { () throws(KeyError) in
            try await base.reEncrypt(wrapped, context: context, to: key, newContext: newContext)
        }
    }

    func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool {
        try await counting(.isCurrent) { () throws(KeyError) in
            try await base.isCurrent(wrapped, under: key)
        }
    }

    private func counting<R>(
        _ operation: KeyProviderMetrics.Operation, _ call: () async throws(KeyError) -> R
    ) async throws(KeyError) -> R {
        metrics.countCall(operation)
        do throws(KeyError) {
            return try await call()
        } catch {
            metrics.countFailure(operation)
            throw error
        }
    }
}
