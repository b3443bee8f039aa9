// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTesting
import Testing

@testable import CairnSegments

@Suite struct SegmentTests {
    @Test func `a record is readable before and after it is synced, sealed and reopened`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let record = makeRecord([1, 2, 3])
        let location = try store.append(record)
        #expect(disk.count(of: .write) == 1, "only the header is written by now")
        #expect(try store.read(location) == record)
        try store.sync()
        #expect(try store.read(location) == record)
        try store.close()
        let again = try LocalSegmentStore.openTiny(disk)
        #expect(try again.read(location) == record)
        #expect(try again.segments().map(\.isSealed) == [true])
        #expect(try again.segments().map(\.recordCount) == [1])
        try again.close()
    }

    @Test func `many records of all sizes come back from many segments`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        var numbers = SeededNumbers(seed: 1)
        var expected: [RecordLocation: [UInt8]] = [:]
        for _ in 0..<200 {
            let record = makeRecord(numbers.bytes(Int.random(in: 0...6000, using: &numbers)))
            expected[try store.append(record)] = record
        }
        for (location, record) in expected { #expect(try store.read(location) == record) }
        try store.close()
        let again = try LocalSegmentStore.openTiny(disk)
        var found: [RecordLocation: [UInt8]] = [:]
        for summary in try again.segments() {
            #expect(summary.isSealed)
            #expect(summary.byteCount <= SegmentConfiguration.tiny.segmentByteCount)
            let (records, report) = try again.records(summary.number)
            #expect(report.damage == [])
            #expect(!report.isRecovered)
            #expect(report.recordCount == summary.recordCount)
            found.merge(records) { first, _ in first }
        }
        #expect(found == expected)
        #expect(disk.unalignedWriteCount == 0)
    }

    @Test func `one append can hold several records and be read as a whole or apart`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let first = makeRecord([1], name: 1)
        let second = makeRecord([2, 2], name: 2)
        let location = try store.append(first + second)
        let number = location.segment
        let middle = location.offset + UInt64(first.count)
        #expect(try store.read(number, location.offset..<middle) == first)
        #expect(try store.read(number, middle..<middle + UInt64(second.count)) == second)
        let (records, report) = try store.records(number)
        #expect(records.count == 2)
        #expect(report.recordCount == 2)
        #expect(try store.segments().map(\.recordCount) == [2])
    }

    @Test func `a range may span what is on disk, what is being written and what is not`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        var whole: [UInt8] = []
        var first: RecordLocation?
        for index in 0..<5 {
            let record = makeRecord([UInt8](repeating: UInt8(index), count: 1500))
            let location = try store.append(record)
            if first == nil { first = location }
            let start = try #require(first).offset
            let gap = Int(location.offset - start) - whole.count
            whole += [UInt8](repeating: 0, count: gap) + record
            if index == 1 { try store.sync() }
        }
        let location = try #require(first)
        let range = location.offset..<location.offset + UInt64(whole.count)
        #expect(try store.read(location.segment, range) == whole)
    }

    @Test func `a closure that throws leaves a void that nothing stumbles over`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let before = try store.append(makeRecord([1]))
        let failed = code { () throws(SegmentError) in
            _ = try store.append(byteCount: 160) { (bytes) throws(CoreError) in
                bytes[100] = 0xFF
                throw CoreError(.corrupted, "the source is damaged")
            }
        }
        #expect(failed == .fillFailed)
        let after = try store.append(makeRecord([2]))
        try store.close()
        let again = try LocalSegmentStore.openTiny(disk)
        let (records, report) = try again.records(before.segment)
        #expect(Set(records.keys) == [before, after])
        #expect(report.damage == [])
        #expect(report.recordCount == 2)
    }

    @Test func `bytes that are no whole records are refused`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let record = makeRecord([1, 2, 3])
        let refused = code { () throws(SegmentError) in
            _ = try store.append(byteCount: record.count + 16) { (bytes) throws(CoreError) in
                bytes.zero(0..<bytes.count)
                bytes.copy(record.span)
            }
        }
        #expect(refused == .invalidArgument)
        #expect(try store.segments().map(\.recordCount) == [0])
    }

    @Test(arguments: [0, 8, 12, 17, 100]) func `a length that cannot be is refused`(
        _ byteCount: Int
    ) throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let refused = code { () throws(SegmentError) in
            _ = try store.append(byteCount: byteCount) { (_) throws(CoreError) in }
        }
        #expect(refused == .invalidArgument)
    }

    @Test func `the largest append fits and one more byte is refused`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let room = store.appendByteCountMax
        let overhead = makeRecord([]).count
        let record = makeRecord([UInt8](repeating: 9, count: room - overhead))
        #expect(record.count == room)
        #expect(try store.read(store.append(record)) == record)
        let refused = code { () throws(SegmentError) in
            _ = try store.append(byteCount: room + 8) { (_) throws(CoreError) in }
        }
        #expect(refused == .limitExceeded)
    }

    @Test func `stale locations are named errors`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let location = try store.append(makeRecord([1]))
        func codeOfReading(_ segment: UInt32, _ offset: UInt64, _ count: Int) -> SegmentError.Code?
        {
            code { () throws(SegmentError) in
                _ = try store.read(
                    RecordLocation(
                        segment: SegmentNumber(segment), offset: offset, byteCount: UInt32(count)))
            }
        }
        let number = location.segment.rawValue
        let count = Int(location.byteCount)
        #expect(codeOfReading(number + 1, location.offset, count) == .segmentUnknown)
        #expect(codeOfReading(number, location.offset + 8, count) == .locationInvalid)
        #expect(codeOfReading(number, location.offset + 4, count) == .locationInvalid)
        #expect(codeOfReading(number, 0, count) == .locationInvalid)
        #expect(codeOfReading(number, UInt64.max - 7, count) == .locationInvalid)
        try store.seal()
        #expect(codeOfReading(number, location.offset + 4096, count) == .locationInvalid)
        #expect(codeOfReading(number, location.offset, count) == nil)
    }

    @Test func `a room of the wrong size is refused`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let location = try store.append(makeRecord([1]))
        let refused = code { () throws(SegmentError) in
            var bytes = [UInt8](repeating: 0, count: Int(location.byteCount) - 8)
            var span = bytes.mutableSpan
            try store.read(location, into: &span)
        }
        #expect(refused == .invalidArgument)
    }

    @Test func `a second sync without an append in between costs nothing`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        _ = try store.append(makeRecord([1]))
        try store.sync()
        let changes = disk.changeCount
        try store.sync()
        #expect(disk.changeCount == changes)
        let before = SimulatedOperation.allCases.map(disk.count(of:))
        _ = try store.append(makeRecord([2]))
        try store.sync()
        let after = SimulatedOperation.allCases.map(disk.count(of:))
        let calls = zip(SimulatedOperation.allCases, zip(after, before)).filter { $1.0 != $1.1 }
        #expect(calls.map(\.0) == [.write, .sync, .allocate], "no directory is synced again")
        #expect(calls.allSatisfy { $1.0 - $1.1 == 1 })
    }

    @Test func `opening looks at the last two segments only`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        for _ in 0..<20 {
            _ = try store.append(makeRecord([1]))
            try store.seal()
        }
        try store.close()
        let before = disk.count(of: .open)
        let again = try LocalSegmentStore.openTiny(disk)
        #expect(disk.count(of: .open) - before == 2)
        #expect(try again.segments().count == 20)
        #expect(try again.segments().allSatisfy { $0.recordCount == 1 })
    }

    @Test func `a store that was closed opens and reads where nothing can be written`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let location = try store.append(makeRecord([1]))
        try store.close()
        for operation in SimulatedOperation.allCases where operation.isChange {
            // A sync has nothing to do on such a file system, and succeeds.
            if operation == .sync || operation == .syncDirectory { continue }
            disk.fail(operation, at: 1, count: nil, .error(.readOnly))
        }
        let again = try LocalSegmentStore.openTiny(disk)
        #expect(try again.read(location) == makeRecord([1]))
        let refused = code { () throws(SegmentError) in _ = try again.append(makeRecord([2])) }
        #expect(refused == .readOnly)
    }

    @Test func `no more files stay open than configured`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        var locations: [RecordLocation] = []
        for index in 0..<10 {
            locations.append(try store.append(makeRecord([UInt8(index)])))
            try store.seal()
        }
        for location in locations + locations.reversed() {
            _ = try store.read(location)
            #expect(disk.openFileCount <= SegmentConfiguration.tiny.readFileCountMax)
        }
        try store.close()
        #expect(disk.openFileCount == 0)
    }

    @Test func `after closing every call is refused`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let location = try store.append(makeRecord([1]))
        try store.close()
        try store.close()
        #expect(code { () throws(SegmentError) in try store.sync() } == .closed)
        #expect(code { () throws(SegmentError) in _ = try store.read(location) } == .closed)
        #expect(code { () throws(SegmentError) in _ = try store.segments() } == .closed)
        #expect(code { () throws(SegmentError) in try store.seal() } == .closed)
        #expect(
            code { () throws(SegmentError) in try store.delete(location.segment) } == .closed)
        #expect(
            code { () throws(SegmentError) in _ = try store.append(makeRecord([2])) } == .closed)
        #expect(
            code { () throws(SegmentError) in _ = try store.records(location.segment) } == .closed)
    }

    @Test func `a configuration that cannot work is refused`() throws {
        let changes: [(inout SegmentConfiguration) -> Void] = [
            { $0.bufferByteCount = 4097 }, { $0.bufferByteCount = 0 },
            { $0.segmentByteCount = 8192 }, { $0.segmentByteCount = (32 << 10) + 1 },
            { $0.bufferCountMax = 0 }, { $0.readFileCountMax = 0 },
            { $0.reservedByteCountMin = 0 }, { $0.reservedByteCountMin = 1 << 40 },
        ]
        for change in changes {
            var configuration = SegmentConfiguration.tiny
            change(&configuration)
            let refused = code { () throws(SegmentError) in
                _ = try LocalSegmentStore.open(
                    disk: SimulatedDisk(), storeID: testStoreID, configuration: configuration)
            }
            #expect(refused == .invalidArgument)
        }
    }

    @Test func `names that are no segments are left alone and reported`() throws {
        let disk = SimulatedDisk()
        try LocalSegmentStore.openTiny(disk).close()
        let names = ["00000000.segment", "0000000A.segment", "1.segment", "notes.txt"]
        for name in names { disk.setContents(of: "segments/" + name, to: [1]) }
        let store = try LocalSegmentStore.openTiny(disk)
        #expect(store.foreignNames == names)
        #expect(try store.segments() == [])
    }
}

