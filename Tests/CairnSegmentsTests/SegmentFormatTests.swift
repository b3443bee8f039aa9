// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTesting
import Testing

@testable import CairnSegments

/// The file of a sealed segment with two records, a void, padding and a footer.
private struct Fixture {
    let bytes: [UInt8]
    let records: [RecordLocation: [UInt8]]

    init() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        var records: [RecordLocation: [UInt8]] = [:]
        let first = makeRecord([1, 2, 3], name: 0xAA)
        records[try store.append(first)] = first
        _ = code { () throws(SegmentError) in
            _ = try store.append(byteCount: 32) { (_) throws(CoreError) in
                throw CoreError(.corrupted, "on purpose")
            }
        }
        try store.sync()
        let second = makeRecord([UInt8](repeating: 0x5A, count: 200), name: 0xBB)
        records[try store.append(second)] = second
        try store.close()
        bytes = try #require(disk.contents(of: path(SegmentNumber(1))))
        self.records = records
    }

    /// A store whose first segment is some bytes; a second one keeps it from being the last.
    func open(_ bytes: [UInt8], isLast: Bool) throws -> LocalSegmentStore {
        let disk = SimulatedDisk()
        try disk.createDirectory("segments")
        disk.setContents(of: path(SegmentNumber(1)), to: bytes)
        let others: Range<UInt32> = isLast ? 2..<2 : 2..<4
        for number in others {
            let other = SegmentNumber(number)
            disk.setContents(of: path(other), to: Self.emptySegment(other))
        }
        return try LocalSegmentStore.openTiny(disk)
    }

    private static func emptySegment(_ number: SegmentNumber) -> [UInt8] {
        let header = SegmentFormat.Header(number: number, storeID: testStoreID)
        let footer = SegmentFormat.Footer(
            header: header, isRecovered: false, recordCount: 0,
            endOffset: SegmentFormat.contentOffset)
        return SegmentFormat.encode(header) + SegmentFormat.encode(footer)
    }
}

private func hex(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }.joined()
}

