// Part of Cairn, a content-addressed blob store.
import CPKCS11
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@testable import CairnPKCS11

/// What needs no token: bytes in, bytes out.
@Suite struct FormatTests {
    private let id = Octets16(Array(0..<16).span)

    @Test func `a ciphertext has the bytes that its page describes`() throws {
        let form = TokenCiphertext(
            keyID: id, materialVersion: 0x0102_0304, nonce: [UInt8](repeating: 0xaa, count: 12),
            sealed: [UInt8](repeating: 0xbb, count: 80))
        let bytes = form.encoded
        let header = "43524e50 0100 0000 000102030405060708090a0b0c0d0e0f 04030201"
        #expect(bytes.prefix(28) == [UInt8](hex: header)[...])
        #expect(bytes[28..<40].allSatisfy { $0 == 0xaa })
        #expect(bytes[40..<120].allSatisfy { $0 == 0xbb })
        #expect(bytes.count == 124)
        #expect(bytes.withChecksum == bytes)
        #expect(try TokenCiphertext(decoding: bytes).encoded == bytes)
        // The header, and SHA-256 of "cairn token ciphertext 1", a zero and the context's encoding.
        let associated = form.associated(EncryptionContext())
        #expect(associated.prefix(40) == bytes.prefix(40))
        var hash = SHA256()
        hash.update(Array("cairn token ciphertext 1\0\u{1}\0\0".utf8).span)
        #expect(Array(associated.dropFirst(40)) == hash.finalized().bytes)
    }

    @Test func `a record has the bytes that its page describes`() throws {
        let record = TokenRecord(.alias, of: id, number: 0x0102, text: "alias/a")
        let bytes = record.encoded
        let expected =
            "01 03 0000 000102030405060708090a0b0c0d0e0f 0201000000000000 0700 616c6961732f61"
        #expect(bytes.dropLast(4) == [UInt8](hex: expected)[...])
        #expect(bytes.withChecksum == bytes)
        let read = try TokenRecord(decoding: bytes)
        #expect(read.kind == .alias && read.keyID == id)
        #expect(read.number == 0x0102 && read.text == "alias/a")
    }

    @Test func `the number of a version ascends with the bytes of its object's id`() {
        for version in [UInt32(1), 255, 256, 0x0102_0304, .max] {
            let bytes = id.bytes + withUnsafeBytes(of: version.bigEndian) { Array($0) }
            #expect(TokenObjects.version(bytes, of: id) == version)
        }
        #expect(TokenObjects.version(id.bytes, of: id) == nil)
        #expect(TokenObjects.version([UInt8](repeating: 9, count: 20), of: id) == nil)
    }

    @Test func `a later version is told from a damaged ciphertext`() throws {
        let form = TokenCiphertext(
            keyID: id, materialVersion: 1, nonce: [UInt8](repeating: 1, count: 12),
            sealed: [UInt8](repeating: 2, count: 80))
        var bytes = form.encoded
        bytes[4] = 2
        #expect(throws: KeyError.with(.integrity)) { try TokenCiphertext(decoding: bytes) }
        #expect(throws: KeyError.with(.unsupportedVersion)) {
            try TokenCiphertext(decoding: bytes.withChecksum)
        }
        // Also when it is shorter than any of version 1.
        let short = Array(bytes.prefix(6)) + [0, 0, 0, 0]
        #expect(throws: KeyError.with(.unsupportedVersion)) {
            try TokenCiphertext(decoding: short.withChecksum)
        }
    }

    @Test(arguments: [48, 4145])
    func `a ciphertext of no allowed plaintext is refused`(_ sealedByteCount: Int) {
        let form = TokenCiphertext(
            keyID: id, materialVersion: 1, nonce: [UInt8](repeating: 1, count: 12),
            sealed: [UInt8](repeating: 2, count: sealedByteCount))
        #expect(throws: KeyError.with(.integrity)) { try TokenCiphertext(decoding: form.encoded) }
    }

    @Test func `decoders throw on anything, and never trap`() throws {
        var generator = SeededGenerator(seed: 11)
        let seeds = [
            TokenCiphertext(
                keyID: id, materialVersion: 1, nonce: [UInt8](repeating: 1, count: 12),
                sealed: [UInt8](repeating: 2, count: 80)
            ).encoded,
            TokenRecord(.alias, of: id, number: 1, text: "alias/a").encoded,
        ]
        for round in 0..<20_000 {
            var bytes = seeds[round % 2]
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: bytes.indices, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0...bytes.count - 1, using: &generator) / 4)
            // Half of them with a checksum that lets them in.
            if round % 4 < 2, bytes.count > 4 { bytes = bytes.withChecksum }
            _ = try? TokenCiphertext(decoding: bytes)
            _ = try? TokenRecord(decoding: bytes)
        }
    }
}
