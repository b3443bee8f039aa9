// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct RecordFuzzTests {
    @Test(arguments: [UInt64(1), 2, 3])
    func `random bytes are no record`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...200, using: &generator)
            let bytes = TestData.random(count, seed: generator.next())
            #expect(failure(parsing: bytes) == .corrupted)
        }
    }

    /// The checksum fits and most values are near legal ones, so that every check is reached.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func `a forged header is refused or describes a record within the limits`(
        seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        var parsed = 0
        for _ in 0..<20_000 {
            let bytes = forgedHeader(&generator)
            do throws(CoreError) {
                let header = try RecordHeader(parsing: bytes.span)
                parsed += 1
                #expect(header.plaintextByteCount <= RecordHeader.plaintextByteCountMax)
                #expect(header.payloadByteCount <= RecordHeader.plaintextByteCountMax + 1_024)
                #expect(header.recordByteCount % 8 == 0)
                let error = #expect(throws: CoreError.self) {
                    try Record.verifyChecksums(bytes.span)
                }
                #expect(error?.code == .corrupted)
            } catch {
                #expect([.corrupted, .unsupportedVersion].contains(error.code))
            }
        }
        #expect(parsed > 100)
    }

    @Test func `an intact header with an unknown value says that a later version wrote it`() throws
    {
        for (offset, value) in [(4, UInt8(0)), (4, 7), (6, 2), (7, 1), (7, 0x80)] {
            var record = try RecordKit(suite: .convergent).seal([1, 2, 3])
            record[offset] = value
            #expect(failure(parsing: record) == .corrupted)
            repairChecksums(&record)
            #expect(failure(parsing: record) == .unsupportedVersion)
        }
    }

    @Test func `a prefix of 20 bytes tells the header's size`() throws {
        for suite in RecordSuite.allCases {
            let record = try RecordKit(suite: suite).seal([1])
            let prefix = Array(record.prefix(RecordHeader.prefixByteCount))
            let byteCount = try RecordHeader.byteCount(ofPrefix: prefix.span)
            #expect(byteCount == 56 + suite.fieldByteCount)
            #expect(byteCount <= RecordHeader.byteCountMax)
            #expect(failure(parsing: Array(record.prefix(byteCount))) == nil)
            for count in 0..<byteCount {
                #expect(failure(parsing: Array(record.prefix(count))) == .corrupted)
            }
            for count in 0..<RecordHeader.prefixByteCount {
                let short = Array(record.prefix(count))
                #expect(throws: CoreError(.corrupted, "")) {
                    try RecordHeader.byteCount(ofPrefix: short.span)
                }
            }
        }
    }

    /// Whoever holds the key, or breaks a sealer, still cannot make a decoder trap.
    @Test(arguments: [UInt64(1), 2])
    func `a sealed payload that is no LZ4 block is refused`(seed: UInt64) throws {
        let kit = RecordKit(suite: .none, compress: true)
        let record = try kit.seal(TestData.compressible(2_000, seed: seed))
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            var forged = record
            let offset = Int.random(in: 68..<record.count - 24, using: &generator)
            forged[offset] = UInt8.random(in: .min ... .max, using: &generator)
            repairChecksums(&forged)
            guard forged != record else { continue }
            #expect(kit.failure(of: forged) == .corrupted)
        }
    }

    private func forgedHeader(_ generator: inout SeededGenerator) -> [UInt8] {
        let byteCount = Int.random(in: 120...160, using: &generator)
        var bytes = TestData.random(byteCount, seed: generator.next())
        bytes.replaceSubrange(0..<4, with: Array("CRN1".utf8))
        bytes[4] = UInt8.random(in: 0...7, using: &generator)
        bytes[5] = UInt8.random(in: 0...2, using: &generator)
        bytes[6] = UInt8.random(in: 0...2, using: &generator)
        bytes[7] = generator.next() % 8 == 0 ? 1 : 0
        if bytes[5] == 0 { bytes.replaceSubrange(52..<64, with: repeatElement(0, count: 12)) }
        let limits = [UInt32(0), 1, 65_536, 65_552, 65_553, 131_088, 4 << 20, (4 << 20) + 1, .max]
        func count() -> UInt32 {
            let base = limits[Int(generator.next() % UInt64(limits.count))]
            return generator.next() % 2 == 0 ? base : base &- UInt32(generator.next() % 20)
        }
        let plaintext = count()
        let payload = generator.next() % 2 == 0 ? plaintext : count()
        var span = bytes.mutableSpan
        span.setLittleEndian(plaintext, at: 12)
        span.setLittleEndian(payload, at: 16)
        repairChecksums(&bytes)
        return bytes
    }

    private func failure(parsing bytes: [UInt8]) -> CoreError.Code? {
        do throws(CoreError) {
            _ = try RecordHeader(parsing: bytes.span)
            return nil
        } catch { return error.code }
    }
}
