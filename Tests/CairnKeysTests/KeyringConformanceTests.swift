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

    @Test(arguments: KeyProviderConformance.allCases)
    func `a provider that hands its calls on keeps what the other promises`(
        _ check: KeyProviderConformance
    ) async throws {
        try await check.run(on: KeyringUnderTest(.keyFile, isForwarded: true))
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
    let key: KeyReference
    let otherKey: KeyReference?
    let unknownKey: KeyReference

    private let protection: ProtectionKind
    private let fault: BrokenProvider.Fault?
    private let isForwarded: Bool
    private let keyring: Mutex<Keyring>

    init(
        _ protection: ProtectionKind, fault: BrokenProvider.Fault? = nil,
        isForwarded: Bool = false
    ) throws {
        self.protection = protection
        self.isForwarded = isForwarded
        self.fault = fault
        // Not the default key, which cannot be disabled.
        key = try KeyReference("alias/tested")
        otherKey = try KeyReference("alias/other")
        unknownKey = try KeyReference("alias/unknown")
        keyring = Mutex(
            try protection.makeKeyring().addingKey(alias: "alias/tested")
                .addingKey(alias: "alias/other"))
    }

    var provider: any KeyProvider {
        let keyring = keyring.withLock { $0 }
        if isForwarded { return Forwarder(base: keyring) }
        return fault.map { BrokenProvider(fault: $0, keyring: keyring, key: key) } ?? keyring
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

/// Nothing but what the protocol brings.
private struct Forwarder: ForwardingKeyProvider {
    let base: any KeyProvider
}
