// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTesting
import Testing

@testable import CairnSegments

/// One fault: which kind of call fails, how, and for how long.
struct FaultCase: Sendable, CustomTestStringConvertible {
    let operation: SimulatedOperation
    let effect: SimulatedFault
    let count: Int?

    var testDescription: String {
        "\(operation.rawValue) fails with \(effect), \(count == nil ? "for ever" : "once")"
    }

    static let all: [FaultCase] = {
        let operations: [SimulatedOperation] = [
            .open, .create, .read, .write, .sync, .allocate, .truncate, .byteCount, .remove,
            .list, .createDirectory, .syncDirectory, .exists,
        ]
        let codes: [DiskError.Code] = [.outOfSpace, .io]
        var cases: [FaultCase] = []
        for operation in operations {
            for code in codes {
                for count in [1, nil] {
                    cases.append(
                        FaultCase(operation: operation, effect: .error(code), count: count))
                }
            }
        }
        for byteCount in [0, 1, 512, 4096] {
            cases.append(
                FaultCase(
                    operation: .write, effect: .shortWrite(byteCount: byteCount, .outOfSpace),
                    count: 1))
        }
        return cases
    }()
}

@Suite struct SegmentFaultTests {
    private struct Outcome {
        var appended: [RecordLocation: [UInt8]] = [:]
        var durable: Set<RecordLocation> = []
        var failures: [SegmentError.Code] = []
    }

    /// A program that goes on after each error, as a server does.
    private func runStubbornly(_ disk: SimulatedDisk) -> Outcome {
        var outcome = Outcome()
        let store: LocalSegmentStore
        do throws(SegmentError) {
            store = try LocalSegmentStore.openTiny(disk)
        } catch {
            outcome.failures.append(error.code)
            return outcome
        }
        var numbers = SeededNumbers(seed: 5)
        var pending: Set<RecordLocation> = []
        for step in 0..<40 {
            do throws(SegmentError) {
                let record = makeRecord(
                    numbers.bytes(Int.random(in: 0..<4000, using: &numbers)), name: 1)
                let location = try store.append(record)
                outcome.appended[location] = record
                pending.insert(location)
                if step % 3 == 2 {
                    try store.sync()
                    outcome.durable.formUnion(pending)
                    pending = []
                }
                if let seen = outcome.appended.keys.randomElement(using: &numbers) {
                    let bytes = try store.read(seen)
                    #expect(bytes == outcome.appended[seen])
                }
            } catch {
                outcome.failures.append(error.code)
            }
        }
        _ = code { () throws(SegmentError) in try store.close() }
        return outcome
    }

    @Test(arguments: FaultCase.all)
    func `the n-th call that fails costs nothing that was acknowledged`(
        _ fault: FaultCase
    ) throws {
        let whole = SimulatedDisk()
        #expect(runStubbornly(whole).failures == [])
        for number in 1...max(1, whole.count(of: fault.operation)) {
            let disk = SimulatedDisk()
            disk.fail(fault.operation, at: number, count: fault.count, fault.effect)
            let outcome = runStubbornly(disk)
            disk.heal()
            for crash in [.keepAll, .dropAll, .random(seed: UInt64(number))] as [SimulatedCrash] {
                let context: Comment = "call \(number), \(crash)"
                let store = try LocalSegmentStore.openTiny(disk.crash(crash))
                for location in outcome.durable {
                    #expect(try store.read(location) == outcome.appended[location], context)
                }
                for summary in try store.segments() {
                    let (records, report) = try store.records(summary.number)
                    #expect(report.damage.isEmpty || report.isRecovered, context)
                    for (location, bytes) in records {
                        #expect(outcome.appended[location] ?? bytes == bytes, context)
                    }
                }
                #expect(try store.read(store.append(makeRecord([1]))) == makeRecord([1]))
                try store.sync()
                try store.close()
            }
        }
    }

