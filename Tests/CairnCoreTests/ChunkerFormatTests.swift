// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

/// Golden vectors of version 1.
///
/// One that fails means that nothing new would be a duplicate of anything stored before: make a new
/// version of the parameters instead of changing the vector.
@Suite struct ChunkerFormatTests {
    /// The digest over the lengths of all chunks, each as u32.
    private func digest(_ lengths: [Int]) -> String {
        var writer = ByteWriter()
        for length in lengths { writer.append(UInt32(length)) }
        return Digest.sha256(of: writer.bytes.span).hex
    }

    @Test func `other: 2 MiB of random bytes`() throws {
        var random = ChunkerRandom(seed: 101)
        let lengths = try Chunker.test(.other).lengths(of: random.bytes(2 << 20))
        #expect(lengths.count == 128)
        #expect(lengths.prefix(6) == [15946, 8529, 20248, 10306, 18118, 10976])
        #expect(
            digest(lengths)
                == "b4b59f29f9bf9ec61c0ac32860555b2eda35053cc1319983530c1e8e0cf00ee1")
    }

    @Test func `other: 2 MiB of text`() {
        var random = ChunkerRandom(seed: 102)
        let lengths = Chunker.test().lengths(of: random.text(2 << 20))
        #expect(lengths.count == 126)
        #expect(lengths.prefix(6) == [16483, 23489, 14561, 14639, 14157, 17566])
        #expect(
            digest(lengths)
                == "4b565edf7b46c978ccd4aade8ed1be58336346efd28c6bf3f49c8298e7961de1")
    }

    @Test func `tar: an archive of small and large files`() {
        var random = ChunkerRandom(seed: 103)
        let archive = ChunkerArchive.random(&random, byteCountMin: 2 << 20)
        let lengths = Chunker.test().lengths(of: archive.bytes)
        #expect(lengths.count == 203)
        #expect(lengths.prefix(6) == [3584, 5233, 11217, 7102, 17039, 13849])
        #expect(
            digest(lengths)
                == "9398afbbba4917dbbff93b412d7a3db48de5cf6b3bd52305c8c57b43721ec07c")
    }

    @Test func `opaque: 2.5 MiB of random bytes`() {
        var random = ChunkerRandom(seed: 104)
        let lengths = Chunker.test().lengths(of: random.bytes(5 << 19))
        #expect(lengths == [1 << 20, 1 << 20, 1 << 19])
    }

    @Test func `the parameters are 20 bytes`() {
        #expect(
            ChunkerParameters.version1.encoded == [
                1, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x40, 0, 0, 0, 0, 1, 0, 0, 0, 0x10, 0,
            ])
    }

    @Test func `the state of an undecided chunker is 24 bytes`() {
        #expect(Chunker.test().savedState == [1] + [UInt8](repeating: 0, count: 23))
    }

    @Test func `the state inside a large file holds what is left of it and the next header`() {
        var archive = ChunkerArchive()
        archive.append([UInt8](repeating: 0x61, count: 200_000))
        var chunker = Chunker.test()
        var lengths: [Int] = []
        chunker.cut(archive.bytes.span.extracting(first: 70_000), isFinal: false, into: &lengths)
        #expect(lengths == [512, 65_536])
        // 134464 = 0x20d40 bytes of content, then 192 = 0xc0 of padding.
        let content: [UInt8] = [0x40, 0x0d, 2, 0, 0, 0, 0, 0]
        let header: [UInt8] = [0x00, 0x0e, 2, 0, 0, 0, 0, 0]
        #expect(chunker.savedState == [1, 2, 1, 0, 0, 0, 0, 0] + content + header)
    }
}
