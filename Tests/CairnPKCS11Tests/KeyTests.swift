// Part of Cairn, a content-addressed blob store.
import CPKCS11
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@testable import CairnPKCS11

extension SoftHSMTests {
    @Suite struct KeyTests {
        private let context: EncryptionContext
        private let other: KeyReference

        init() throws {
            context = try EncryptionContext(["bucket": "5a"])
            other = try KeyReference("alias/other")
        }

        @Test func `keys, states, dates and aliases survive closing and reopening`() async throws {
            let token = try await SoftToken()
            var configuration = token.configuration()
            configuration.clock = ManualClock()
            let (before, dataKey) = try await withProvider(on: configuration) { provider in
                try await provider.createKey(alias: KeyReference.defaultAlias)
                try await provider.createKey(alias: other.text)
                try await provider.addAlias("alias/second-name", to: .default)
                let dataKey = try await provider.generateDataKey(under: .default, context: context)
                try await provider.rotateKey(.default)
                try await provider.setKey(other, isEnabled: false)
                return (try await provider.keys(), dataKey)
            }
            try await withProvider(on: token.configuration()) { provider in
                #expect(try await provider.keys() == before)
                #expect(before.map(\.createdAt) == [ManualClock().now(), ManualClock().now()])
                let description = try await provider.describeKey(.default)
                #expect(description.aliases == [KeyReference.defaultAlias, "alias/second-name"])
                #expect(try await provider.describeKey(other).state == .disabled)
                let plaintext = try await provider.decrypt(dataKey.wrapped, context: context)
                #expect(plaintext.bytes == dataKey.plaintext.bytes)
            }
        }