// MARK: - Deleting

@Suite struct SegmentDeletionTests {
    @Test func `a deleted segment is gone for good and its number is never used again`() throws {
        let disk = SimulatedDisk()
        var used: Set<SegmentNumber> = []
        for _ in 0..<4 {
            let store = try LocalSegmentStore.openTiny(disk)
            let location = try store.append(makeRecord([1]))
            #expect(used.insert(location.segment).inserted)
            try store.seal()
            try store.delete(location.segment)
            #expect(
                code { () throws(SegmentError) in _ = try store.read(location) }
                    == .segmentUnknown)
            try store.close()
            #expect(disk.contents(of: path(location.segment)) == nil)
        }
        let store = try LocalSegmentStore.openTiny(disk)
        #expect(try store.segments().count <= 1, "what keeps the last number is one empty file")
    }

    @Test func `a segment that is not sealed or not there cannot be deleted`() throws {
        let store = try LocalSegmentStore.openTiny(SimulatedDisk())
        let location = try store.append(makeRecord([1]))
        #expect(
            code { () throws(SegmentError) in try store.delete(location.segment) }
                == .invalidArgument)
        #expect(
            code { () throws(SegmentError) in try store.delete(SegmentNumber(77)) }
                == .segmentUnknown)
    }

    @Test func `a removal that fails changes nothing`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let record = makeRecord([1])
        let location = try store.append(record)
        try store.seal()
        disk.fail(.remove, at: 1)
        #expect(
            code { () throws(SegmentError) in try store.delete(location.segment) } == .io)
        #expect(try store.read(location) == record)
        try store.delete(location.segment)
    }

    @Test func `a reader that holds the file finishes after the deletion`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let record = makeRecord([1, 2, 3])
        let location = try store.append(record)
        try store.seal()
        let file = try store.readFiles.file(location.segment)
        try store.delete(location.segment)
        var bytes = [UInt8](repeating: 0, count: record.count)
        var span = bytes.mutableSpan
        #expect(try file.read(into: &span, at: location.offset) == record.count)
        #expect(bytes == record)
    }
}
