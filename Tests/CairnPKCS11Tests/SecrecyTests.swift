// Part of Cairn, a content-addressed blob store.
import CPKCS11
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@testable import CairnPKCS11

extension SoftHSMTests {
    @Suite struct SecrecyTests {
        private let context: EncryptionContext

        init() throws { context = try EncryptionContext(["bucket": "5a"]) }

        @Test func `material cannot be read from the token`() async throws {
            try await withProvider { token, provider in
                try await provider.rotateKey(.default)
                let id = try #require(
                    Octets16(uuid: try await provider.describeKey(.default).id.text))
                try token.withSession { session in
                    let objects = try session.find(TokenObjects.materials(of: id))
                    #expect(objects.count == 2)
                    for object in objects {
                        let error = #expect(throws: KeyError.self) {
                            try session.read(CKA_VALUE, of: object)
                        }
                        let failure = try #require(error?.cause as? CryptokiFailure)
                        #expect(failure.value == CKR_ATTRIBUTE_SENSITIVE)
                        for (attribute, expected) in [
                            (CKA_SENSITIVE, 1), (CKA_EXTRACTABLE, 0), (CKA_TOKEN, 1),
                            (CKA_PRIVATE, 1), (CKA_NEVER_EXTRACTABLE, 1), (CKA_WRAP, 0),
                            (CKA_ALWAYS_SENSITIVE, 1), (CKA_DERIVE, 0), (CKA_MODIFIABLE, 0),
                        ] {
                            #expect(try session.read(attribute, of: object) == [UInt8(expected)])
                        }
                    }
                }
            }
        }

        @Test func `a key that could leave the token is not used`() async throws {
            try await withProvider { token, provider in
                let id = try #require(
                    Octets16(uuid: try await provider.describeKey(.default).id.text))
                // With the names of a newer version, and known to whoever put it there.
                let planted = Template()
                    .adding(CKA_CLASS, CKO_SECRET_KEY).adding(CKA_KEY_TYPE, CKK_AES)
                    .adding(CKA_TOKEN, true).adding(CKA_PRIVATE, true)
                    .adding(CKA_SENSITIVE, false).adding(CKA_EXTRACTABLE, true)
                    .adding(CKA_LABEL, "cairn key \(id.uuidText)")
                    .adding(CKA_ID, id.bytes + [0, 0, 0, 2])
                    .adding(CKA_ENCRYPT, true).adding(CKA_DECRYPT, true)
                    .adding(CKA_VALUE, [UInt8](repeating: 1, count: 32))
                try token.withSession { try $0.create(planted) }
                let dataKey = try await provider.generateDataKey(under: .default, context: context)
                #expect(try TokenCiphertext(decoding: dataKey.wrapped).materialVersion == 1)
            }
        }

        @Test func `plaintexts of 1 to 4096 bytes come back`() async throws {
            try await withProvider { _, provider in
                for byteCount in [1, 31, 32, 33, 4096] {
                    let plaintext = TestData.random(byteCount, seed: 1)
                    let ciphertext = try await provider.encrypt(
                        SecretBytes(plaintext), under: .default, context: context)
                    #expect(ciphertext.count == 92 + byteCount)
                    let opened = try await provider.decrypt(ciphertext, context: context)
                    #expect(opened.bytes == plaintext)
                }
                for byteCount in [0, 4097] {
                    let plaintext = SecretBytes([UInt8](repeating: 1, count: byteCount))
                    await #expect(throws: KeyError.with(.invalidArgument)) {
                        try await provider.encrypt(plaintext, under: .default, context: context)
                    }
                }
            }
        }

        @Test func `a data key without plaintext unwraps to 32 bytes`() async throws {
            try await withProvider { _, provider in
                let wrapped = try await provider.generateDataKeyWithoutPlaintext(
                    under: .default, context: context)
                let plaintext = try await provider.decryptDataKey(wrapped, context: context)
                #expect(Set(plaintext.bytes).count > 1)
            }
        }

        /// Where a field begins, and the answers to another content of it.
        @Test(arguments: [
            (0, "magic", [KeyError.Code.integrity]), (4, "version", [.unsupportedVersion]),
            (6, "reserved", [.integrity]), (8, "key", [.keyNotFound]),
            (24, "material version", [.integrity]), (28, "nonce", [.integrity]),
            (40, "zeros", [.integrity]), (72, "plaintext", [.integrity]),
            (104, "tag", [.integrity]),
        ])
        func `a forged field is refused although its checksum is right`(
            _ offset: Int, _ field: String, _ codes: [KeyError.Code]
        ) async throws {
            try await withProvider { _, provider in
                let dataKey = try await provider.generateDataKey(under: .default, context: context)
                #expect(dataKey.wrapped.count == 124)
                for bit in [UInt8(1), 2, 128] {
                    var forged = dataKey.wrapped
                    forged[offset] ^= bit
                    let wrapped = forged.withChecksum
                    let error = await #expect(throws: KeyError.self, "\(field)") {
                        try await provider.decrypt(wrapped, context: context)
                    }
                    #expect(error.map { codes.contains($0.code) || $0.code == .integrity } == true)
                    if bit == 2 { #expect(error.map { codes.contains($0.code) } == true) }
                }
            }
        }

        @Test func `a ciphertext of another key or version is refused`() async throws {
            try await withProvider { _, provider in
                let other = try await provider.createKey(alias: "alias/other").id
                let dataKey = try await provider.generateDataKey(under: .default, context: context)
                try await provider.rotateKey(.default)
                var moved = dataKey.wrapped
                moved.replaceSubrange(8..<24, with: try #require(Octets16(uuid: other.text)).bytes)
                var newer = dataKey.wrapped
                newer[24] = 2
                for forged in [moved.withChecksum, newer.withChecksum] {
                    await #expect(throws: KeyError.with(.integrity)) {
                        try await provider.decrypt(forged, context: context)
                    }
                }
            }
        }

        /// What AES-GCM alone would accept.
        @Test func `an authentic ciphertext without its zeros is refused`() async throws {
            try await withProvider { token, provider in
                let id = try #require(
                    Octets16(uuid: try await provider.describeKey(.default).id.text))
                for prefix in [UInt8(0), 1] {
                    let ciphertext = try token.withSession { session in
                        let keys = TokenKeys(session: session)
                        let key = try keys.newestMaterial(of: keys.key(id))
                        let form = TokenCiphertext(
                            keyID: id, materialVersion: 1, nonce: [UInt8](repeating: 1, count: 12))
                        var plaintext = [UInt8](repeating: 0, count: 64)
                        plaintext[31] = prefix
                        let sealed = try session.encrypt(
                            plaintext.span, with: key.object, nonce: form.nonce.span,
                            associated: form.associated(context))
                        return form.sealing(sealed).encoded
                    }
                    guard prefix > 0 else {
                        _ = try await provider.decrypt(ciphertext, context: context)
                        continue
                    }
                    await #expect(throws: KeyError.with(.integrity)) {
                        try await provider.decrypt(ciphertext, context: context)
                    }
                }
            }
        }
    }
}

extension [UInt8] {
    /// The same with the last four bytes made to fit the others.
    var withChecksum: [UInt8] {
        var writer = ByteWriter()
        writer.append(span.extracting(..<(count - 4)))
        writer.appendChecksum()
        return writer.bytes
    }
}
