// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTesting
import Testing

@testable import CairnSegments

/// What a program has done to a store, and what it was promised.
private struct History {
    /// Everything that was ever appended, whether or not it was promised to stay.
    var appended: [RecordLocation: [UInt8]] = [:]
    /// Appended before a sync that succeeded.
    var durable: Set<RecordLocation> = []
    /// Segments whose deletion was begun.
    var deleted: Set<SegmentNumber> = []

    private var pending: Set<RecordLocation> = []

    mutating func noteAppend(_ location: RecordLocation, _ record: [UInt8]) {
        appended[location] = record
        pending.insert(location)
    }

    mutating func noteSync() {
        durable.formUnion(pending)
        pending = []
    }

    mutating func noteDeletion(_ segment: SegmentNumber) {
        deleted.insert(segment)
        durable = durable.filter { $0.segment != segment }
        // A segment that is full is sealed without anybody asking for a sync.
        pending = pending.filter { $0.segment != segment }
    }
}

/// Appends, syncs, seals, fails and deletes, the same way for the same seed, until done or until
/// the disk fails.
private func run(
    on disk: SimulatedDisk, seed: UInt64, steps: Int, _ history: inout History
) throws(SegmentError) {
    var numbers = SeededNumbers(seed: seed)
    let store = try LocalSegmentStore.openTiny(disk)
    for _ in 0..<steps {
        switch Int.random(in: 0..<20, using: &numbers) {
        case 0..<12:
            let record = makeRecord(
                numbers.bytes(Int.random(in: 0..<3000, using: &numbers)), name: 1)
            history.noteAppend(try store.append(record), record)
        case 12..<17:
            try store.sync()
            history.noteSync()
        case 17:
            let failed = code { () throws(SegmentError) in
                _ = try store.append(byteCount: 800) { (_) throws(CoreError) in
                    throw CoreError(.corrupted, "on purpose")
                }
            }
            if failed != .fillFailed { throw SegmentError(.io, "the power is off") }
        case 18:
            try store.seal()
            history.noteSync()
        default:
            guard let segment = try store.segments().first(where: \.isSealed)?.number
            else { continue }
            history.noteDeletion(segment)
            try store.delete(segment)
        }
    }
    try store.close()
    history.noteSync()
}

/// Checks everything that was promised, then that the store can be used and reopened.
private func check(_ disk: SimulatedDisk, _ history: History, _ context: Comment) throws {
    let store = try LocalSegmentStore.openTiny(disk)
    for location in history.durable {
        #expect(try store.read(location) == history.appended[location], context)
    }
    var found: Set<RecordLocation> = []
    for summary in try store.segments() {
        let (records, report) = try store.records(summary.number)
        #expect(report.recordCount == summary.recordCount, context)
        // Only a recovered segment may hold remnants, and never in place of a durable record.
        #expect(report.damage.isEmpty || report.isRecovered, context)
        for (location, bytes) in records {
            #expect(history.appended[location] == bytes, context)
            found.insert(location)
        }
    }
    #expect(history.durable.isSubset(of: found), context)
    let record = makeRecord([42], name: 9)
    let location = try store.append(record)
    #expect(history.appended[location] == nil || !history.durable.contains(location), context)
    #expect(!history.durable.contains { $0.segment == location.segment }, context)
    try store.sync()
    try store.close()
    let again = try LocalSegmentStore.openTiny(disk)
    #expect(try again.read(location) == record, context)
    try again.close()
}

@Suite struct SegmentCrashTests {
    private static let steps = 60

