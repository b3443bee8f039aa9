// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import CairnTesting
import Synchronization
import Testing

/// What grants allow, and what they do not.
@Suite struct GrantedKeysTests {
    private let key: KeyReference
    private let other: KeyReference
    private let unknown: KeyReference
    private let context: EncryptionContext

    init() throws {
        key = try KeyReference("alias/granted")
        other = try KeyReference("alias/other")
        unknown = try KeyReference("alias/unknown")
        context = try EncryptionContext(["bucket": "b", "purpose": "data"])
    }

    private func makeKeyring() throws -> Keyring {
        try ProtectionKind.keyFile.makeKeyring().addingKey(alias: key.text)
            .addingKey(alias: other.text)
    }

    private func granting(
        _ operations: Set<KeyOperation>, _ constraint: KeyGrant.Constraint = .none
    ) throws -> Keyring {
        try makeKeyring().addingGrant(
            to: key, granteePrincipal: "ann", operations: operations, constraint: constraint
        ).keyring
    }

    /// One call for each operation that a provider has, with what it needs to be allowed.
    private func calls(
        under key: KeyReference, context: EncryptionContext, _ wrapped: [UInt8]
    ) -> [(needs: KeyOperation, call: @Sendable (any KeyProvider) async throws -> Void)] {
        [
            (.describeKey, { _ = try await $0.describeKey(key) }),
            (.describeKey, { _ = try await $0.isCurrent(wrapped, under: key) }),
            (.generateDataKey, { _ = try await $0.generateDataKey(under: key, context: context) }),
            (
                .generateDataKeyWithoutPlaintext,
                { _ = try await $0.generateDataKeyWithoutPlaintext(under: key, context: context) }
            ),
            (
                .encrypt,
                { _ = try await $0.encrypt(SecretBytes([1]), under: key, context: context) }
            ),
            (.decrypt, { _ = try await $0.decrypt(wrapped, context: context) }),
        ]
    }

    // MARK: - Operations

