// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

@Suite struct ChunkerProbeTests {
    private func layout(of blob: [UInt8]) -> BlobLayout? {
        var chunker = Chunker.test()
        var lengths: [Int] = []
        chunker.cut(blob.span, isFinal: true, into: &lengths)
        return chunker.layout
    }

    private static let magics: [[UInt8]] = [
        [0x1f, 0x8b, 8], [0x28, 0xb5, 0x2f, 0xfd], [0x50, 0x2a, 0x4d, 0x18],
        [0x5f, 0x2a, 0x4d, 0x18], [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], Array("BZh9".utf8),
        [0x04, 0x22, 0x4d, 0x18], Array("LZIP".utf8), Array("PK\u{3}\u{4}".utf8),
        [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], Array("Rar!\u{1a}\u{7}".utf8), [0xff, 0xd8, 0xff],
        [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], Array("GIF89a".utf8),
        Array("RIFF....WEBP".utf8), Array("....ftypisom".utf8), [0x1a, 0x45, 0xdf, 0xa3],
        Array("OggS".utf8), Array("fLaC".utf8), Array("age-encryption.org/v1".utf8),
        Array("Salted__".utf8),
    ]

    @Test(arguments: magics)
    func `a compressed or encrypted format is opaque`(magic: [UInt8]) {
        #expect(layout(of: magic + [UInt8](repeating: 0x20, count: 100)) == .opaque)
        #expect(layout(of: magic) == .opaque)
    }

    @Test func `a magic cut off is no magic`() {
        #expect(layout(of: [0x1f, 0x8b]) == .other)
        #expect(layout(of: [0x50, 0x2a, 0x4d]) == .other)
        #expect(layout(of: Array("RIFF....WEB".utf8)) == .other)
    }

    @Test func `random bytes are opaque, text and repetition are not`() {
        var random = ChunkerRandom(seed: 21)
        #expect(layout(of: random.bytes(64 << 10)) == .opaque)
        #expect(layout(of: random.bytes(4 << 10)) == .opaque)
        #expect(layout(of: random.bytes(1 << 10)) == .other)
        #expect(layout(of: random.text(64 << 10)) == .other)
        #expect(layout(of: [UInt8](repeating: 9, count: 64 << 10)) == .other)
        // Seven random bits a byte: base-coded text or samples, worth a look.
        #expect(layout(of: random.bytes(64 << 10).map { $0 & 0x7f }) == .other)
    }

    @Test func `only the first bytes decide`() {
        var random = ChunkerRandom(seed: 22)
        let text = random.text(Chunker.probeByteCount)
        #expect(layout(of: text + random.bytes(300_000)) == .other)
    }

    @Test func `an archive is a tar whatever is in it`() {
        var random = ChunkerRandom(seed: 23)
        var archive = ChunkerArchive()
        archive.append(random.bytes(200_000))
        #expect(layout(of: archive.bytes) == .tar)
    }

    @Test func `a magic without a valid checksum is no archive`() {
        var archive = ChunkerArchive()
        archive.append(Array("content".utf8))
        for offset in [0, 130, 148, 511] {
            var bytes = archive.bytes
            bytes[offset] ^= 1
            #expect(layout(of: bytes) == .other)
        }
    }

    @Test func `a valid checksum without the magic is no archive`() {
        var archive = ChunkerArchive()
        archive.appendHeader(
            name: "old", size: ChunkerArchive.octal(0, digits: 11), hasMagic: false)
        #expect(layout(of: archive.bytes) == .other)
        #expect(layout(of: [UInt8](repeating: 0, count: 512)) == .other)
        #expect(layout(of: Array(archive.bytes.prefix(511))) == .other)
    }
}
