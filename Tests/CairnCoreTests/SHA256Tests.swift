// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct SHA256Tests {
    /// FIPS 180-4 examples, NIST "SHA256.pdf" and "SHA2_Additional.pdf".
    static let vectors: [(message: String, digest: String)] = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ]

    @Test(arguments: vectors.indices)
    func `the published examples give the published digests`(index: Int) {
        let (message, digest) = Self.vectors[index]
        #expect(SHA256.digest(of: Array(message.utf8).span).bytes.hex == digest)
    }

    @Test(arguments: vectors.indices)
    func `one byte at a time gives the same digest`(index: Int) {
        let (message, digest) = Self.vectors[index]
        let bytes = Array(message.utf8)
        var state = SHA256()
        for offset in bytes.indices { state.update(bytes.span.extracting(offset..<offset + 1)) }
        #expect(state.finalized().bytes.hex == digest)
        #expect(state.byteCount == UInt64(bytes.count))
    }

    @Test func `finalising changes nothing, and a copy goes its own way`() {
        let bytes = TestData.random(300, seed: 1)
        var state = SHA256()
        state.update(bytes.span.extracting(0..<100))
        let first = state.finalized()
        #expect(state.finalized() == first)
        var copy = state
        copy.update(bytes.span.extracting(100..<200))
        state.update(bytes.span.extracting(100..<300))
        #expect(state.finalized() == SHA256.digest(of: bytes.span))
        #expect(copy.finalized() == SHA256.digest(of: bytes.span.extracting(0..<200)))
    }

    @Test func `a state restored at any byte goes on to the same digest`() throws {
        let bytes = TestData.random(200, seed: 2)
        let expected = SHA256.digest(of: bytes.span)
        var state = SHA256()
        for offset in 0...bytes.count {
            let saved = state.savedState
            #expect(saved.count == SHA256.savedStateByteCount)
            var restored = try SHA256(restoring: saved.span)
            #expect(restored.byteCount == UInt64(offset))
            #expect(restored.savedState == saved)
            restored.update(bytes.span.extracting(offset...))
            #expect(restored.finalized() == expected)
            if offset < bytes.count { state.update(bytes.span.extracting(offset..<offset + 1)) }
        }
    }

    @Test func `a saved state with any bit flipped or any byte missing is refused`() {
        var state = SHA256()
        state.update(TestData.random(100, seed: 3).span)
        let saved = state.savedState
        for bit in 0..<saved.count * 8 {
            var damaged = saved
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: CoreError.self) { try SHA256(restoring: damaged.span) }
        }
        for count in 0..<saved.count {
            let cut = Array(saved.prefix(count))
            #expect(throws: CoreError.self) { try SHA256(restoring: cut.span) }
        }
        #expect(throws: CoreError.self) { try SHA256(restoring: (saved + [0]).span) }
    }

    @Test func `a saved state of a later version says so`() {
        var saved = SHA256().savedState
        saved[0] = 2
        #expect(throws: CoreError(.unsupportedVersion, "")) {
            try SHA256(restoring: saved.span)
        }
        #expect(throws: CoreError(.corrupted, "")) {
            try SHA256(restoring: SHA512().savedState.span)
        }
    }

    @Test func `the count survives four gibibytes`() throws {
        // A forged state just below 2^32 bytes, whole in blocks; only the count matters here.
        var writer = ByteWriter()
        writer.append([1, 1, 0, 0])
        writer.appendZeros(32)
        writer.append(UInt64(1 << 32) - 64)
        writer.appendZeros(64)
        writer.appendChecksum()
        var first = try SHA256(restoring: writer.bytes.span)
        var second = first
        let bytes = TestData.random(256, seed: 4)
        first.update(bytes.span)
        #expect(first.byteCount == UInt64(1 << 32) + 192)
        var other = SHA256()
        SHA256.update(&second, &other, with: bytes.span)
        #expect(second.savedState == first.savedState)
    }

    @Test func `a count that no message reaches is refused`() {
        var writer = ByteWriter()
        writer.append([1, 1, 0, 0])
        writer.appendZeros(32)
        writer.append(UInt64(1 << 61))
        writer.appendZeros(64)
        writer.appendChecksum()
        #expect(throws: CoreError(.corrupted, "")) { try SHA256(restoring: writer.bytes.span) }
    }
}

@Suite struct SHA256PairTests {
    @Test(arguments: 0..<64)
    func `a pair equals two updates whatever each began with`(firstStart: Int) {
        let bytes = TestData.random(64 + 333, seed: UInt64(firstStart))
        for secondStart in 0..<64 {
            // The offset moves the bytes through all alignments.
            let offset = secondStart % 17
            let message = bytes.span.extracting(offset..<offset + 317)
            expectEqualPair(bytes, firstStart, secondStart, message)
        }
    }

    @Test(arguments: [(0, 0), (0, 1), (1, 0), (63, 63), (63, 1), (5, 44)])
    func `a pair equals two updates at any length`(firstStart: Int, secondStart: Int) {
        let bytes = TestData.random(400, seed: 7)
        for count in 0...400 {
            expectEqualPair(bytes, firstStart, secondStart, bytes.span.extracting(0..<count))
        }
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func `a pair equals two updates over many random pieces`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let bytes = TestData.random(300_000, seed: seed)
        var (first, second) = (SHA256(), SHA256())
        var (firstAlone, secondAlone) = (SHA256(), SHA256())
        var offset = 0
        while offset < bytes.count {
            let count = min(Int.random(in: 0...5_000, using: &generator), bytes.count - offset)
            let piece = bytes.span.extracting(offset..<offset + count)
            SHA256.update(&first, &second, with: piece)
            firstAlone.update(piece)
            secondAlone.update(piece)
            offset += count
            if Bool.random(using: &generator) {
                second = SHA256()
                secondAlone = SHA256()
                second.update(bytes.span.extracting(0..<count % 100))
                secondAlone.update(bytes.span.extracting(0..<count % 100))
            }
            #expect(second.savedState == secondAlone.savedState)
        }
        #expect(first.finalized() == firstAlone.finalized())
        #expect(first.finalized() == SHA256.digest(of: bytes.span))
    }

    private func expectEqualPair(
        _ bytes: [UInt8], _ firstStart: Int, _ secondStart: Int, _ message: Span<UInt8>
    ) {
        var (first, second) = (SHA256(), SHA256())
        first.update(bytes.span.extracting(0..<firstStart))
        second.update(bytes.span.extracting(0..<secondStart))
        var (firstAlone, secondAlone) = (first, second)
        SHA256.update(&first, &second, with: message)
        firstAlone.update(message)
        secondAlone.update(message)
        #expect(first.savedState == firstAlone.savedState)
        #expect(second.savedState == secondAlone.savedState)
    }
}
