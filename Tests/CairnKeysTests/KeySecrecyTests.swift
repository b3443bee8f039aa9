// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct KeySecrecyTests {
    private static let passphrase = "correct horse battery staple"

    @Test func `nothing that can be printed shows a secret`() async throws {
        let random = SeededRandom(seed: 11)
        let keyring = try ProtectionKind.passphrase.makeKeyring(random: random)
        // The first draw is the salt, which is no secret; the second the key's material.
        let material = try #require(random.drawsOf32.dropFirst().first)
        let context = try EncryptionContext(["bucket": "b"])
        let dataKey = try await keyring.generateDataKey(under: .default, context: context)
        let secrets = [material, dataKey.plaintext.bytes, Array(Self.passphrase.utf8)]
        var values: [Any] = [
            keyring, try keyring.rotatingKey(.default), dataKey, dataKey.plaintext,
            ProtectionKind.passphrase.right, ProtectionKind.keyFile.right, context,
            PassphraseCost.standard, KeyReference.default,
            try await keyring.describeKey(.default),
        ]
        values += try await errors(of: keyring, dataKey, context)
        for value in values {
            for text in texts(of: value) {
                for secret in secrets {
                    #expect(!shows(text, secret), "\(type(of: value)) shows a secret")
                }
            }
        }
    }

    @Test func `nothing about labels and grants shows a secret`() async throws {
        let random = SeededRandom(seed: 13)
        let key = KeyReference.default
        let plain = try ProtectionKind.keyFile.makeKeyring(random: random)
        let material = try #require(random.drawsOf32.dropFirst().first)
        let keyring = try plain.decorating(key)
        let context = try EncryptionContext(["bucket": Self.contextValue])
        let secret = [UInt8](0xd0...0xef)
        let wrapped = try await keyring.encrypt(
            SecretBytes(secret), under: key, context: context)
        let bob = try keyring.acting(as: "user/bob")
        let grants = try keyring.grants(of: key)
        let versions = try keyring.versions(of: key)
        var values: [Any] = [
            keyring, bob, try GrantedKeys(principal: "user/ann") { keyring },
            try await bob.describeKey(key), try await bob.decrypt(wrapped, context: context),
            grants, versions, KeyOperation.allCases,
        ]
        values += grants.map(\.constraint)
        let errors = await refusals(of: keyring, wrapped, context)
        values += errors
        let secrets = [material, secret, [UInt8](repeating: 0x5a, count: 32)]
        for value in values {
            for text in texts(of: value) {
                for secret in secrets {
                    #expect(!shows(text, secret), "\(type(of: value)) shows a secret")
                }
            }
        }
        // A context is public, and yet nobody's but the caller's: not for logs of refusals.
        for error in errors {
            for text in texts(of: error) {
                #expect(!text.contains(Self.contextValue), "\(error) shows a context")
            }
        }
    }

    @Test func `a secret in a text would be noticed`() {
        let secret = [UInt8](1...32)
        for text in [
            "\(secret)", secret.map { String($0, radix: 16) }.joined(separator: " "),
            String(decoding: secret, as: UTF8.self), texts(of: secret).joined(),
            "0102030405060708090a0b0c0d0e0f10",
        ] {
            #expect(shows(text, secret))
        }
    }

    @Test func `the file shows no secret`() async throws {
        let random = SeededRandom(seed: 12)
        let plain = try ProtectionKind.passphrase.makeKeyring(random: random)
        let material = try #require(random.drawsOf32.dropFirst().first)
        let keyring = try plain.decorating(.default)
        let bytes = try keyring.encoded()
        // What is written about a key is sealed with it.
        let labels = ["team-a@example.com", "user/ann", "all:of/it"].map { Array($0.utf8) }
        for secret in [material, Array(Self.passphrase.utf8)] + labels {
            for start in 0...secret.count - 8 {
                let piece = Array(secret[start..<start + 8])
                #expect(!contains(bytes, piece))
            }
        }
    }

    // MARK: -

    private static let contextValue = "value of the context"

    /// An error of every call that looks at keys, contexts and grants.
    private func refusals(
        of keyring: Keyring, _ wrapped: [UInt8], _ context: EncryptionContext
    ) async -> [any Error] {
        let key = KeyReference.default
        let calls: [() async throws -> Void] = [
            { _ = try await keyring.decrypt(wrapped, context: EncryptionContext()) },
            {
                _ = try await keyring.encrypt(
                    SecretBytes([UInt8](0...255) + [UInt8](repeating: 0x5a, count: 5000)),
                    under: key, context: context)
            },
            { _ = try await keyring.isCurrent(Array(wrapped.dropLast()), under: key) },
            { _ = try await keyring.acting(as: "eve").describeKey(key) },
            { _ = try await keyring.acting(as: "eve").decrypt(wrapped, context: context) },
            {
                _ = try await keyring.acting(as: "eve").encrypt(
                    SecretBytes([1]), under: key, context: context)
            },
            {
                _ = try await keyring.acting(as: "user/ann").reEncrypt(
                    wrapped, context: context, to: key, newContext: context)
            },
            {
                _ = try keyring.addingGrant(
                    to: key, granteePrincipal: "a b", operations: [.decrypt],
                    constraint: .contextEquals(context))
            },
            { _ = try keyring.retiringGrant("", by: "eve") },
            { _ = try keyring.revokingGrant("", of: key) },
            { _ = try keyring.taggingKey(key, with: ["cairn:a": ""]) },
            { _ = try keyring.settingKey(key, isEnabled: false) },
        ]
        var errors: [any Error] = []
        for call in calls {
            do { try await call() } catch { errors.append(error) }
        }
        #expect(errors.count == calls.count)
        return errors
    }

    private func errors(
        of keyring: Keyring, _ dataKey: DataKey, _ context: EncryptionContext
    ) async throws -> [any Error] {
        var errors: [any Error] = []
        var damaged = dataKey.wrapped
        damaged[damaged.count / 2] ^= 1
        for (wrapped, context) in [
            (dataKey.wrapped, EncryptionContext()), (damaged, context), ([], context),
        ] {
            do {
                _ = try await keyring.decrypt(wrapped, context: context)
            } catch {
                errors.append(error)
            }
        }
        let file = try keyring.encoded()
        for (file, protection) in [
            (file, ProtectionKind.passphrase.wrong), (file, ProtectionKind.keyFile.right),
            (file.dropLast(), ProtectionKind.passphrase.right),
        ] {
            do {
                _ = try Keyring(
                    decoding: Array(file), protection: protection, random: SeededRandom(seed: 1),
                    clock: FixedClock())
            } catch {
                errors.append(error)
            }
        }
        #expect(errors.count == 6)
        return errors
    }

    private func texts(of value: Any) -> [String] {
        var dumped = ""
        dump(value, to: &dumped)
        return ["\(value)", String(reflecting: value), dumped, mirrored(value, depth: 12)]
    }

    private func mirrored(_ value: Any, depth: Int) -> String {
        guard depth > 0 else { return "" }
        let mirror = Mirror(reflecting: value)
        let children = mirror.children.map { mirrored($0.value, depth: depth - 1) }
        let parent = mirror.superclassMirror.map { "\($0)" } ?? ""
        return "\(value) \(parent) \(children.joined(separator: " "))"
    }

    /// Looks for eight bytes of the secret as text, as hexadecimal digits and as numbers.
    private func shows(_ text: String, _ secret: [UInt8]) -> Bool {
        let numbers = numbers(in: text)
        let hexadecimal = Array(text.lowercased().utf8.filter(isHexadecimalDigit))
        return (0...secret.count - 8).contains { start in
            let piece = Array(secret[start..<start + 8])
            return contains(Array(text.utf8), piece) || contains(numbers, piece.map(Int.init))
                || contains(hexadecimal, digits(of: piece, width: 2))
                || contains(hexadecimal, digits(of: piece, width: 1))
        }
    }

    private func numbers(in text: String) -> [Int] {
        text.utf8.split { !(0x30...0x39).contains($0) }
            .compactMap { Int(String(decoding: $0, as: UTF8.self)) }
    }

    private func isHexadecimalDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    private func digits(of bytes: [UInt8], width: Int) -> [UInt8] {
        bytes.flatMap { byte in
            let digits = String(byte, radix: 16)
            return Array((digits.count < width ? "0" + digits : digits).utf8)
        }
    }

    private func contains<Element: Equatable>(_ all: [Element], _ piece: [Element]) -> Bool {
        guard all.count >= piece.count else { return false }
        return (0...all.count - piece.count).contains { start in
            all[start..<start + piece.count].elementsEqual(piece)
        }
    }
}
