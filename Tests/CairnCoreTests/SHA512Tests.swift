// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct SHA512Tests {
    /// FIPS 180-4 examples, NIST "SHA512.pdf" and "SHA2_Additional.pdf".
    static let vectors: [(message: String, digest: String)] = [
        (
            "",
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                + "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        ),
        (
            "abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
                + "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
                + "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"
        ),
    ]

    @Test(arguments: vectors.indices)
    func `the published examples give the published digests`(index: Int) {
        let (message, digest) = Self.vectors[index]
        #expect(Digest.sha512(of: Array(message.utf8).span).hex == digest)
    }

    @Test(arguments: vectors.indices)
    func `one byte at a time gives the same digest`(index: Int) {
        let (message, digest) = Self.vectors[index]
        let bytes = Array(message.utf8)
        var state = SHA512()
        for offset in bytes.indices { state.update(bytes.span.extracting(offset..<offset + 1)) }
        #expect(state.finalized().hex == digest)
        #expect(state.finalized().hex == digest)
        #expect(state.byteCount == UInt64(bytes.count))
    }

    @Test func `a state restored at any byte goes on to the same digest`() throws {
        let bytes = TestData.random(300, seed: 2)
        let expected = Digest.sha512(of: bytes.span).bytes
        var state = SHA512()
        for offset in 0...bytes.count {
            let saved = state.savedState
            #expect(saved.count == SHA512.savedStateByteCount)
            var restored = try SHA512(restoring: saved.span)
            #expect(restored.byteCount == UInt64(offset))
            #expect(restored.savedState == saved)
            restored.update(bytes.span.extracting(offset...))
            #expect(restored.finalized() == expected)
            if offset < bytes.count { state.update(bytes.span.extracting(offset..<offset + 1)) }
        }
    }

    @Test func `a saved state with any bit flipped or any byte missing is refused`() {
        var state = SHA512()
        state.update(TestData.random(200, seed: 3).span)
        let saved = state.savedState
        for bit in 0..<saved.count * 8 {
            var damaged = saved
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: CoreError.self) { try SHA512(restoring: damaged.span) }
        }
        for count in 0..<saved.count {
            let cut = Array(saved.prefix(count))
            #expect(throws: CoreError.self) { try SHA512(restoring: cut.span) }
        }
    }
}
