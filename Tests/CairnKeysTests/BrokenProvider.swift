// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import CairnTesting
import Synchronization

/// A keyring with one promise broken, to test the tests.
final class BrokenProvider: KeyProvider {
    enum Fault: CaseIterable, Sendable {
        case ignoresContexts, servesDisabledKeys, repeatsItself, fallsBackToAnotherKey
        case encryptsWithoutContext, encryptsWithDisabledKeys, encryptsUnderAnotherKey
        case cutsPlaintexts, takesNothingForPlaintext, takesAnyPlaintext, repeatsCiphertexts
        case showsPlaintexts
        case hidesWithDisabledKeys, hidesUnderAnotherKey, repeatsHiddenKeys, hidesShortKeys
        case callsAllCurrent, callsOtherKeysCurrent, callsUnknownKeysCurrent

        var brokenPromise: KeyProviderConformance {
            switch self {
            case .ignoresContexts, .encryptsWithoutContext: .bindsCiphertextsToTheirContext
            case .servesDisabledKeys, .encryptsWithDisabledKeys, .hidesWithDisabledKeys:
                .refusesDisabledKeys
            case .repeatsItself: .generatesFreshDataKeys
            case .fallsBackToAnotherKey, .encryptsUnderAnotherKey, .hidesUnderAnotherKey,
                .callsUnknownKeysCurrent:
                .refusesUnknownKeys
            case .cutsPlaintexts, .repeatsCiphertexts, .showsPlaintexts: .encryptsWhatItIsGiven
            case .takesNothingForPlaintext, .takesAnyPlaintext: .refusesPlaintextsOfWrongLength
            case .repeatsHiddenKeys, .hidesShortKeys: .generatesDataKeysUnseen
            case .callsAllCurrent, .callsOtherKeysCurrent: .tellsCurrentCiphertexts
            }
        }
    }

    let fault: Fault
    let keyring: Keyring
    /// The key that the suite works with.
    let key: KeyReference
    private let repeated = Mutex<(dataKey: DataKey?, wrapped: [UInt8]?)>((nil, nil))

    init(fault: Fault, keyring: Keyring, key: KeyReference) {
        self.fault = fault
        self.keyring = keyring
        self.key = key
    }

    func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await keyring.describeKey(key)
    }

    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        switch fault {
        case .ignoresContexts:
            return try await keyring.generateDataKey(under: key, context: EncryptionContext())
        case .fallsBackToAnotherKey:
            return try await keyring.generateDataKey(under: .default, context: context)
        case .repeatsItself:
            if let dataKey = repeated.withLock(\.dataKey) { return dataKey }
            let dataKey = try await keyring.generateDataKey(under: key, context: context)
            repeated.withLock { $0.dataKey = dataKey }
            return dataKey
        case .servesDisabledKeys:
            return try await enabled.generateDataKey(under: key, context: context)
        default:
            return try await keyring.generateDataKey(under: key, context: context)
        }
    }

    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        switch fault {
        case .hidesUnderAnotherKey:
            return try await keyring.generateDataKeyWithoutPlaintext(
                under: .default, context: context)
        case .hidesWithDisabledKeys:
            return try await enabled.generateDataKeyWithoutPlaintext(
                under: key, context: context)
        case .repeatsHiddenKeys:
            let plaintext = SecretBytes([UInt8](repeating: 7, count: DataKey.byteCount))
            return try await keyring.encrypt(plaintext, under: key, context: context)
        case .hidesShortKeys:
            let plaintext = SecretBytes.random(byteCount: 16, from: SystemRandom())
            return try await keyring.encrypt(plaintext, under: key, context: context)
        default:
            return try await keyring.generateDataKeyWithoutPlaintext(
                under: key, context: context)
        }
    }

    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        switch fault {
        case .encryptsWithoutContext:
            return try await keyring.encrypt(plaintext, under: key, context: EncryptionContext())
        case .encryptsWithDisabledKeys:
            return try await enabled.encrypt(plaintext, under: key, context: context)
        case .encryptsUnderAnotherKey:
            return try await keyring.encrypt(plaintext, under: .default, context: context)
        case .cutsPlaintexts:
            let start = SecretBytes(Array(plaintext.bytes.prefix(1024)))
            return try await keyring.encrypt(start, under: key, context: context)
        case .takesNothingForPlaintext where plaintext.byteCount == 0:
            return try await keyring.encrypt(SecretBytes([0]), under: key, context: context)
        case .takesAnyPlaintext where plaintext.byteCount > DataKey.plaintextByteCountMax:
            return try await keyring.encrypt(SecretBytes([0]), under: key, context: context)
        case .repeatsCiphertexts:
            if let wrapped = repeated.withLock(\.wrapped) { return wrapped }
            let wrapped = try await keyring.encrypt(plaintext, under: key, context: context)
            repeated.withLock { $0.wrapped = wrapped }
            return wrapped
        case .showsPlaintexts:
            return try await keyring.encrypt(plaintext, under: key, context: context)
                + plaintext.bytes
        default:
            return try await keyring.encrypt(plaintext, under: key, context: context)
        }
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        switch fault {
        case .ignoresContexts:
            return try await keyring.decrypt(wrapped, context: EncryptionContext())
        case .encryptsWithoutContext:
            if let plaintext = try? await keyring.decrypt(wrapped, context: EncryptionContext()) {
                return plaintext
            }
            return try await keyring.decrypt(wrapped, context: context)
        case .servesDisabledKeys:
            return try await enabled.decrypt(wrapped, context: context)
        case .showsPlaintexts:
            let byteCount = (try? RecordHeader(parsing: wrapped.span).recordByteCount) ?? 0
            return try await keyring.decrypt(
                Array(wrapped.prefix(byteCount)), context: context)
        default:
            return try await keyring.decrypt(wrapped, context: context)
        }
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await keyring.reEncrypt(wrapped, context: context, to: key, newContext: newContext)
    }

    func isCurrent(
        _ wrapped: [UInt8], under key: KeyReference
    ) async throws(KeyError) -> Bool {
        switch fault {
        case .callsAllCurrent:
            return true
        case .callsOtherKeysCurrent:
            for reference in keyring.keys.map({ KeyReference($0.id) }) {
                if try await keyring.isCurrent(wrapped, under: reference) { return true }
            }
            return false
        case .callsUnknownKeysCurrent:
            return try await keyring.isCurrent(wrapped, under: self.key)
        default:
            return try await keyring.isCurrent(wrapped, under: key)
        }
    }

    private var enabled: Keyring {
        get throws(KeyError) { try keyring.settingKey(key, isEnabled: true) }
    }
}
