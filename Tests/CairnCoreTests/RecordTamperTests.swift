// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct RecordTamperTests {
    static let kits: [RecordKit] = RecordSuite.allCases.flatMap { suite in
        [RecordKit(suite: suite), RecordKit(suite: suite, compress: true)]
    }

    @Test(arguments: kits.indices)
    func `every single flipped bit is detected`(index: Int) throws {
        let kit = Self.kits[index]
        let record = try kit.seal(TestData.compressible(301, seed: 1))
        #expect(kit.failure(of: record) == nil)
        for bit in 0..<record.count * 8 {
            var damaged = record
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: CoreError.self) { try Record.verifyChecksums(damaged.span) }
            #expect(kit.failure(of: damaged) != nil, "bit \(bit)")
        }
    }

    @Test(arguments: kits.indices)
    func `a flipped bit is detected although the checksums fit`(index: Int) throws {
        let kit = Self.kits[index]
        let record = try kit.seal(TestData.compressible(301, seed: 1))
        for bit in 0..<record.count * 8 {
            var forged = record
            forged[bit / 8] ^= 1 << (bit % 8)
            repairChecksums(&forged)
            // A flip in a checksum itself has just been undone.
            guard forged != record else { continue }
            #expect(kit.failure(of: forged) != nil, "bit \(bit)")
        }
    }

    @Test(arguments: [UInt64(1), 2])
    func `a flipped bit is detected in any frame of a long record`(seed: UInt64) throws {
        let kit = RecordKit(suite: .committed)
        let record = try kit.seal(TestData.random(200_000, seed: seed))
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            let bit = Int.random(in: 0..<record.count * 8, using: &generator)
            var damaged = record
            damaged[bit / 8] ^= 1 << (bit % 8)
            #expect(kit.failure(of: damaged) != nil, "bit \(bit), seed \(seed)")
            repairChecksums(&damaged)
            guard damaged != record else { continue }
            #expect(kit.failure(of: damaged) != nil, "bit \(bit), seed \(seed)")
        }
    }

    @Test(arguments: kits.indices)
    func `a record cut or extended anywhere is refused`(index: Int) throws {
        let kit = Self.kits[index]
        let record = try kit.seal(TestData.compressible(301, seed: 1))
        for count in 0..<record.count {
            let cut = Array(record.prefix(count))
            #expect(kit.failure(of: cut) == .corrupted)
            #expect(throws: CoreError(.corrupted, "")) { try Record.verifyChecksums(cut.span) }
        }
        #expect(kit.failure(of: record + [0]) == .corrupted)
        #expect(kit.failure(of: record + [UInt8](repeating: 0, count: 8)) == .corrupted)
    }

    @Test(arguments: RecordSuite.allCases)
    func `a record opens nowhere but where it belongs`(suite: RecordSuite) throws {
        var kit = RecordKit(suite: suite)
        kit.binding = [UInt8](repeating: 0x55, count: 32)
        let record = try kit.seal(TestData.random(100, seed: 1))
        #expect(kit.failure(of: record) == nil)
        let changes: [(String, (inout RecordKit) -> Void)] = [
            ("store", { $0.storeID[3] ^= 1 }), ("owner", { $0.ownerID[15] ^= 1 }),
            ("name", { $0.name[0] ^= 1 }), ("binding", { $0.binding?[31] ^= 1 }),
            ("no binding", { $0.binding = nil }), ("type", { $0.type = .recipe }),
        ]
        for (what, change) in changes {
            var other = kit
            change(&other)
            #expect(other.failure(of: record) == .corrupted, "\(what)")
        }
        for other in RecordSuite.allCases where other != suite {
            var expecting = kit
            expecting.suite = other
            #expect(expecting.failure(of: record) == .corrupted)
        }
        if suite != .none {
            var other = kit
            other.key[5] ^= 1
            #expect(other.failure(of: record) == .corrupted)
            other.key.removeLast()
            #expect(other.failure(of: record) == .invalidArgument)
        }
    }

    @Test(arguments: [RecordSuite.convergent, .committed])
    func `a header rewritten to suit its new place does not open`(suite: RecordSuite) throws {
        let kit = RecordKit(suite: suite)
        let record = try kit.seal(TestData.random(100, seed: 1))
        // The thief moves the record to another name, type and key slot, with fitting checksums.
        let changes: [(offset: Int, value: UInt8, change: (inout RecordKit) -> Void)] = [
            (4, RecordType.recipe.rawValue, { $0.type = .recipe }),
            (8, 8, { $0.keySlot = 8 }),
            (20, 0x99, { $0.name[0] = 0x99 }),
        ]
        for (offset, value, change) in changes {
            var moved = record
            moved[offset] = value
            repairChecksums(&moved)
            var other = kit
            change(&other)
            #expect(try Record.verifyChecksums(moved.span).recordByteCount == moved.count)
            #expect(other.failure(of: moved) == .corrupted)
        }
    }

    @Test func `payloads of two records cannot be exchanged`() throws {
        for suite in RecordSuite.allCases {
            var kit = RecordKit(suite: suite)
            let first = try kit.seal(TestData.random(100, seed: 1), seed: 1)
            kit.name[0] = 0x99
            let second = try kit.seal(TestData.random(100, seed: 2), seed: 2)
            let headerByteCount = 56 + suite.fieldByteCount
            var spliced = Array(first[..<headerByteCount] + second[headerByteCount...])
            repairChecksums(&spliced)
            #expect(RecordKit(suite: suite).failure(of: spliced) == .corrupted)
        }
    }

    @Test func `frames cannot be exchanged, dropped or doubled`() throws {
        let kit = RecordKit(suite: .committed)
        let record = try kit.seal(TestData.random(3 * 65_536, seed: 1))
        let (start, frame) = (120, 65_536 + 16)
        func frameRange(_ index: Int) -> Range<Int> {
            start + index * frame..<start + (index + 1) * frame
        }
        var exchanged = record
        exchanged.replaceSubrange(frameRange(0), with: record[frameRange(1)])
        exchanged.replaceSubrange(frameRange(1), with: record[frameRange(0)])
        var doubled = record
        doubled.replaceSubrange(frameRange(1), with: record[frameRange(0)])
        // Without its last frame, the record is one of 128 KiB with all counts adapted.
        var shorter = Array(record[..<frameRange(1).upperBound])
        var span = shorter.mutableSpan
        span.setLittleEndian(UInt32(2 * 65_536), at: 12)
        span.setLittleEndian(UInt32(2 * 65_536 + 16), at: 16)
        shorter += [0, 0, 0, 0]
        shorter += [UInt8](repeating: 0, count: (8 - shorter.count % 8) % 8)
        for forged in [exchanged, doubled, shorter] {
            var forged = forged
            repairChecksums(&forged)
            #expect(throws: Never.self) { try Record.verifyChecksums(forged.span) }
            #expect(kit.failure(of: forged) == .corrupted)
        }
    }

    @Test func `a record without protection cannot take the place of a sealed one`() throws {
        let forged = try RecordKit(suite: .none).seal(Array("chosen by the attacker".utf8))
        #expect(RecordKit(suite: .convergent).failure(of: forged) == .corrupted)
        #expect(RecordKit(suite: .committed).failure(of: forged) == .corrupted)
    }

    @Test(arguments: kits.indices)
    func `no byte of a record that fails is handed out`(index: Int) throws {
        let kit = Self.kits[index]
        let plaintext = TestData.compressible(150_000, seed: 1)
        var record = try kit.seal(plaintext)
        record[record.count - 30] ^= 1
        repairChecksums(&record)
        var sealer = try RecordSealer(random: SeededRandom(seed: 1))
        var room = [UInt8](repeating: 0xee, count: plaintext.count)
        var span = room.mutableSpan
        let error = #expect(throws: CoreError.self) {
            try sealer.open(
                record.span, expecting: .chunk, suite: kit.suite, name: Octets32(kit.name.span),
                key: kit.key.span, scope: kit.scope, into: &span)
        }
        #expect(error?.code == .corrupted)
        #expect(room.allSatisfy { $0 == 0 })
    }
}
