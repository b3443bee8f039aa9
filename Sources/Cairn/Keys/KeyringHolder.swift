// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys
internal import CairnSegments
internal import Synchronization

/// The keyring of an open store: the file, and the keyring as it is now.
final class KeyringHolder: Sendable {
    private let disk: any Disk
    private let keyring: Mutex<Keyring>
    private let changing = Mutex(())

    init(_ keyring: Keyring, _ disk: any Disk) {
        self.disk = disk
        self.keyring = Mutex(keyring)
    }

    var current: Keyring { keyring.withLock { $0 } }

    /// Puts a successor in place, durably. Blocking; changes wait for each other.
    ///
    /// - Parameters:
    ///   - body: the successor; nil changes nothing.
    ///   - prepare: called when there is a successor, before it takes effect.
    func change<R: Sendable>(
        _ body: (Keyring) throws(KeyError) -> (successor: Keyring?, result: R),
        preparedBy prepare: (R) throws(StoreError) -> Void
    ) throws(StoreError) -> R {
        try changing.withLock { (_) throws(StoreError) in
            let now = current
            let (successor, result) = try lower(
                "changing the keyring", keys: { () throws(KeyError) in try body(now) })
            guard let successor else { return result }
            let bytes = try lower(
                "changing the keyring", keys: { () throws(KeyError) in try successor.encoded() })
            try prepare(result)
            // Before it is used: what it wraps must not be lost with the process.
            try lower(
                "writing the keyring",
                disk: { () throws(DiskError) in
                    try disk.replace(StoreFormat.keyring, with: bytes.span)
                })
            keyring.withLock { $0 = successor }
            return result
        }
    }
}

extension KeyringHolder: KeyProvider {
    func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await current.describeKey(key)
    }

    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await current.generateDataKey(under: key, context: context)
    }

    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await current.generateDataKeyWithoutPlaintext(under: key, context: context)
    }

    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await current.encrypt(plaintext, under: key, context: context)
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try await current.decrypt(wrapped, context: context)
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await current.reEncrypt(
            wrapped, context: context, to: key, newContext: newContext)
    }

    func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool {
        try await current.isCurrent(wrapped, under: key)
    }
}