    @Test func `after a failed sync nothing is acknowledged until the store is reopened`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let safe = try store.append(makeRecord([1]))
        try store.sync()
        let unsafe = try store.append(makeRecord([2]))
        disk.fail(.sync, at: disk.count(of: .sync) + 1)
        #expect(code { () throws(SegmentError) in try store.sync() } == .io)
        // The disk works again, and the kernel would say that all is well.
        let syncs = disk.count(of: .sync)
        #expect(code { () throws(SegmentError) in try store.sync() } == .io)
        #expect(code { () throws(SegmentError) in _ = try store.append(makeRecord([3])) } == .io)
        #expect(code { () throws(SegmentError) in try store.seal() } == .io)
        #expect(disk.count(of: .sync) == syncs, "a failed sync is never repeated")
        #expect(try store.read(safe) == makeRecord([1]))
        #expect(try store.read(unsafe) == makeRecord([2]))
        #expect(code { () throws(SegmentError) in try store.close() } == .io)
        let again = try LocalSegmentStore.openTiny(disk.crash(.dropAll))
        #expect(try again.read(safe) == makeRecord([1]))
    }

    @Test func `a full disk refuses appends and takes them again once there is room`() throws {
        let disk = SimulatedDisk(capacity: 40 << 10)
        let store = try LocalSegmentStore.openTiny(disk)
        var written: [RecordLocation] = []
        let record = makeRecord([UInt8](repeating: 3, count: 4000))
        var refusal: SegmentError.Code?
        for _ in 0..<40 where refusal == nil {
            refusal = code { () throws(SegmentError) in written.append(try store.append(record)) }
        }
        #expect(refusal == .outOfSpace)
        #expect(written.count >= 4)
        try store.sync()
        for location in written { #expect(try store.read(location) == record) }
        disk.setCapacity(nil)
        written.append(try store.append(record))
        try store.sync()
        try store.close()
        let again = try LocalSegmentStore.openTiny(disk.crash(.dropAll))
        for location in written { #expect(try again.read(location) == record) }
    }

    @Test func `a disk without descriptors is a named error and no damage`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let location = try store.append(makeRecord([1]))
        try store.close()
        let again = try LocalSegmentStore.openTiny(disk)
        disk.fail(.open, at: disk.count(of: .open) + 1, count: nil, .error(.tooManyFiles))
        #expect(
            code { () throws(SegmentError) in _ = try again.read(location) } == .tooManyFiles)
        disk.heal()
        #expect(try again.read(location) == makeRecord([1]))
        // Failing once is not even noticed: the store gives its own descriptors back.
        again.readFiles.forgetAll()
        disk.fail(.open, at: disk.count(of: .open) + 1, .error(.tooManyFiles))
        #expect(try again.read(location) == makeRecord([1]))
    }

    @Test func `a file that is no file is reported as damage`() throws {
        let disk = SimulatedDisk()
        try LocalSegmentStore.openTiny(disk).close()
        try disk.createDirectory("segments/00000001.segment")
        #expect(
            code { () throws(SegmentError) in _ = try LocalSegmentStore.openTiny(disk) }
                == .corrupted)
    }

    @Test func `appending leaves room on the disk, and moving may use most of it`() throws {
        let disk = SimulatedDisk(capacity: 512 << 10)
        var configuration = SegmentConfiguration.tiny
        configuration.freeByteCountMin = 128 << 10
        let store = try LocalSegmentStore.open(
            disk: disk, storeID: testStoreID, configuration: configuration)
        let record = makeRecord([UInt8](repeating: 7, count: 2000))
        var locations: [RecordLocation] = []
        let refusal = code { () throws(SegmentError) in
            while true { locations.append(try store.append(record)) }
        }
        #expect(refusal == .outOfSpace)
        // The header of the segment that was begun last is not asked for.
        #expect(try disk.freeByteCount() >= (128 << 10) - 4096)
        #expect(locations.count > 100)
        let moved = try store.append(byteCount: record.count, for: .reclaiming) {
            (bytes) throws(CoreError) in
            bytes.copy(record.span)
        }
        try store.sync()
        #expect(try store.read(moved) == record)
        // Nothing is latched: with room again, appending goes on.
        disk.setCapacity(nil)
        #expect(try store.read(store.append(record)) == record)
        try store.sync()
        try store.close()
    }
}
