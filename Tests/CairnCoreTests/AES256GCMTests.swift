// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct AES256GCMTests {
    struct Vector: Sendable {
        let key: String
        let nonce: String
        let plaintext: String
        let associated: String
        let ciphertext: String
        let tag: String
    }

    private static let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", submitted to NIST: test cases 13
    /// to 16.
    static let vectors = [
        Vector(
            key: String(repeating: "0", count: 64), nonce: String(repeating: "0", count: 24),
            plaintext: "", associated: "", ciphertext: "", tag: "530f8afbc74536b9a963b4f1c4cb738b"),
        Vector(
            key: String(repeating: "0", count: 64), nonce: String(repeating: "0", count: 24),
            plaintext: String(repeating: "0", count: 32), associated: "",
            ciphertext: "cea7403d4d606b6e074ec5d3baf39d18",
            tag: "d0d1c8a799996bf0265b98b5d48ab919"),
        Vector(
            key: key, nonce: "cafebabefacedbaddecaf888",
            plaintext: """
                d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
                """, associated: "",
            ciphertext: """
                522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad
                """, tag: "b094dac5d93471bdec1a502270e3cc6c"),
        Vector(
            key: key, nonce: "cafebabefacedbaddecaf888",
            plaintext: """
                d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
                """, associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            ciphertext: """
                522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
                """, tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
    ]

    @Test(arguments: vectors)
    func `the published examples seal and open`(vector: Vector) throws {
        var cipher = try AES256GCM()
        let expected = [UInt8](hex: vector.plaintext)
        // Twice with one context: nothing of the first message is left for the second.
        for _ in 0..<2 {
            let (ciphertext, tag) = try seal(expected, vector, with: &cipher)
            #expect(ciphertext == [UInt8](hex: vector.ciphertext))
            #expect(tag == [UInt8](hex: vector.tag))
            let plaintext = try open(ciphertext, tag, vector, with: &cipher)
            #expect(plaintext == expected)
        }
    }

    @Test func `any flipped bit of ciphertext or tag is found, and no plaintext is left`() throws {
        var cipher = try AES256GCM()
        let vector = Self.vectors[3]
        let (ciphertext, tag) = try seal([UInt8](hex: vector.plaintext), vector, with: &cipher)
        for bit in 0..<(ciphertext.count + tag.count) * 8 {
            var all = ciphertext + tag
            all[bit / 8] ^= 1 << (bit % 8)
            var plaintext = [UInt8](repeating: 0xee, count: ciphertext.count)
            var span = plaintext.mutableSpan
            let error = #expect(throws: CoreError.self) {
                try cipher.open(
                    all.span.extracting(0..<ciphertext.count),
                    tag: all.span.extracting(ciphertext.count...),
                    key: [UInt8](hex: vector.key).span, nonce: [UInt8](hex: vector.nonce).span,
                    associated: [UInt8](hex: vector.associated).span, into: &span)
            }
            #expect(error?.code == .corrupted)
            #expect(plaintext.allSatisfy { $0 == 0 })
        }
        // The context is fine after all those errors.
        #expect(try open(ciphertext, tag, vector, with: &cipher) == [UInt8](hex: vector.plaintext))
    }

    @Test func `associated data counts wherever it is cut`() throws {
        var cipher = try AES256GCM()
        let vector = Self.vectors[3]
        let associated = [UInt8](hex: vector.associated)
        for cut in 0...associated.count {
            var ciphertext = [UInt8](repeating: 0, count: 60)
            var tag = [UInt8](repeating: 0, count: 16)
            var span = ciphertext.mutableSpan
            var tagSpan = tag.mutableSpan
            try cipher.seal(
                [UInt8](hex: vector.plaintext).span, key: [UInt8](hex: vector.key).span,
                nonce: [UInt8](hex: vector.nonce).span,
                associated: associated.span.extracting(0..<cut),
                associated.span.extracting(cut...), into: &span, tag: &tagSpan)
            #expect(tag.hex == vector.tag)
        }
    }

    @Test(arguments: [
        (31, 12, 16, 4), (33, 12, 16, 4), (32, 11, 16, 4), (32, 12, 15, 4), (32, 12, 16, 5),
    ])
    func `wrong sizes are refused`(key: Int, nonce: Int, tag: Int, room: Int) throws {
        var cipher = try AES256GCM()
        let zeros = [UInt8](repeating: 0, count: 64)
        var output = [UInt8](repeating: 0, count: room)
        var tagOutput = [UInt8](repeating: 0, count: tag)
        var span = output.mutableSpan
        var tagSpan = tagOutput.mutableSpan
        let error = #expect(throws: CoreError.self) {
            try cipher.seal(
                zeros.span.extracting(0..<4), key: zeros.span.extracting(0..<key),
                nonce: zeros.span.extracting(0..<nonce), associated: Span(), into: &span,
                tag: &tagSpan)
        }
        #expect(error?.code == .invalidArgument)
    }

    private func seal(
        _ plaintext: [UInt8], _ vector: Vector, with cipher: inout AES256GCM
    ) throws -> (ciphertext: [UInt8], tag: [UInt8]) {
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: 16)
        var span = ciphertext.mutableSpan
        var tagSpan = tag.mutableSpan
        try cipher.seal(
            plaintext.span, key: [UInt8](hex: vector.key).span,
            nonce: [UInt8](hex: vector.nonce).span,
            associated: [UInt8](hex: vector.associated).span, into: &span, tag: &tagSpan)
        return (ciphertext, tag)
    }

    private func open(
        _ ciphertext: [UInt8], _ tag: [UInt8], _ vector: Vector, with cipher: inout AES256GCM
    ) throws -> [UInt8] {
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count)
        var span = plaintext.mutableSpan
        try cipher.open(
            ciphertext.span, tag: tag.span, key: [UInt8](hex: vector.key).span,
            nonce: [UInt8](hex: vector.nonce).span,
            associated: [UInt8](hex: vector.associated).span, into: &span)
        return plaintext
    }
}
