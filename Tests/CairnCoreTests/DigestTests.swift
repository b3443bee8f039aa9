// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct DigestTests {
    static let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test func `a digest reads its own text`() throws {
        let bytes = TestData.random(10, seed: 1)
        for digest in [Digest.sha256(of: bytes.span), Digest.sha512(of: bytes.span)] {
            let read = try Digest(digest.description)
            #expect(read == digest)
            #expect(read.description == digest.description)
            #expect(read.bytes == digest.bytes)
            #expect(try Digest(algorithm: digest.algorithm, bytes: digest.span) == digest)
        }
    }

    @Test func `the digest of nothing has the text everyone knows`() throws {
        #expect(Digest.sha256(of: Span()).description == Self.empty)
        #expect(try Digest(Self.empty[...]) == Digest(sha256: SHA256().finalized()))
    }

    static let bad: [String] = [
        "", ":", "sha256", "sha256:", String(empty.dropLast()), empty + "0", empty + "\n",
        " " + empty, empty.uppercased(), "SHA256:" + empty.dropFirst(7),
        "sha256:" + empty.dropFirst(7).uppercased(), "sha1:" + empty.dropFirst(7),
        "sha512:" + empty.dropFirst(7), "sha256:" + String(repeating: "g", count: 64),
        "sha256:..%2f..", "sha256:" + String(repeating: "é", count: 32),
        "sha256:" + String(repeating: "\u{0}", count: 64), "sha256::" + empty.dropFirst(8),
        "sha256:+" + empty.dropFirst(8), "sha256:" + String(repeating: "0", count: 128),
    ]

    @Test(arguments: bad)
    func `any other text is refused`(text: String) {
        #expect(throws: CoreError(.digestInvalid, "")) { try Digest(text) }
    }

    @Test(arguments: [0, 31, 33, 63, 65])
    func `a wrong number of bytes is refused`(count: Int) {
        let bytes = [UInt8](repeating: 1, count: count)
        for algorithm in Digest.Algorithm.allCases {
            #expect(throws: CoreError(.digestInvalid, "")) {
                try Digest(algorithm: algorithm, bytes: bytes.span)
            }
        }
    }

    @Test func `digests sort as their texts do`() {
        let digests = (0..<50).flatMap { seed in
            let bytes = TestData.random(8, seed: UInt64(seed))
            return [Digest.sha256(of: bytes.span), Digest.sha512(of: bytes.span)]
        }
        #expect(
            digests.sorted().map(\.description) == digests.map(\.description).sorted())
        #expect(Set(digests).count == digests.count)
    }
}
