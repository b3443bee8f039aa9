// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, B.4, and the check value of the CRC catalogue.
    static let vectors: [(bytes: [UInt8], checksum: UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        ([UInt8](0..<32), 0x46dd_794e),
        ([UInt8]((0..<32).reversed()), 0x113f_db5c),
        (
            [UInt8](
                hex: """
                    01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018
                    28000000 00000000 02000000 00000000
                    """), 0xd996_3a56
        ),
        (Array("123456789".utf8), 0xe306_9283),
        ([], 0),
    ]

    @Test(arguments: vectors.indices)
    func `the published examples give the published checksums`(index: Int) {
        let (bytes, checksum) = Self.vectors[index]
        #expect(CRC32C.checksum(bytes.span) == checksum)
        #expect(CRC32C.portableChecksum(bytes.span) == checksum)
    }

    @Test func `instruction and table agree at every length and alignment`() {
        let bytes = TestData.random(2_400, seed: 1)
        for count in 0...1_700 {
            let span = bytes.span.extracting(count % 19..<count % 19 + count)
            #expect(CRC32C.checksum(span) == CRC32C.portableChecksum(span))
        }
        let long = TestData.random(90_000, seed: 2)
        for count in [12_287, 12_288, 12_289, 24_576, 36_863 + 800, 65_536, 90_000] {
            let span = long.span.extracting(0..<count)
            #expect(CRC32C.checksum(span) == CRC32C.portableChecksum(span))
        }
    }

    @Test func `a checksum continues over any cut`() {
        let bytes = TestData.random(14_000, seed: 3)
        let whole = CRC32C.checksum(bytes.span)
        for cut in stride(from: 0, through: bytes.count, by: 97) {
            let first = CRC32C.checksum(bytes.span.extracting(0..<cut))
            #expect(CRC32C.checksum(bytes.span.extracting(cut...), continuing: first) == whole)
        }
    }
}
