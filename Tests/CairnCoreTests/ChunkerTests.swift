// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

@Suite struct ChunkerTests {
    @Test func `fewer bytes than the probe cut nothing until the end`() {
        var chunker = Chunker.test()
        var lengths: [Int] = []
        let blob = [UInt8](repeating: 0x61, count: Chunker.probeByteCount)
        chunker.cut(blob.span.extracting(first: 10), isFinal: false, into: &lengths)
        chunker.cut(blob.span.extracting(droppingLast: 1), isFinal: false, into: &lengths)
        #expect(chunker.layout == nil)
        #expect(lengths.isEmpty)
        chunker.cut(blob.span, isFinal: false, into: &lengths)
        #expect(chunker.layout == .other)
        #expect(lengths == [64 << 10])
    }

    @Test func `an empty blob has no chunks`() {
        #expect(Chunker.test().lengths(of: []).isEmpty)
    }

    @Test(arguments: [1, 7, 8, 4095, 4096])
    func `a blob up to the minimum is one chunk`(byteCount: Int) {
        var random = ChunkerRandom(seed: 3)
        #expect(Chunker.test().lengths(of: random.text(byteCount)) == [byteCount])
    }

    @Test func `zeros are cut at the maximum`() {
        let blob = [UInt8](repeating: 0, count: 200 << 10)
        #expect(Chunker.test().lengths(of: blob) == [64 << 10, 64 << 10, 64 << 10, 8 << 10])
    }

    @Test func `opaque blobs are cut at a fixed size`() {
        var random = ChunkerRandom(seed: 4)
        let blob = random.bytes((2 << 20) + 5)
        #expect(Chunker.test().lengths(of: blob) == [1 << 20, 1 << 20, 5])
    }

    // 1000 chunks with a standard deviation below half their mean: 5 % is three of the mean's own.
    @Test func `random bytes have chunks of the average size, within the limits`() throws {
        var random = ChunkerRandom(seed: 5)
        let lengths = try Chunker.test(.other).lengths(of: random.bytes(16 << 20))
        let mean = lengths.reduce(0, +) / lengths.count
        #expect(mean > 16384 * 95 / 100)
        #expect(mean < 16384 * 105 / 100)
        #expect(lengths.allSatisfy { $0 <= 64 << 10 })
        #expect(lengths.dropLast().allSatisfy { $0 >= 4 << 10 })
        // Normalised: most chunks are within a factor of two of the average.
        let near = lengths.count { $0 >= 8 << 10 && $0 <= 32 << 10 }
        #expect(near > lengths.count * 3 / 4)
    }

    @Test func `an insertion changes only the chunks around it`() throws {
        var random = ChunkerRandom(seed: 6)
        let blob = random.text(2 << 20)
        var edited = blob
        edited.insert(contentsOf: Array("inserted".utf8), at: 1 << 20)
        let before = Set(Chunker.test().lengths(of: blob).ends.map { blob.count - $0 })
        let after = Chunker.test().lengths(of: edited).ends.map { edited.count - $0 }
        #expect(after.count { !before.contains($0) } < after.count / 2 + 12)
        #expect(after.suffix(20).allSatisfy(before.contains))
    }

    @Test func `another key cuts elsewhere`() {
        var random = ChunkerRandom(seed: 7)
        let blob = random.text(1 << 20)
        let other = Chunker(
            parameters: .version1, key: ChunkerKey(random.bytes(32).span))
        let shared = Set(other.lengths(of: blob).ends).intersection(
            Chunker.test().lengths(of: blob).ends)
        #expect(shared.count <= 2)
    }

    @Test func `the tail stays below the largest chunk`() throws {
        var random = ChunkerRandom(seed: 8)
        let parameters = try ChunkerParameters.small()
        let archive = ChunkerArchive.random(&random, byteCountMin: 300_000)
        for layout in BlobLayout.allCases {
            let limit =
                layout == .opaque ? parameters.opaqueByteCount : parameters.maxByteCount
            var chunker = try Chunker.test(layout, parameters)
            var start = 0
            for end in stride(from: 100, to: archive.bytes.count, by: 100) {
                var lengths: [Int] = []
                let rest = archive.bytes.span.extracting(start..<end)
                chunker.cut(rest, isFinal: false, into: &lengths)
                start += lengths.reduce(0, +)
                #expect(end - start < limit)
            }
        }
    }

    @Test(arguments: [
        (4096, 16384, 4096, 1), (4096, 10000, 65536, 1), (8, 64, 1024, 1), (2048, 1024, 8192, 1),
        (4096, 16384, 5 << 20, 1), (4096, 16384, 65536, 0), (4096, 16384, 65536, 5 << 20),
        (1024, 1024, 1500, 1),
    ])
    func `sizes that contradict each other are refused`(
        min: Int, average: Int, max: Int, opaque: Int
    ) {
        #expect(throws: CoreError(.invalidArgument, "")) {
            try ChunkerParameters(
                minByteCount: min, averageByteCount: average, maxByteCount: max,
                opaqueByteCount: opaque)
        }
    }
}
