// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct SecretBytesTests {
    @Test(arguments: [0, 1, 32, 4096, 4097, 10_000])
    func `a secret gives back what was put into it`(count: Int) {
        let bytes = TestData.random(count, seed: 1)
        let secret = SecretBytes(copying: bytes.span)
        #expect(secret.byteCount == count)
        #expect(secret.withSpan { [UInt8](copying: $0) } == bytes)
    }

    @Test func `a secret shows nothing of itself when it is printed`() {
        let secret = SecretBytes(copying: Array("open sesame".utf8).span)
        #expect(!String(describing: secret).contains("sesame"))
        #expect(!String(reflecting: secret).contains("sesame"))
    }

    @Test func `random secrets come from the source`() {
        let first = SecretBytes.random(byteCount: 40, from: SeededRandom(seed: 1))
        let same = SecretBytes.random(byteCount: 40, from: SeededRandom(seed: 1))
        let other = SecretBytes.random(byteCount: 40, from: SeededRandom(seed: 2))
        let bytes = first.withSpan { [UInt8](copying: $0) }
        #expect(bytes == same.withSpan { [UInt8](copying: $0) })
        #expect(bytes != other.withSpan { [UInt8](copying: $0) })
    }

    @Test func `equal in constant time means equal`() {
        let bytes = TestData.random(40, seed: 1)
        #expect(areEqual(bytes, bytes))
        #expect(areEqual([], []))
        #expect(!areEqual(bytes, Array(bytes.prefix(39))))
        for bit in 0..<bytes.count * 8 {
            var other = bytes
            other[bit / 8] ^= 1 << (bit % 8)
            #expect(!areEqual(bytes, other))
        }
    }

    private func areEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        constantTimeEqual(first.span, second.span)
    }

    @Test func `wiping leaves zeros`() {
        var bytes = TestData.random(100, seed: 1)
        var span = bytes.mutableSpan
        wipe(&span)
        #expect(bytes.allSatisfy { $0 == 0 })
    }
}

@Suite struct RandomSourceTests {
    @Test(arguments: [0, 1, 12, 32, (1 << 20) + 1])
    func `the system fills all of the bytes`(count: Int) {
        // Each byte differs from zero at least once in 64 fills, but for a chance of 2^-512.
        var seen = [UInt8](repeating: 0, count: count)
        for _ in 0..<(count > 1000 ? 4 : 64) {
            var bytes = [UInt8](repeating: 0, count: count)
            var span = bytes.mutableSpan
            SystemRandom().fill(&span)
            for index in seen.indices { seen[index] |= bytes[index] }
        }
        // Four fills leave 2^-32 per byte: allow one in the longest case.
        #expect(seen.count { $0 == 0 } <= (count > 1000 ? 1 : 0))
    }

    @Test func `identifiers differ`() {
        let source = SystemRandom()
        #expect(Set((0..<100).map { _ in source.octets16() }).count == 100)
        #expect(Set((0..<100).map { _ in source.octets32() }).count == 100)
    }

    @Test func `a seeded source repeats`() {
        let (first, second) = (SeededRandom(seed: 5), SeededRandom(seed: 5))
        for _ in 0..<10 { #expect(first.octets32() == second.octets32()) }
        #expect(first.octets32() != first.octets32())
    }
}