    /// Every moment between two changes of the disk, each with several fates of what was not
    /// synced.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `a power cut at any moment loses no synced record and shows no torn one`(
        _ seed: UInt64
    ) throws {
        let whole = SimulatedDisk()
        var history = History()
        try run(on: whole, seed: seed, steps: Self.steps, &history)
        #expect(whole.count(of: .sync) > 10, "the run must sync often enough to mean something")
        for cut in 0...whole.changeCount {
            let disk = SimulatedDisk()
            disk.cutPower(afterChanges: cut)
            var history = History()
            try? run(on: disk, seed: seed, steps: Self.steps, &history)
            try check(disk.crash(.dropAll), history, "seed \(seed), cut \(cut), all dropped")
            try check(disk.crash(.keepAll), history, "seed \(seed), cut \(cut), all kept")
            for fate in 0..<6 as Range<UInt64> {
                let crashed = disk.crash(seed: fate &* 1_000_003 &+ UInt64(cut))
                try check(crashed, history, "seed \(seed), cut \(cut), fate \(fate)")
            }
        }
    }

    @Test(arguments: [11, 12] as [UInt64])
    func `a second power cut while the first is being recovered from loses nothing either`(
        _ seed: UInt64
    ) throws {
        let whole = SimulatedDisk()
        var history = History()
        try run(on: whole, seed: seed, steps: 30, &history)
        for cut in stride(from: 1, through: whole.changeCount, by: 3) {
            let disk = SimulatedDisk()
            disk.cutPower(afterChanges: cut)
            var history = History()
            try? run(on: disk, seed: seed, steps: 30, &history)
            let crashed = disk.crash(seed: UInt64(cut))
            for second in 0..<8 {
                let recovering = crashed.crash(.keepAll)
                recovering.cutPower(afterChanges: second)
                _ = try? LocalSegmentStore.openTiny(recovering)
                for fate in 0..<3 as Range<UInt64> {
                    let twice = recovering.crash(seed: fate)
                    try check(
                        twice, history, "seed \(seed), cuts \(cut) and \(second), fate \(fate)")
                }
            }
        }
    }

    /// `kill -9`: the system goes on, so everything written is there, synced or not.
    @Test func `a process that dies leaves all that it has written`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let synced = try store.append(makeRecord([1]))
        try store.sync()
        _ = try store.append(makeRecord([2]))
        let again = try LocalSegmentStore.openTiny(disk.crash(.keepAll))
        #expect(try again.read(synced) == makeRecord([1]))
        #expect(try again.segments().map(\.recordCount) == [1])
        let (_, report) = try again.records(synced.segment)
        #expect(report.isRecovered)
        #expect(report.damage == [])
    }

    @Test func `a creation that was cut off leaves nothing`() throws {
        for size in [0, 1, 4095, 4096, 8192] {
            let disk = SimulatedDisk()
            let store = try LocalSegmentStore.openTiny(disk)
            let location = try store.append(makeRecord([1]))
            try store.close()
            let next = SegmentNumber(location.segment.rawValue + 1)
            disk.setContents(of: path(next), to: [UInt8](repeating: 0, count: size))
            let again = try LocalSegmentStore.openTiny(disk)
            #expect(disk.contents(of: path(next)) == nil)
            #expect(try again.read(location) == makeRecord([1]))
            #expect(try again.append(makeRecord([2])).segment > next)
        }
    }

    @Test func `damage within an unsealed segment does not cost what lies behind it`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        var locations: [RecordLocation] = []
        for index in 0..<5 {
            locations.append(
                try store.append(makeRecord([UInt8](repeating: UInt8(index), count: 700))))
        }
        try store.sync()
        let crashed = disk.crash(.dropAll)
        let file = path(locations[0].segment)
        var bytes = try #require(crashed.contents(of: file))
        bytes[Int(locations[1].offset) + 3] ^= 1
        bytes[Int(locations[3].offset) + 300] ^= 1
        crashed.setContents(of: file, to: bytes)
        let again = try LocalSegmentStore.openTiny(crashed)
        let (records, report) = try again.records(locations[0].segment)
        #expect(Set(records.keys) == [locations[0], locations[2], locations[4]])
        #expect(
            report.damage
                == [1, 3].map { index in
                    let location = locations[index]
                    return location.offset..<location.offset + UInt64(location.byteCount)
                })
    }

    @Test func `a damaged header does not cost the records of a segment`() throws {
        for isSealed in [false, true] {
            let disk = SimulatedDisk()
            let store = try LocalSegmentStore.openTiny(disk)
            let location = try store.append(makeRecord([1, 2, 3]))
            try isSealed ? store.seal() : store.sync()
            let crashed = disk.crash(.dropAll)
            var bytes = try #require(crashed.contents(of: path(location.segment)))
            bytes[20] ^= 0x40
            crashed.setContents(of: path(location.segment), to: bytes)
            let again = try LocalSegmentStore.openTiny(crashed)
            #expect(try again.read(location) == makeRecord([1, 2, 3]))
            let (records, _) = try again.records(location.segment)
            #expect(records.count == 1)
        }
    }
}
