// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

@Suite struct ChunkerTarTests {
    @Test func `a file of at least the minimum starts and ends a chunk`() {
        var random = ChunkerRandom(seed: 31)
        for _ in 0..<10 {
            let archive = ChunkerArchive.random(&random, byteCountMin: 500_000)
            let ends = Set(Chunker.test().lengths(of: archive.bytes).ends)
            for content in archive.contents where content.count >= 4 << 10 {
                #expect(ends.contains(content.lowerBound))
                #expect(ends.contains(content.upperBound))
            }
        }
    }

    @Test func `no cut falls inside a header`() throws {
        var random = ChunkerRandom(seed: 32)
        let parameters = try ChunkerParameters.small()
        for _ in 0..<10 {
            let archive = ChunkerArchive.random(&random, byteCountMin: 300_000)
            let ends = Set(Chunker.test(parameters).lengths(of: archive.bytes).ends)
            let inside = archive.headers.filter { header in
                (header + 1..<header + 512).contains(where: ends.contains)
            }
            #expect(inside.isEmpty)
        }
    }

    @Test func `a large file leaves no chunk below the minimum at its end`() {
        var random = ChunkerRandom(seed: 33)
        for _ in 0..<50 {
            var archive = ChunkerArchive()
            archive.append(random.text((8 << 10) + random.number(below: 200_000)))
            archive.appendEnd()
            let lengths = Chunker.test().lengths(of: archive.bytes)
            #expect(lengths.first == 512)
            #expect(lengths.dropFirst().dropLast().allSatisfy { $0 >= 4 << 10 })
        }
    }

    @Test func `the same file is the same chunks in every archive`() {
        var random = ChunkerRandom(seed: 34)
        let content = random.text(150_000)
        func chunks(before count: Int, random: inout ChunkerRandom) -> [Int] {
            var archive = ChunkerArchive()
            archive.append(random.text(count))
            archive.append(content)
            archive.append(random.text(count))
            let range = archive.contents[1]
            return Chunker.test().lengths(of: archive.bytes).ends
                .filter { $0 > range.lowerBound && $0 <= range.upperBound }
                .map { $0 - range.lowerBound }
        }
        let expected = chunks(before: 0, random: &random)
        #expect(expected.count > 3)
        for count in [1, 700, 5000, 77_777] {
            #expect(chunks(before: count, random: &random) == expected)
        }
    }

    @Test func `small files share chunks up to the maximum`() {
        var archive = ChunkerArchive()
        for _ in 0..<300 { archive.append([UInt8](repeating: 0x20, count: 1000)) }
        let lengths = Chunker.test().lengths(of: archive.bytes)
        #expect(lengths.allSatisfy { $0 <= 64 << 10 })
        #expect(lengths.count < 40)
    }

    @Test func `links, devices and directories have no content, whatever their size says`() {
        for type in UInt8(0x31)...0x36 {
            var archive = ChunkerArchive()
            archive.appendHeader(
                name: "entry", size: ChunkerArchive.octal(1 << 20, digits: 11), type: type)
            archive.append([UInt8](repeating: 0x61, count: 5000))
            archive.appendEnd()
            #expect(Chunker.test().lengths(of: archive.bytes) == [1024, 5000, 1144])
        }
    }

    @Test func `a size in base 256 is understood`() {
        var archive = ChunkerArchive()
        archive.appendHeader(name: "file", size: ChunkerArchive.base256(5000))
        archive.appendRaw([UInt8](repeating: 0x61, count: 5120))
        archive.appendEnd()
        #expect(Chunker.test().lengths(of: archive.bytes) == [512, 5000, 1144])
    }

    @Test func `a header that is damaged ends the walk, not the blob`() {
        var random = ChunkerRandom(seed: 35)
        var archive = ChunkerArchive()
        archive.append(random.text(10_000))
        archive.append(random.text(10_000))
        archive.append(random.text(100_000))
        var bytes = archive.bytes
        bytes[archive.headers[1]] ^= 1
        let ends = Chunker.test().lengths(of: bytes).ends
        #expect(ends.last == bytes.count)
        #expect(ends.contains(archive.contents[0].upperBound))
        #expect(!ends.contains(archive.contents[1].lowerBound))
        #expect(!ends.contains(archive.contents[2].lowerBound))
    }

    @Test func `what follows the end of an archive is cut by content`() {
        var random = ChunkerRandom(seed: 36)
        var archive = ChunkerArchive()
        archive.append(random.text(100))
        archive.appendEnd()
        archive.appendRaw([UInt8](repeating: 0, count: 200_000))
        let lengths = Chunker.test().lengths(of: archive.bytes)
        #expect(lengths.dropLast().allSatisfy { $0 == 64 << 10 })
    }
}
