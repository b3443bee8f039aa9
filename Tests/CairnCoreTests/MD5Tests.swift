// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct MD5Tests {
    private static func text(_ digest: MD5) -> String {
        digest.finalized().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    // RFC 1321 A.5.
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"), ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a"
        ),
    ])
    func `published values are met`(_ text: String, _ expected: String) {
        var digest = MD5()
        digest.update(Array(text.utf8).span)
        #expect(Self.text(digest) == expected)
    }

    @Test func `a computation goes on from its saved state, and from no other bytes`() throws {
        let bytes = TestData.random(1000, seed: 1)
        var whole = MD5()
        whole.update(bytes.span)
        for cut in [0, 1, 63, 64, 65, 1000] {
            var first = MD5()
            first.update(bytes.span.extracting(..<cut))
            let state = first.savedState
            #expect(state.count == MD5.savedStateByteCount)
            var second = try MD5(restoring: state.span)
            second.update(bytes.span.extracting(cut...))
            #expect(second.finalized() == whole.finalized())
            for index in stride(from: 0, to: state.count, by: 7) {
                var damaged = state
                damaged[index] ^= 1
                #expect(throws: CoreError.self) { try MD5(restoring: damaged.span) }
            }
        }
    }
}
