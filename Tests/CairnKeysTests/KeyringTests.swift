// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct KeyringTests {
    private let context: EncryptionContext

    init() throws {
        context = try EncryptionContext(["store": "5a", "bucket": "b", "generation": "1"])
    }

    @Test func `a new keyring has one enabled key under the default alias`() async throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring()
        let description = try await keyring.describeKey(.default)
        #expect(keyring.keys == [description])
        #expect(description.aliases == ["alias/cairn/default"])
        #expect(description.state == .enabled)
        #expect(description.createdAt == FixedClock().time)
        #expect(description.deletionDate == nil)
        #expect(description.id.text.utf8.count == 36)
        #expect(keyring.revision == 1)
    }

    @Test(arguments: ProtectionKind.allCases)
    func `a keyring survives its file`(_ protection: ProtectionKind) async throws {
        let keyring = try protection.makeKeyring().addingKey(alias: "alias/b")
            .rotatingKey(.default).settingKey(KeyReference("alias/b"), isEnabled: false)
        let dataKey = try await keyring.generateDataKey(under: .default, context: context)
        let opened = try protection.open(keyring.encoded())
        #expect(opened.id == keyring.id)
        #expect(opened.revision == 4)
        #expect(opened.keys == keyring.keys)
        #expect(opened.keys.map(\.state) == [.enabled, .disabled])
        let plaintext = try await opened.decryptDataKey(dataKey.wrapped, context: context)
        #expect(plaintext.bytes == dataKey.plaintext.bytes)
    }

    @Test func `a keyring can be written again without its passphrase`() throws {
        let keyring = try ProtectionKind.passphrase.makeKeyring()
        let opened = try ProtectionKind.passphrase.open(keyring.encoded())
        let again = try opened.encoded()
        #expect(try again != keyring.encoded())
        #expect(try ProtectionKind.passphrase.open(again).keys == keyring.keys)
    }

    @Test(arguments: ProtectionKind.allCases)
    func `a wrong passphrase or key file is told from damage`(
        _ protection: ProtectionKind
    ) throws {
        let bytes = try protection.makeKeyring().encoded()
        let others =
            ProtectionKind.allCases.map(\.wrong)
            + ProtectionKind.allCases.filter { $0 != protection }.map(\.right)
        for other in others {
            #expect(throws: KeyError.with(.wrongPassphrase)) {
                try Keyring(
                    decoding: bytes, protection: other, random: SeededRandom(seed: 3),
                    clock: FixedClock())
            }
        }
    }

    @Test(arguments: [
        KeyringProtection.passphrase(SecretBytes("")),
        .passphrase(SecretBytes([UInt8](repeating: 0x61, count: 1025))),
        .keyFile(SecretBytes([UInt8](repeating: 1, count: 31))),
        .keyFile(SecretBytes([UInt8](repeating: 1, count: 33))),
    ])
    func `a passphrase or key file of another form is refused`(
        _ protection: KeyringProtection
    ) throws {
        #expect(throws: KeyError.with(.invalidArgument)) {
            try Keyring.create(
                protection: protection, random: SeededRandom(seed: 1), clock: FixedClock(),
                scrypt: .tiny)
        }
    }

    @Test func `another protection shuts the old one out of the new file`() throws {
        let keyring = try ProtectionKind.passphrase.makeKeyring()
        let changed = try keyring.protected(by: ProtectionKind.keyFile.right)
        let bytes = try changed.encoded()
        #expect(throws: KeyError.with(.wrongPassphrase)) {
            try ProtectionKind.passphrase.open(bytes)
        }
        let opened = try ProtectionKind.keyFile.open(bytes)
        #expect(opened.keys == keyring.keys)
        #expect(opened.id == keyring.id)
        #expect(opened.revision == keyring.revision + 1)
    }

    @Test func `a change leaves the keyring it was made from alone`() async throws {
        let key = try KeyReference("alias/b")
        let keyring = try ProtectionKind.keyFile.makeKeyring().addingKey(alias: key.text)
        let disabled = try keyring.settingKey(key, isEnabled: false)
        _ = try await keyring.generateDataKey(under: key, context: context)
        await #expect(throws: KeyError.with(.keyDisabled)) {
            try await disabled.generateDataKey(under: key, context: context)
        }
        #expect(keyring.revision == 2)
        #expect(disabled.revision == 3)
    }

    @Test func `an impossible change is refused`() throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.addingKey(alias: KeyReference.defaultAlias)
        }
        #expect(throws: KeyError.with(.invalidArgument)) { try keyring.addingKey(alias: "b") }
        #expect(throws: KeyError.with(.keyNotFound)) {
            try keyring.rotatingKey(KeyReference("alias/b"))
        }
        #expect(throws: KeyError.with(.keyDisabled)) {
            let key = try KeyReference("alias/b")
            _ = try keyring.addingKey(alias: key.text).settingKey(key, isEnabled: false)
                .rotatingKey(key)
        }
    }

    @Test func `the key that the store itself needs cannot be disabled`() async throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring()
            .addingAlias("alias/b", to: .default)
        let id = try await keyring.describeKey(.default).id
        for reference in [.default, KeyReference(id), try KeyReference("alias/b")] {
            let error = try #require(throws: KeyError.self) {
                try keyring.settingKey(reference, isEnabled: false)
            }
            #expect(error.code == .invalidArgument)
            #expect(error.message.contains("could not be opened again"))
        }
        #expect(try keyring.settingKey(.default, isEnabled: true).keys == keyring.keys)
    }

    @Test func `a ciphertext of another keyring names a key that is not here`() async throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring(random: SeededRandom(seed: 1))
        let other = try ProtectionKind.keyFile.makeKeyring(random: SeededRandom(seed: 2))
        let dataKey = try await other.generateDataKey(under: .default, context: context)
        await #expect(throws: KeyError.with(.keyNotFound)) {
            try await keyring.decrypt(dataKey.wrapped, context: context)
        }
    }

    @Test func `an older copy of the keyring is noticed`() async throws {
        let old = try ProtectionKind.keyFile.makeKeyring()
        let new = try old.rotatingKey(.default)
        let dataKey = try await new.generateDataKey(under: .default, context: context)
        #expect(old.id == new.id)
        #expect(old.revision < new.revision)
        await #expect(throws: KeyError.with(.integrity)) {
            try await old.decrypt(dataKey.wrapped, context: context)
        }
    }

    @Test func `two changes of the same keyring do not open each other's ciphertexts`()
        async throws
    {
        let parent = try ProtectionKind.keyFile.makeKeyring()
        let left = try parent.rotatingKey(.default)
        let right = try parent.rotatingKey(.default)
        let dataKey = try await left.generateDataKey(under: .default, context: context)
        await #expect(throws: KeyError.with(.integrity)) {
            try await right.decrypt(dataKey.wrapped, context: context)
        }
    }

    @Test func `an id written in another way names no key`() async throws {
        let keyring = try ProtectionKind.keyFile.makeKeyring()
        let id = try await keyring.describeKey(.default).id.text
        for text in [id.uppercased(), id.filter { $0 != "-" }, id + "-", "-" + id.dropLast()] {
            await #expect(throws: KeyError.with(.keyNotFound), "\(text)") {
                try await keyring.describeKey(KeyReference(text))
            }
        }
    }

    @Test func `an answer that is no data key is refused`() {
        #expect(throws: KeyError.with(.integrity)) {
            try DataKey(
                plaintext: SecretBytes([UInt8](repeating: 1, count: 31)), wrapped: [1],
                keyID: KeyID("a"))
        }
        for count in [0, DataKey.wrappedByteCountMax + 1] {
            #expect(throws: KeyError.with(.integrity)) {
                try DataKey(
                    plaintext: SecretBytes([UInt8](repeating: 1, count: 32)),
                    wrapped: [UInt8](repeating: 0, count: count), keyID: KeyID("a"))
            }
        }
    }

    @Test func `the standard cost is within the limits`() throws {
        #expect(try PassphraseCost(log2N: 17, r: 8, p: 1) == .standard)
    }
}
