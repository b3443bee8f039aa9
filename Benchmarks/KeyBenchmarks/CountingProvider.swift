// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnKeys
import Synchronization

/// A provider that is not the store's own, and counts what it is asked.
final class CountingProvider: KeyProvider {
    private let keyring: Keyring
    private let count = Atomic(0)

    init() throws {
        keyring = try Keyring.create(
            protection: .keyFile(.random(byteCount: 32, from: SystemRandom())),
            random: SystemRandom(), clock: SystemClock())
    }

    var callCount: Int { count.load(ordering: .relaxed) }

    private var counted: Keyring {
        count.add(1, ordering: .relaxed)
        return keyring
    }

    func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await counted.describeKey(key)
    }

    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await counted.generateDataKey(under: key, context: context)
    }

    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await counted.generateDataKeyWithoutPlaintext(under: key, context: context)
    }

    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await counted.encrypt(plaintext, under: key, context: context)
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try await counted.decrypt(wrapped, context: context)
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await counted.reEncrypt(wrapped, context: context, to: key, newContext: newContext)
    }
}
