// Part of Cairn, a content-addressed blob store.
import CairnKeys
import CairnPKCS11
import CairnTesting
import Testing

extension SoftHSMTests {
    @Suite struct ConformanceTests {
        @Test(arguments: KeyProviderConformance.allCases)
        func `a token keeps every promise of a key provider`(
            _ check: KeyProviderConformance
        ) async throws {
            try await withProvider { _, provider in
                try await provider.createKey(alias: "alias/other")
                try await check.run(on: ProviderUnderTest(real: provider))
            }
        }
    }
}

private struct ProviderUnderTest: KeyProviderUnderTest {
    let real: PKCS11KeyProvider
    let key = KeyReference.default
    var provider: any KeyProvider { real }
    var otherKey: KeyReference? { try? KeyReference("alias/other") }
    var unknownKey: KeyReference {
        get { (try? KeyReference("alias/unknown")) ?? .default }
    }

    func rotateKey() async throws -> Bool {
        try await real.rotateKey(key)
        return true
    }

    func setKeyEnabled(_ isEnabled: Bool) async throws -> Bool {
        try await real.setKey(key, isEnabled: isEnabled)
        return true
    }
}
