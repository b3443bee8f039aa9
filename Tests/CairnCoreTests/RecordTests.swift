// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct RecordTests {
    /// Around every edge of the codec, the frames and the filling.
    static let counts = [
        0, 1, 7, 8, 9, 100, 4_096, 65_535, 65_536, 65_537, 65_551, 65_552, 131_072, 131_073,
        200_000,
    ]

    @Test(arguments: RecordSuite.allCases, counts)
    func `a record opens to what was sealed`(suite: RecordSuite, count: Int) throws {
        for compress in [false, true] {
            let kit = RecordKit(suite: suite, compress: compress)
            for plaintext in [
                TestData.random(count, seed: 1), TestData.compressible(count, seed: 2),
            ] {
                let record = try kit.seal(plaintext)
                let header = try Record.verifyChecksums(record.span)
                #expect(header.type == .chunk)
                #expect(header.suite == suite)
                #expect(header.keySlot == 7)
                #expect(header.plaintextByteCount == count)
                #expect(header.name.bytes == kit.name)
                #expect(header.recordByteCount == record.count)
                #expect(record.count % RecordHeader.alignment == 0)
                if !compress { #expect(header.codec == .raw) }
                #expect(try kit.open(record) == plaintext)
            }
        }
    }

    @Test func `text is compressed when asked for, and noise is not`() throws {
        let kit = RecordKit(suite: .convergent, compress: true)
        let text = try kit.seal(TestData.compressible(65_536, seed: 1))
        #expect(try RecordHeader(parsing: text.span).codec == .lz4)
        #expect(text.count < 40_000)
        let noise = try kit.seal(TestData.random(65_536, seed: 1))
        #expect(try RecordHeader(parsing: noise.span).codec == .raw)
    }

    @Test(arguments: RecordSuite.allCases)
    func `one sealer works on records of all kinds in turn`(suite: RecordSuite) throws {
        var sealer = try RecordSealer(random: SeededRandom(seed: 1))
        for index in 0..<60 {
            var kit = RecordKit(suite: suite, compress: index % 3 != 0)
            kit.type = RecordType.allCases[index % RecordType.allCases.count]
            let plaintext = TestData.compressible(index * 1_777, seed: UInt64(index))
            let record = try kit.seal(plaintext, with: &sealer)
            #expect(try kit.open(record, with: &sealer) == plaintext)
        }
    }

    @Test func `no two records share a nonce or a salt`() throws {
        var sealer = try RecordSealer(random: SeededRandom(seed: 1))
        var fields: Set<[UInt8]> = []
        for _ in 0..<200 {
            let first = try RecordKit(suite: .convergent).seal([1], with: &sealer)
            fields.insert(Array(first[52..<64]))
            let second = try RecordKit(suite: .committed).seal([1], with: &sealer)
            fields.insert(Array(second[52..<84]))
        }
        #expect(fields.count == 400)
    }

    @Test func `the plaintext is not in the record unless the suite says so`() throws {
        let plaintext = Array("a word that must not be read by anyone".utf8)
        for suite in RecordSuite.allCases {
            let record = try RecordKit(suite: suite).seal(plaintext)
            let isReadable = record.indices.contains { record[$0...].starts(with: plaintext) }
            #expect(isReadable == (suite == .none))
        }
    }

    @Test func `a record has the layout of the format`() throws {
        var kit = RecordKit(suite: .none)
        kit.type = .metadata
        kit.storeID = [UInt8](repeating: 0, count: 16)
        kit.ownerID = kit.storeID
        kit.name = [UInt8](0..<32)
        let record = try kit.seal(Array("cairn".utf8))
        let expected = """
            43524e31 05 00 00 00 07000000 05000000 05000000
            000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
            000000000000000000000000 HHHHHHHH 636169726e
            """.filter { !$0.isWhitespace }
        #expect(record.count == 96)
        #expect(record.hex.hasPrefix(String(expected.prefix(while: { $0 != "H" }))))
        #expect(Array(record[68..<73]) == Array("cairn".utf8))
        #expect(record[93...].allSatisfy { $0 == 0 })
    }

    @Test func `a plan tells its record's size, and only the last plan can be sealed`() throws {
        var sealer = try RecordSealer(random: SeededRandom(seed: 1))
        let text = TestData.compressible(10_000, seed: 1)
        let old = try sealer.plan(text.span, compress: true, suite: .convergent)
        let new = try sealer.plan(text.span, compress: false, suite: .convergent)
        #expect(new.recordByteCount == (56 + 12 + 10_000 + 20 + 7) / 8 * 8)
        #expect(old.recordByteCount < new.recordByteCount)
        #expect(failure(&sealer, old, text, room: old.recordByteCount) == .invalidArgument)
        #expect(failure(&sealer, new, text, room: new.recordByteCount - 8) == .invalidArgument)
        #expect(failure(&sealer, new, [1], room: new.recordByteCount) == .invalidArgument)
        #expect(
            failure(&sealer, new, text, room: new.recordByteCount, keyByteCount: 31)
                == .invalidArgument)
        #expect(failure(&sealer, new, text, room: new.recordByteCount) == nil)
    }

    @Test func `four mebibytes are a record and one byte more is none`() throws {
        var sealer = try RecordSealer(random: SeededRandom(seed: 1))
        let bytes = [UInt8](repeating: 0, count: RecordHeader.plaintextByteCountMax + 1)
        var span = bytes.span
        let error = #expect(throws: CoreError.self) {
            try sealer.plan(span, compress: true, suite: .committed)
        }
        #expect(error?.code == .limitExceeded)
        span = bytes.span.extracting(1...)
        for compress in [false, true] {
            let kit = RecordKit(suite: .committed, compress: compress)
            let plaintext = Array(bytes.dropFirst())
            let record = try kit.seal(plaintext, with: &sealer)
            #expect(try kit.open(record, with: &sealer) == plaintext)
        }
    }

    @Test func `an owned room of the wrong size is refused`() throws {
        var sealer = try RecordSealer(random: SeededRandom(seed: 1))
        let kit = RecordKit(suite: .convergent)
        let record = try kit.seal([1, 2, 3])
        for count in [0, 2, 4] {
            var room = [UInt8](repeating: 0xee, count: count)
            var span = room.mutableSpan
            let error = #expect(throws: CoreError.self) {
                try sealer.open(
                    record.span, expecting: .chunk, suite: .convergent,
                    name: Octets32(kit.name.span), key: kit.key.span, scope: kit.scope,
                    into: &span)
            }
            #expect(error?.code == .invalidArgument)
        }
    }

    private func failure(
        _ sealer: inout RecordSealer, _ plan: RecordPlan, _ plaintext: [UInt8], room: Int,
        keyByteCount: Int = 32
    ) -> CoreError.Code? {
        var record = [UInt8](repeating: 0, count: room)
        let key = [UInt8](repeating: 1, count: keyByteCount)
        var span = record.mutableSpan
        do throws(CoreError) {
            try sealer.seal(
                plan, plaintext.span, type: .chunk, name: Octets32(), keySlot: 0, key: key.span,
                scope: RecordKit(suite: plan.suite).scope, into: &span)
            return nil
        } catch { return error.code }
    }
}