@Suite struct SegmentFormatTests {
    @Test func `the bytes of a segment are those of version 1`() throws {
        let bytes = try Fixture().bytes
        #expect(bytes.count == 4 * 4096)
        // Header.
        #expect(
            hex(bytes[0..<32])
                == "434149524e534547" + "01000000" + "01000000"
                + "0102030405060708090a0b0c0d0e0f10")
        #expect(bytes[32..<4092].allSatisfy { $0 == 0 })
        #expect(hex(bytes[4092..<4096]) == "cc5b095f")
        // First flush: a record of 96 bytes, a void of 32, zeros.
        #expect(hex(bytes[4096..<4104]) == "43524e3101000000")
        #expect(hex(bytes[4192..<4208]) == "43524e56" + "20000000" + "c3f0cc83" + "00000000")
        #expect(bytes[4208..<8192].allSatisfy { $0 == 0 })
        // Second flush.
        #expect(hex(bytes[8192..<8200]) == "43524e3101000000")
        // Footer.
        #expect(
            hex(bytes[12288..<12344])
                == "434149524e454e44" + "01000000" + "01000000"
                + "0102030405060708090a0b0c0d0e0f10" + "00000000" + "00000000"
                + "0200000000000000" + "0030000000000000")
        #expect(bytes[12344..<16380].allSatisfy { $0 == 0 })
        #expect(hex(bytes[16380..<16384]) == "d0c7511c")
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 6, 7])
    func `a flip of any bit of a sealed segment is found by a scan`(_ bit: Int) throws {
        let fixture = try Fixture()
        // All bits of what says something, one bit of each byte that is zero.
        for index in fixture.bytes.indices where fixture.bytes[index] != 0 || index % 8 == bit {
            var bytes = fixture.bytes
            bytes[index] ^= 1 << UInt8(bit)
            // A header of another version or number, its checksum being wrong, is only damage.
            let store = try fixture.open(bytes, isLast: false)
            let (records, report) = try store.records(SegmentNumber(1))
            #expect(!report.damage.isEmpty, "byte \(index)")
            #expect(
                report.damage.contains { $0.contains(UInt64(index)) }, "byte \(index)")
            for (location, record) in records {
                #expect(fixture.records[location] == record, "byte \(index)")
            }
            let lost = fixture.records.keys.filter { records[$0] == nil }
            let hit = lost.allSatisfy { location in
                (location.offset..<location.offset + UInt64(location.byteCount))
                    .contains(UInt64(index))
            }
            #expect(hit, "byte \(index) costs only the record that holds it")
        }
    }

    @Test func `a flip in the last segment is found or heals when the store is opened`() throws {
        let fixture = try Fixture()
        for index in fixture.bytes.indices {
            var bytes = fixture.bytes
            bytes[index] ^= 0x10
            let store = try fixture.open(bytes, isLast: true)
            let (records, report) = try store.records(SegmentNumber(1))
            if report.damage.isEmpty { #expect(records == fixture.records, "byte \(index)") }
            for (location, record) in records {
                #expect(fixture.records[location] == record, "byte \(index)")
            }
        }
    }

    @Test func `a segment that was cut anywhere shows no torn record`() throws {
        let fixture = try Fixture()
        for count in stride(from: 0, to: fixture.bytes.count, by: 1) {
            let bytes = Array(fixture.bytes.prefix(count))
            let store = try fixture.open(bytes, isLast: false)
            let (records, report) = try store.records(SegmentNumber(1))
            #expect(!report.damage.isEmpty, "cut to \(count)")
            for (location, record) in fixture.records {
                let isWhole = location.offset + UInt64(location.byteCount) <= UInt64(count)
                #expect((records[location] == record) == isWhole, "cut to \(count)")
                let read = try? store.read(location)
                #expect((read == record) == isWhole, "cut to \(count)")
            }
        }
    }

    @Test func `the last segment, cut anywhere, is recovered with all whole records`() throws {
        let fixture = try Fixture()
        for count in stride(from: 4096, to: fixture.bytes.count, by: 1) {
            let store = try fixture.open(Array(fixture.bytes.prefix(count)), isLast: true)
            let (records, report) = try store.records(SegmentNumber(1))
            #expect(report.damage == [], "cut to \(count)")
            for (location, record) in fixture.records {
                let isWhole = location.offset + UInt64(location.byteCount) <= UInt64(count)
                #expect((records[location] == record) == isWhole, "cut to \(count)")
            }
        }
    }

    @Test func `a segment of another store or another number is refused`() throws {
        let fixture = try Fixture()
        let others = [
            SegmentFormat.Header(number: SegmentNumber(2), storeID: testStoreID),
            SegmentFormat.Header(number: SegmentNumber(1), storeID: Octets16()),
        ]
        for other in others {
            let bytes = SegmentFormat.encode(other) + fixture.bytes.dropFirst(4096)
            #expect(
                code { () throws(SegmentError) in
                    let store = try? fixture.open(bytes, isLast: true)
                    if store == nil { throw SegmentError(.corrupted, "") }
                } == .corrupted)
            let store = try fixture.open(bytes, isLast: false)
            let location = try #require(fixture.records.keys.first)
            #expect(
                code { () throws(SegmentError) in _ = try store.read(location) } == .corrupted)
        }
    }

    @Test func `a segment of a later version is refused and not changed`() throws {
        let fixture = try Fixture()
        var bytes = fixture.bytes
        bytes[8] = 2
        let checksum = CRC32C.checksum(bytes.span.extracting(0..<4092))
        var span = bytes.mutableSpan
        span.setLittleEndian(checksum, at: 4092)
        let disk = SimulatedDisk()
        try disk.createDirectory("segments")
        disk.setContents(of: path(SegmentNumber(1)), to: bytes)
        #expect(
            code { () throws(SegmentError) in _ = try LocalSegmentStore.openTiny(disk) }
                == .unsupportedVersion)
        #expect(disk.contents(of: path(SegmentNumber(1))) == bytes)
    }

    @Test func `a record of a later version is no damage to be cut off`() throws {
        let fixture = try Fixture()
        var bytes = Array(fixture.bytes.dropLast(4096))
        bytes[8192 + 4] = 200
        let checksum = CRC32C.checksum(bytes.span.extracting(8192..<8192 + 64))
        var span = bytes.mutableSpan
        span.setLittleEndian(checksum, at: 8192 + 64)
        let disk = SimulatedDisk()
        try disk.createDirectory("segments")
        disk.setContents(of: path(SegmentNumber(1)), to: bytes)
        #expect(
            code { () throws(SegmentError) in _ = try LocalSegmentStore.openTiny(disk) }
                == .unsupportedVersion)
        #expect(disk.contents(of: path(SegmentNumber(1))) == bytes)
    }

    @Test func `only names of eight lower-case digits are segments`() {
        for number in [1, 0xAB, 0xFFFF_FFFF] as [UInt32] {
            let segment = SegmentNumber(number)
            #expect(SegmentFormat.number(ofFile: SegmentFormat.fileName(segment)) == segment)
        }
        #expect(SegmentFormat.fileName(SegmentNumber(0x2A)) == "0000002a.segment")
        let others = ["", "00000000.segment", "0000002A.segment", "2a.segment", "+000002a.segment"]
        for name in others { #expect(SegmentFormat.number(ofFile: name) == nil) }
    }
}