        @Test(arguments: [false, true])
        func `what one provider changes another one sees at its next call`(
            _ isOtherProcess: Bool
        ) async throws {
            try await withProvider { token, first in
                let library =
                    isOtherProcess ? try token.copyLibrary() : SoftHSM.libraryPath
                try await withProvider(on: token.configuration(library: library)) { second in
                    let dataKey = try await first.generateDataKey(
                        under: .default, context: context)
                    _ = try await second.decrypt(dataKey.wrapped, context: context)

                    try await first.setKey(.default, isEnabled: false)
                    await #expect(throws: KeyError.with(.keyDisabled)) {
                        try await second.decrypt(dataKey.wrapped, context: context)
                    }
                    try await second.setKey(.default, isEnabled: true)
                    _ = try await first.decrypt(dataKey.wrapped, context: context)

                    try await second.rotateKey(.default)
                    let newer = try await first.generateDataKey(under: .default, context: context)
                    #expect(try TokenCiphertext(decoding: newer.wrapped).materialVersion == 2)
                    _ = try await second.decrypt(newer.wrapped, context: context)

                    try await first.createKey(alias: other.text)
                    #expect(
                        try await second.describeKey(other) == (try await first.describeKey(other)))
                    #expect(try await second.keys().count == 2)
                    try await second.removeAlias(other.text)
                    await #expect(throws: KeyError.with(.keyNotFound)) {
                        try await first.describeKey(other)
                    }
                }
            }
        }

        @Test func `aliases are added, moved and removed, and the store's stay`() async throws {
            try await withProvider { _, provider in
                let id = try await provider.createKey(alias: other.text).id
                await #expect(throws: KeyError.with(.aliasExists)) {
                    try await provider.addAlias(other.text, to: .default)
                }
                for alias in ["alias/", "other", "alias/cairn/mine"] {
                    await #expect(throws: KeyError.with(.invalidArgument), "\(alias)") {
                        try await provider.addAlias(alias, to: .default)
                    }
                }
                await #expect(throws: KeyError.with(.aliasExists)) {
                    try await provider.createKey(alias: KeyReference.defaultAlias)
                }
                await #expect(throws: KeyError.with(.keyNotFound)) {
                    try await provider.addAlias("alias/new", to: KeyReference("alias/unknown"))
                }
                for _ in 0..<3 {
                    try await provider.moveAlias(other.text, to: .default)
                    #expect(try await provider.describeKey(other).id != id)
                    try await provider.moveAlias(other.text, to: KeyReference(id))
                    #expect(try await provider.describeKey(other).id == id)
                }
                await #expect(throws: KeyError.with(.keyNotFound)) {
                    try await provider.moveAlias("alias/unknown", to: .default)
                }
                await #expect(throws: KeyError.with(.invalidArgument)) {
                    try await provider.moveAlias(KeyReference.defaultAlias, to: other)
                }
                await #expect(throws: KeyError.with(.invalidArgument)) {
                    try await provider.removeAlias(KeyReference.defaultAlias)
                }
                try await provider.removeAlias(other.text)
                await #expect(throws: KeyError.with(.keyNotFound)) {
                    try await provider.removeAlias(other.text)
                }
                #expect(try await provider.keys().count == 2)
            }
        }

        @Test func `references that are no key of the token are not found`() async throws {
            try await withProvider { _, provider in
                let id = try await provider.describeKey(.default).id.text
                for text in [
                    "alias/unknown", "key", id.uppercased(), id + "0",
                    "00000000-0000-4000-8000-000000000000",
                ] {
                    await #expect(throws: KeyError.with(.keyNotFound), "\(text)") {
                        try await provider.describeKey(KeyReference(text))
                    }
                }
            }
        }

        @Test func `the moved record counts when a crash leaves both`() async throws {
            try await withProvider { token, provider in
                let id = try await provider.createKey(alias: other.text).id
                let octets = try #require(Octets16(uuid: id.text))
                try token.withSession { session in
                    let record = TokenRecord(
                        .alias, of: octets, number: 2, text: KeyReference.defaultAlias)
                    try session.create(TokenObjects.new(record))
                }
                #expect(try await provider.describeKey(.default).id == id)
                #expect(try await provider.describeKey(other).aliases.count == 2)
            }
        }

        @Test func `of two records that give one alias the same one counts for all`() async throws {
            try await withProvider { token, provider in
                try await provider.createKey()
                let ids = try await provider.keys().map(\.id)
                // As when two processes give an alias at one moment.
                for id in ids {
                    let octets = try #require(Octets16(uuid: id.text))
                    try token.withSession { session in
                        let record = TokenRecord(.alias, of: octets, number: 1, text: other.text)
                        try session.create(TokenObjects.new(record))
                    }
                }
                let smallest = ids.min { $0.text < $1.text }
                #expect(try await provider.describeKey(other).id == smallest)
                let isListed = try await provider.keys().filter { $0.aliases.contains(other.text) }
                #expect(isListed.map(\.id) == [smallest])
            }
        }

        @Test func `neither material nor a record alone is a usable key`() async throws {
            try await withProvider { token, provider in
                let ids = [SystemRandom().octets16(), SystemRandom().octets16()]
                try token.withSession { session in
                    try session.generateKey(TokenObjects.newMaterial(of: ids[0], version: 1))
                    try session.create(
                        TokenObjects.new(TokenRecord(.creation, of: ids[1], number: 0)))
                }
                await #expect(throws: KeyError.with(.keyNotFound)) {
                    try await provider.describeKey(KeyReference(KeyID(uuid: ids[0])))
                }
                await #expect(throws: KeyError.with(.unavailable)) {
                    try await provider.generateDataKey(
                        under: KeyReference(KeyID(uuid: ids[1])), context: context)
                }
            }
        }

        @Test func `two materials of one version both go on decrypting`() async throws {
            try await withProvider { token, provider in
                let id = try await provider.describeKey(.default).id
                let octets = try #require(Octets16(uuid: id.text))
                // As when two processes rotate the key at one moment.
                for _ in 0..<2 {
                    try token.withSession {
                        try $0.generateKey(TokenObjects.newMaterial(of: octets, version: 2))
                    }
                }
                let ciphertexts = try token.withSession { session in
                    let keys = TokenKeys(session: session)
                    return try keys.objects(of: keys.key(octets), version: 2).map { object in
                        let plaintext = TokenCiphertext.padded([7, 7, 7].span)
                        let form = TokenCiphertext(
                            keyID: octets, materialVersion: 2,
                            nonce: [UInt8](repeating: 1, count: 12))
                        let sealed = try plaintext.withSpan {
                            try session.encrypt(
                                $0, with: object, nonce: form.nonce.span,
                                associated: form.associated(context))
                        }
                        return form.sealing(sealed).encoded
                    }
                }
                #expect(Set(ciphertexts).count == 2)
                for ciphertext in ciphertexts {
                    let plaintext = try await provider.decrypt(ciphertext, context: context)
                    #expect(plaintext.bytes == [7, 7, 7])
                }
            }
        }

        @Test func `a record of a later version forbids the use of its key`() async throws {
            try await withProvider { token, provider in
                let id = try await provider.describeKey(.default).id
                let octets = try #require(Octets16(uuid: id.text))
                var bytes = TokenRecord(.disabling, of: octets, number: 0).encoded
                bytes[1] = 200
                var writer = ByteWriter()
                writer.append(bytes.span.extracting(..<(bytes.count - 4)))
                writer.appendChecksum()
                let template = TokenObjects.keyRecords(of: octets).adding(CKA_VALUE, writer.bytes)
                try token.withSession { try $0.create(template) }
                await #expect(throws: KeyError.with(.unsupportedVersion)) {
                    try await provider.generateDataKey(under: .default, context: context)
                }
            }
        }

        @Test func `a damaged record is found`() async throws {
            try await withProvider { token, provider in
                let id = try await provider.describeKey(.default).id
                let octets = try #require(Octets16(uuid: id.text))
                var bytes = TokenRecord(.disabling, of: octets, number: 0).encoded
                bytes[9] ^= 1
                let template = TokenObjects.keyRecords(of: octets).adding(CKA_VALUE, bytes)
                try token.withSession { try $0.create(template) }
                await #expect(throws: KeyError.with(.corrupted)) {
                    try await provider.generateDataKey(under: .default, context: context)
                }
            }
        }
    }
}
