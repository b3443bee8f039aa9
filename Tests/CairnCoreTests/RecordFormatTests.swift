// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

/// Records written by another implementation of the format.
///
/// It uses Python's `cryptography` 48 and a bitwise CRC-32C. The records pin every field, the
/// associated data, the key derivation and the frames.
@Suite struct RecordFormatTests {
    /// The record of "cairn" in the circumstances of ``RecordKit``, every random byte being a5.
    static let records: [(suite: RecordSuite, hex: String)] = [
        (
            .none,
            """
            43524e310100000007000000050000000500000011111111111111111111111111111111
            111111111111111111111111111111110000000000000000000000000f649fcc63616972
            6e78dd9c255728781c03a41c0cb0932668c1b5b662000000
            """
        ),
        (
            .convergent,
            """
            43524e310101000007000000050000000500000011111111111111111111111111111111
            11111111111111111111111111111111a5a5a5a5a5a5a5a5a5a5a5a5a8b41f81fdce2e87
            83174fbc07db06de07ed757c851474643902992b6c000000
            """
        ),
        (
            .committed,
            """
            43524e310102000007000000050000000500000011111111111111111111111111111111
            11111111111111111111111111111111a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5
            a5a5a5a5a5a5a5a5a5a5a5a55d67365971ae27dbd659a89e138a0aca246c5b1c9dbaba75
            947e200cc1015ebba9b0cc42f48f5e37662f3e2b6244f2b4085fd0dd96985a1eb1a2fa86
            1f00000000000000
            """
        ),
    ]

    /// SHA-256 of the record of 140,000 bytes, byte i being 7i mod 256: three frames in suite 2.
    static let longRecords: [(suite: RecordSuite, digest: String)] = [
        (.none, "193a1a2bd993fb0ce7fb6b060948dff5060497133aebc1858f0434b0bd2dcf98"),
        (.convergent, "1f339862eb9b851c2ef4e2357bac1e02cf3f1c330bcad0a5444d20ff4e08c019"),
        (.committed, "c083fa11da503a811de48fdca92a0365f0c637245e32b8d8ee3fd817361765c5"),
    ]

    @Test(arguments: records.indices)
    func `a record has the bytes that another implementation gives it`(index: Int) throws {
        let (suite, hex) = Self.records[index]
        let kit = RecordKit(suite: suite)
        var sealer = try RecordSealer(random: ConstantRandom())
        let record = try kit.seal(Array("cairn".utf8), with: &sealer)
        #expect(record == [UInt8](hex: hex))
        #expect(try kit.open([UInt8](hex: hex)) == Array("cairn".utf8))
    }

    @Test(arguments: longRecords.indices)
    func `a longer record has the digest that another implementation gives it`(index: Int) throws {
        let (suite, digest) = Self.longRecords[index]
        let plaintext = (0..<140_000).map { UInt8($0 * 7 % 256) }
        var sealer = try RecordSealer(random: ConstantRandom())
        let record = try RecordKit(suite: suite).seal(plaintext, with: &sealer)
        #expect(SHA256.digest(of: record.span).bytes.hex == digest)
    }
}

/// Gives one byte over and over, so that a record has the same bytes each time.
private struct ConstantRandom: RandomSource {
    func fill(_ bytes: inout MutableSpan<UInt8>) {
        for index in bytes.indices { bytes[index] = 0xa5 }
    }
}