    @Test(arguments: KeyOperation.allCases)
    func `a grant allows what it names and nothing else`(_ granted: KeyOperation) async throws {
        let keyring = try granting([granted])
        let wrapped = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        let ann = try keyring.acting(as: "ann")
        for (needs, call) in calls(under: key, context: context, wrapped) {
            if needs == granted {
                try await call(ann)
            } else {
                await #expect(throws: KeyError.with(.accessDenied)) { try await call(ann) }
            }
        }
        await #expect(throws: KeyError.with(.accessDenied)) {
            try await ann.reEncrypt(wrapped, context: context, to: key, newContext: context)
        }
    }

    @Test func `re-encryption needs a grant of both keys, each with its own context`()
        async throws
    {
        let old = context
        let new = try EncryptionContext(["bucket": "c"])
        let start = try makeKeyring()
        let wrapped = try await start.encrypt(SecretBytes("a"), under: key, context: old)
        for (from, to, isAllowed) in [
            (old, new, true), (new, new, false), (old, old, false), (new, old, false),
        ] {
            let keyring = try start.addingGrant(
                to: key, granteePrincipal: "ann", operations: [.reEncryptFrom],
                constraint: .contextEquals(from)
            ).keyring.addingGrant(
                to: other, granteePrincipal: "ann", operations: [.reEncryptTo],
                constraint: .contextEquals(to)
            ).keyring
            let ann = try keyring.acting(as: "ann")
            if isAllowed {
                let again = try await ann.reEncrypt(
                    wrapped, context: old, to: other, newContext: new)
                #expect(try await keyring.decrypt(again, context: new).bytes == Array("a".utf8))
                await #expect(throws: KeyError.with(.accessDenied)) {
                    try await ann.reEncrypt(again, context: new, to: key, newContext: old)
                }
            } else {
                await #expect(throws: KeyError.with(.accessDenied)) {
                    try await ann.reEncrypt(wrapped, context: old, to: other, newContext: new)
                }
            }
        }
    }

    @Test func `a grant is for its principal and its key alone`() async throws {
        let keyring = try granting(Set(KeyOperation.allCases))
        let own = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        let foreign = try await keyring.encrypt(SecretBytes("a"), under: other, context: context)
        let ann = try keyring.acting(as: "ann")
        for (_, call) in calls(under: key, context: context, own) {
            try await call(ann)
            for name in ["Ann", "an", "anne", "root"] {
                let stranger = try keyring.acting(as: name)
                await #expect(throws: KeyError.with(.accessDenied)) { try await call(stranger) }
            }
        }
        for (_, call) in calls(under: other, context: context, foreign) {
            await #expect(throws: KeyError.with(.accessDenied)) { try await call(ann) }
        }
    }

    @Test func `the owner needs no grant`() async throws {
        let keyring = try makeKeyring()
        let wrapped = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        for (_, call) in calls(under: key, context: context, wrapped) { try await call(keyring) }
    }

    // MARK: - Constraints

    @Test(arguments: [
        (["bucket": "b", "purpose": "data"], true, true),
        (["bucket": "b", "purpose": "data", "more": ""], false, true),
        (["bucket": "b"], false, false),
        (["bucket": "b", "purpose": "Data"], false, false),
        (["bucket": "b", "Purpose": "data"], false, false),
        (["bucket": "data", "purpose": "b"], false, false),
        ([:], false, false),
    ])
    func `a constraint decides by the pairs of the context`(
        _ pairs: [String: String], _ equals: Bool, _ holds: Bool
    ) async throws {
        let called = try EncryptionContext(pairs)
        for (constraint, isAllowed) in [
            (KeyGrant.Constraint.none, true), (.contextEquals(context), equals),
            (.contextSubset(context), holds), (.contextSubset(EncryptionContext()), true),
            (.contextEquals(EncryptionContext()), pairs.isEmpty),
        ] {
            let keyring = try granting(Set(KeyOperation.allCases), constraint)
            let ann = try keyring.acting(as: "ann")
            let wrapped = try await keyring.encrypt(SecretBytes("a"), under: key, context: called)
            for (needs, call) in calls(under: key, context: called, wrapped) {
                // There is no context to compare.
                if isAllowed || needs == .describeKey {
                    try await call(ann)
                } else {
                    await #expect(throws: KeyError.with(.accessDenied)) { try await call(ann) }
                }
            }
        }
    }

    @Test func `text that Unicode calls equal is outside a constraint`() async throws {
        let composed = try EncryptionContext(["a": "\u{e9}"])
        let decomposed = try EncryptionContext(["a": "e\u{301}"])
        for constraint in [
            KeyGrant.Constraint.contextEquals(composed), .contextSubset(composed),
        ] {
            let ann = try granting([.encrypt], constraint).acting(as: "ann")
            _ = try await ann.encrypt(SecretBytes("a"), under: key, context: composed)
            await #expect(throws: KeyError.with(.accessDenied)) {
                try await ann.encrypt(SecretBytes("a"), under: key, context: decomposed)
            }
        }
    }

    @Test func `one grant of many is enough, and they do not add up`() async throws {
        let one = try EncryptionContext(["a": "1"])
        let two = try EncryptionContext(["b": "2"])
        let keyring = try makeKeyring()
            .addingGrant(
                to: key, granteePrincipal: "ann", operations: [.encrypt],
                constraint: .contextEquals(one)
            ).keyring
            .addingGrant(
                to: key, granteePrincipal: "ann", operations: [.decrypt],
                constraint: .contextEquals(two)
            ).keyring
        let ann = try keyring.acting(as: "ann")
        let wrapped = try await ann.encrypt(SecretBytes("a"), under: key, context: one)
        await #expect(throws: KeyError.with(.accessDenied)) {
            try await ann.decrypt(wrapped, context: one)
        }
        await #expect(throws: KeyError.with(.accessDenied)) {
            try await ann.encrypt(SecretBytes("a"), under: key, context: two)
        }
        // Allowed, and then refused by the ciphertext itself.
        await #expect(throws: KeyError.with(.integrity)) {
            try await ann.decrypt(wrapped, context: two)
        }
    }

    // MARK: - Probing

    @Test func `a key without a grant and no key at all cannot be told apart`() async throws {
        let foreign = try ProtectionKind.keyFile.makeKeyring(random: SeededRandom(seed: 9))
            .addingKey(alias: key.text)
        let enabled = try granting(Set(KeyOperation.allCases))
        let disabled = try enabled.settingKey(other, isEnabled: false)
        let doomed = try enabled.schedulingDeletion(of: other, afterDays: 7)
        let hidden = try await enabled.encrypt(SecretBytes("a"), under: other, context: context)
        let none = try await foreign.encrypt(SecretBytes("a"), under: key, context: context)
        var texts: [KeyOperation: Set<String>] = [:]
        for keyring in [enabled, disabled, doomed] {
            let ann = try keyring.acting(as: "ann")
            for (reference, wrapped) in [(other, hidden), (unknown, none)] {
                for (needs, call) in calls(under: reference, context: context, wrapped) {
                    let error = await #expect(throws: KeyError.self) { try await call(ann) }
                    texts[needs, default: []].insert(error?.description ?? "")
                }
                let error = await #expect(throws: KeyError.self) {
                    try await ann.reEncrypt(
                        wrapped, context: context, to: key, newContext: context)
                }
                texts[.reEncryptFrom, default: []].insert(error?.description ?? "")
            }
        }
        #expect(texts.count == 6)
        for (operation, texts) in texts {
            #expect(texts.count == 1, "\(operation): \(texts)")
            #expect(texts.allSatisfy { $0.hasPrefix("accessDenied: ") })
        }
    }

    @Test func `what is no ciphertext is told as such, whoever asks`() async throws {
        let ann = try granting([.decrypt]).acting(as: "ann")
        let nobody = try granting([.decrypt]).acting(as: "nobody")
        for provider in [ann, nobody] {
            await #expect(throws: KeyError.with(.integrity)) {
                try await provider.decrypt([1, 2, 3], context: context)
            }
        }
    }

    // MARK: - Change

    @Test func `what is granted or revoked counts for the next call`() async throws {
        let start = try makeKeyring()
        let held = Mutex(start)
        let ann = try GrantedKeys(principal: "ann") { held.withLock { $0 } }
        await #expect(throws: KeyError.with(.accessDenied)) { try await ann.describeKey(key) }
        let (granted, grant) = try start.addingGrant(
            to: key, granteePrincipal: "ann", operations: [.describeKey])
        held.withLock { $0 = granted }
        #expect(try await ann.describeKey(key).aliases == [key.text])
        // A keyring that was handed out keeps its grants.
        let snapshot = try granted.acting(as: "ann")
        let revoked = try granted.revokingGrant(grant.id, of: key)
        held.withLock { $0 = revoked }
        await #expect(throws: KeyError.with(.accessDenied)) { try await ann.describeKey(key) }
        _ = try await snapshot.describeKey(key)
    }

    @Test func `a grant goes by the key, not by the alias it was made through`() async throws {
        let keyring = try granting([.describeKey]).addingAlias("alias/second", to: key)
            .movingAlias(key.text, to: other)
        let ann = try keyring.acting(as: "ann")
        _ = try await ann.describeKey(KeyReference("alias/second"))
        await #expect(throws: KeyError.with(.accessDenied)) { try await ann.describeKey(key) }
    }

    @Test func `a grant does not make a disabled key usable`() async throws {
        let keyring = try granting(Set(KeyOperation.allCases))
        let wrapped = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        let ann = try keyring.settingKey(key, isEnabled: false).acting(as: "ann")
        for (needs, call) in calls(under: key, context: context, wrapped) {
            if needs == .describeKey {
                try await call(ann)
            } else {
                await #expect(throws: KeyError.with(.keyDisabled)) { try await call(ann) }
            }
        }
    }

    // Whoever is granted everything has a key provider like any other, but for its answer to keys
    // that it may not know of.
    @Test(arguments: KeyProviderConformance.allCases.filter { $0 != .refusesUnknownKeys })
    func `granted keys keep the promises of a key provider`(
        _ check: KeyProviderConformance
    ) async throws {
        try await check.run(on: GrantedKeysUnderTest(key: key, otherKey: other))
    }
}

private final class GrantedKeysUnderTest: KeyProviderUnderTest {
    let key: KeyReference
    let otherKey: KeyReference?
    let unknownKey: KeyReference
    private let keyring: Mutex<Keyring>

    init(key: KeyReference, otherKey: KeyReference) throws {
        self.key = key
        self.otherKey = otherKey
        unknownKey = try KeyReference("alias/unknown")
        var keyring = try ProtectionKind.keyFile.makeKeyring()
        for reference in [key, otherKey] {
            keyring = try keyring.addingKey(alias: reference.text).addingGrant(
                to: reference, granteePrincipal: "ann", operations: Set(KeyOperation.allCases)
            ).keyring
        }
        self.keyring = Mutex(keyring)
    }

    var provider: any KeyProvider {
        get async throws {
            try GrantedKeys(principal: "ann") { [self] in keyring.withLock { $0 } }
        }
    }

    func rotateKey() async throws -> Bool {
        try keyring.withLock { $0 = try $0.rotatingKey(key) }
        return true
    }

    func setKeyEnabled(_ isEnabled: Bool) async throws -> Bool {
        try keyring.withLock { $0 = try $0.settingKey(key, isEnabled: isEnabled) }
        return true
    }
}
