// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

@Suite struct LZ4CodecTests {
    private func compressed(_ bytes: [UInt8], room: Int? = nil) -> [UInt8]? {
        var output = [UInt8](repeating: 0xee, count: room ?? bytes.count)
        var span = output.mutableSpan
        guard let count = LZ4Codec.compress(bytes.span, into: &span) else { return nil }
        return Array(output[..<count])
    }

    private func decompressed(_ block: [UInt8], byteCount: Int) throws(CoreError) -> [UInt8] {
        var output = [UInt8](repeating: 0xee, count: byteCount)
        var span = output.mutableSpan
        try LZ4Codec.decompress(block.span, into: &span)
        return output
    }

    @Test(arguments: [128, 1024, 4096, 65_536, 1 << 20, 4 << 20])
    func `what compresses comes back`(byteCount: Int) throws {
        var random = ChunkerRandom(seed: 61)
        var bytes = random.text(64)
        while bytes.count < byteCount { bytes += bytes }
        let block = try #require(compressed(bytes))
        #expect(block.count <= byteCount - byteCount / 16)
        #expect(try decompressed(block, byteCount: byteCount) == bytes)
    }

    @Test func `random bytes do not pay`() {
        var random = ChunkerRandom(seed: 62)
        for byteCount in [0, 1, 15, 16, 17, 4096, 65_536, 1 << 20] {
            #expect(compressed(random.bytes(byteCount)) == nil)
        }
    }

    // Zeros in front of noise: the saving is the zeros, less a few bytes.
    @Test func `compression pays from one sixteenth on`() {
        var random = ChunkerRandom(seed: 63)
        let noise = random.bytes(16_000)
        func block(zeros: Int) -> [UInt8]? {
            compressed([UInt8](repeating: 0, count: zeros) + noise.dropLast(zeros))
        }
        #expect(block(zeros: 990) == nil)
        #expect(block(zeros: 1200).map { $0.count <= 15_000 } == true)
    }

    @Test func `a short output counts as not paying`() {
        let bytes = [UInt8](repeating: 7, count: 10_000)
        #expect(compressed(bytes) != nil)
        #expect(compressed(bytes, room: 20) == nil)
        #expect(compressed(bytes, room: 0) == nil)
    }

    @Test func `what exceeds the limit is neither compressed nor decompressed`() {
        #expect(compressed([UInt8](repeating: 0, count: (4 << 20) + 1)) == nil)
        #expect(throws: CoreError(.limitExceeded, "")) {
            try decompressed([0], byteCount: (4 << 20) + 1)
        }
    }

    @Test func `a block yields its declared size or nothing`() throws {
        let bytes = [UInt8](repeating: 7, count: 10_000)
        let block = try #require(compressed(bytes))
        for byteCount in [0, 1, 9_999, 10_001, 20_000] {
            #expect(throws: CoreError(.corrupted, "")) {
                try decompressed(block, byteCount: byteCount)
            }
        }
        for count in 0..<block.count {
            #expect(throws: CoreError(.corrupted, "")) {
                try decompressed(Array(block[..<count]), byteCount: bytes.count)
            }
        }
    }

    // Run with the address sanitizer this shows that nothing is read or written outside.
    @Test func `damaged and random blocks do no harm`() throws {
        var random = ChunkerRandom(seed: 64)
        let bytes = random.text(3000) + [UInt8](repeating: 1, count: 3000)
        let block = try #require(compressed(bytes))
        for round in 0..<4000 {
            var damaged = round % 2 == 0 ? block : random.bytes(1 + random.number(below: 300))
            for _ in 0..<(1 + random.number(below: 3)) {
                damaged[random.number(below: damaged.count)] ^= 1 << UInt8(random.number(below: 8))
            }
            // Any outcome but a trap or another error.
            do {
                _ = try decompressed(damaged, byteCount: bytes.count)
            } catch {
                #expect(error.code == .corrupted)
            }
        }
    }
}
