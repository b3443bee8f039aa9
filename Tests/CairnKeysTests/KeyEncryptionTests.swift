// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct KeyEncryptionTests {
    private let context: EncryptionContext
    private let key: KeyReference

    init() throws {
        context = try EncryptionContext(["bucket": "b"])
        key = try KeyReference("alias/key")
    }

    private func makeKeyring(_ random: SeededRandom = SeededRandom(seed: 1)) throws -> Keyring {
        try ProtectionKind.keyFile.makeKeyring(random: random).addingKey(alias: key.text)
    }

    // MARK: - Salts

    @Test func `each of ten thousand wraps draws a salt of its own`() async throws {
        let random = SeededRandom(seed: 21)
        let keyring = try makeKeyring(random)
        let secret = SecretBytes([7])
        var drawCount = random.drawsOf32.count
        var ciphertexts: [[UInt8]] = []
        for _ in 0..<10_000 {
            ciphertexts.append(
                try await keyring.encrypt(secret, under: key, context: context))
        }
        let draws = random.drawsOf32
        #expect(draws.count == drawCount + ciphertexts.count)
        for wrapped in ciphertexts {
            #expect(Array(wrapped[Self.salt]) == draws[drawCount])
            drawCount += 1
        }
        #expect(Set(draws).count == draws.count)
    }

    @Test func `data keys and re-encryption draw salts as well`() async throws {
        let random = SeededRandom(seed: 22)
        let keyring = try makeKeyring(random)
        for _ in 0..<100 {
            let start = random.drawsOf32.count
            let dataKey = try await keyring.generateDataKey(under: key, context: context)
            let hidden = try await keyring.generateDataKeyWithoutPlaintext(
                under: key, context: context)
            let again = try await keyring.reEncrypt(
                hidden, context: context, to: .default, newContext: context)
            let draws = random.drawsOf32[start...].map { $0 }
            // A key and a salt, a key and a salt, a salt.
            #expect(draws.count == 5)
            #expect(dataKey.plaintext.bytes == draws[0])
            #expect(Array(dataKey.wrapped[Self.salt]) == draws[1])
            #expect(try await keyring.decrypt(hidden, context: context).bytes == draws[2])
            #expect(Array(hidden[Self.salt]) == draws[3])
            #expect(Array(again[Self.salt]) == draws[4])
        }
    }

    /// Where the salt of a record stands, as `Formats/Record.md` has it.
    private static let salt = 52..<84

    // MARK: - Lengths

    @Test func `a ciphertext is a record around its plaintext`() async throws {
        let keyring = try makeKeyring()
        for count in [1, 32, DataKey.plaintextByteCountMax] {
            let wrapped = try await keyring.encrypt(
                SecretBytes([UInt8](repeating: 1, count: count)), under: key, context: context)
            #expect(try RecordHeader(parsing: wrapped.span).plaintextByteCount == count)
            #expect(wrapped.count <= DataKey.wrappedByteCountMax)
        }
        let dataKey = try await keyring.generateDataKeyWithoutPlaintext(
            under: key, context: context)
        #expect(dataKey.count == 176)
    }

    @Test(arguments: [0, DataKey.plaintextByteCountMax + 1])
    func `a plaintext of another length is refused, whoever wraps it`(_ count: Int) async throws {
        let keyring = try makeKeyring()
        await #expect(throws: KeyError.with(.invalidArgument)) {
            try await keyring.encrypt(
                SecretBytes([UInt8](repeating: 1, count: count)), under: key, context: context)
        }
    }

    @Test func `bytes that are no data key open, and are not taken for one`() async throws {
        let keyring = try makeKeyring()
        let wrapped = try await keyring.encrypt(SecretBytes("pw"), under: key, context: context)
        #expect(try await keyring.decrypt(wrapped, context: context).bytes == Array("pw".utf8))
        await #expect(throws: KeyError.with(.integrity)) {
            try await keyring.decryptDataKey(wrapped, context: context)
        }
    }

    // MARK: - What is current

    @Test func `a ciphertext is current until its key is rotated, and again when rewrapped`()
        async throws
    {
        let keyring = try makeKeyring()
        let old = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        #expect(try await keyring.isCurrent(old, under: key))
        #expect(try await !keyring.isCurrent(old, under: .default))
        let rotated = try keyring.rotatingKey(key)
        #expect(try await !rotated.isCurrent(old, under: key))
        let new = try await rotated.reEncrypt(
            old, context: context, to: key, newContext: context)
        #expect(try await rotated.isCurrent(new, under: key))
        // An older copy of the keyring does not know that version.
        #expect(try await !keyring.isCurrent(new, under: key))
        // Material is not needed for the answer.
        for state in try [
            rotated.settingKey(key, isEnabled: false),
            rotated.schedulingDeletion(of: key, afterDays: 7),
        ] {
            #expect(try await state.isCurrent(new, under: key))
            #expect(try await !state.isCurrent(old, under: key))
        }
    }

    @Test func `what is no ciphertext, or another keyring's, is not current`() async throws {
        let keyring = try makeKeyring()
        let other = try makeKeyring(SeededRandom(seed: 2))
        let wrapped = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        #expect(try await !other.isCurrent(wrapped, under: key))
        for bytes in [[], [1], Array(wrapped.dropLast()), wrapped + [0]] {
            await #expect(throws: KeyError.with(.integrity)) {
                try await keyring.isCurrent(bytes, under: key)
            }
        }
        await #expect(throws: KeyError.with(.keyNotFound)) {
            try await keyring.isCurrent(wrapped, under: KeyReference("alias/unknown"))
        }
    }

    @Test func `a provider that cannot tell says that nothing is current`() async throws {
        let keyring = try makeKeyring()
        let wrapped = try await keyring.encrypt(SecretBytes("a"), under: key, context: context)
        #expect(try await !Forgetful(keyring: keyring).isCurrent(wrapped, under: key))
    }
}

/// A provider with nothing more than it has to have.
private struct Forgetful: KeyProvider {
    let keyring: Keyring

    func describeKey(_ key: KeyReference) async throws(KeyError) -> KeyDescription {
        try await keyring.describeKey(key)
    }

    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await keyring.generateDataKey(under: key, context: context)
    }

    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await keyring.generateDataKeyWithoutPlaintext(under: key, context: context)
    }

    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await keyring.encrypt(plaintext, under: key, context: context)
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        try await keyring.decrypt(wrapped, context: context)
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await keyring.reEncrypt(wrapped, context: context, to: key, newContext: newContext)
    }
}
