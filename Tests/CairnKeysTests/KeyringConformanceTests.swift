// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTesting
import Synchronization
import Testing

@Suite struct KeyringConformanceTests {
    @Test(arguments: KeyProviderConformance.allCases, ProtectionKind.allCases)
    func `the keyring keeps every promise of a key provider`(
        _ check: KeyProviderConformance, _ protection: ProtectionKind
    ) async throws {
        try await check.run(on: KeyringUnderTest(protection))
    }

    @Test(arguments: BrokenProvider.Fault.allCases)
    func `the suite finds a provider that breaks a promise`(
        _ fault: BrokenProvider.Fault
    ) async throws {
        let subject = try KeyringUnderTest(.keyFile, fault: fault)
        await #expect(throws: KeyProviderConformance.Failure.self) {
            try await fault.brokenPromise.run(on: subject)
        }
    }
}

/// A keyring that goes through its file at every change, as in a store.
private final class KeyringUnderTest: KeyProviderUnderTest {
    let key = KeyReference.default
    let otherKey: KeyReference?
    let unknownKey: KeyReference

    private let protection: ProtectionKind
    private let fault: BrokenProvider.Fault?
    private let keyring: Mutex<Keyring>

    init(_ protection: ProtectionKind, fault: BrokenProvider.Fault? = nil) throws {
        self.protection = protection
        self.fault = fault
        otherKey = try KeyReference("alias/other")
        unknownKey = try KeyReference("alias/unknown")
        keyring = Mutex(try protection.makeKeyring().addingKey(alias: "alias/other"))
    }

    var provider: any KeyProvider {
        let keyring = keyring.withLock { $0 }
        return fault.map { BrokenProvider(fault: $0, keyring: keyring) } ?? keyring
    }

    func rotateKey() async throws -> Bool {
        try change { try $0.rotatingKey(key) }
        return true
    }

    func setKeyEnabled(_ isEnabled: Bool) async throws -> Bool {
        try change { try $0.settingKey(key, isEnabled: isEnabled) }
        return true
    }

    private func change(_ body: (Keyring) throws -> Keyring) throws {
        try keyring.withLock { keyring in
            keyring = try protection.open(body(keyring).encoded())
        }
    }
}

/// A keyring with one promise broken, to test the tests.
final class BrokenProvider: KeyProvider {
    enum Fault: CaseIterable, Sendable {
        case ignoresContexts, servesDisabledKeys, repeatsItself, fallsBackToAnotherKey

        var brokenPromise: KeyProviderConformance {
            switch self {
            case .ignoresContexts: .bindsCiphertextsToTheirContext
            case .servesDisabledKeys: .refusesDisabledKeys
            case .repeatsItself: .generatesFreshDataKeys
            case .fallsBackToAnotherKey: .refusesUnknownKeys
            }
        }
    }

    let fault: Fault
    let keyring: Keyring
    private let repeated = Mutex<DataKey?>(nil)

    init(fault: Fault, keyring: Keyring) {
        self.fault = fault
        self.keyring = keyring
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
            if let dataKey = repeated.withLock({ $0 }) { return dataKey }
            let dataKey = try await keyring.generateDataKey(under: key, context: context)
            repeated.withLock { $0 = dataKey }
            return dataKey
        case .servesDisabledKeys:
            return try await enabled(key).generateDataKey(under: key, context: context)
        }
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        switch fault {
        case .ignoresContexts:
            try await keyring.decrypt(wrapped, context: EncryptionContext())
        case .servesDisabledKeys:
            try await enabled(.default).decrypt(wrapped, context: context)
        case .repeatsItself, .fallsBackToAnotherKey:
            try await keyring.decrypt(wrapped, context: context)
        }
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await keyring.reEncrypt(wrapped, context: context, to: key, newContext: newContext)
    }

    private func enabled(_ key: KeyReference) throws(KeyError) -> Keyring {
        try keyring.settingKey(key, isEnabled: true)
    }
}
