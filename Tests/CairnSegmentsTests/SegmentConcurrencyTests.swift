// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@testable import CairnSegments

@Suite struct SegmentConcurrencyTests {
    @Test func `threads that append, sync and read at once do not disturb each other`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let appended = Shared<[RecordLocation: [UInt8]]>([:])
        let problems = Shared<[String]>([])
        onThreads(8) { thread in
            var numbers = SeededNumbers(seed: UInt64(thread))
            var own: [(RecordLocation, [UInt8])] = []
            do {
                for step in 0..<100 {
                    let payload = numbers.bytes(Int.random(in: 0..<5000, using: &numbers))
                    let record = makeRecord(payload, name: UInt8(thread))
                    let location = try store.append(record)
                    own.append((location, record))
                    if step % 7 == thread % 7 { try store.sync() }
                    guard let (seen, expected) = own.randomElement(using: &numbers) else {
                        continue
                    }
                    if try store.read(seen) != expected {
                        problems.update { $0.append("thread \(thread), step \(step)") }
                    }
                }
                try store.sync()
                let result = own
                appended.update { all in for (location, record) in result { all[location] = record }
                }
            } catch {
                problems.update { $0.append("thread \(thread): \(error)") }
            }
        }
        #expect(problems.current == [])
        #expect(appended.current.count == 800)
        let crashed = try LocalSegmentStore.openTiny(disk.crash(.dropAll))
        for (location, record) in appended.current {
            #expect(try crashed.read(location) == record)
        }
    }

    @Test func `callers that sync at once share syncs of the disk`() throws {
        let disk = HookedDisk(SimulatedDisk())
        // Lets every thread that is ready run, without a look at the clock.
        disk.beforeSync { for _ in 0..<200 { yieldThread() } }
        var configuration = SegmentConfiguration.tiny
        configuration.segmentByteCount = 1 << 20
        let store = try LocalSegmentStore.open(
            disk: disk, storeID: testStoreID, configuration: configuration)
        let failures = Shared(0)
        onThreads(16) { thread in
            for step in 0..<20 {
                do {
                    _ = try store.append(makeRecord([UInt8(thread), UInt8(step)]))
                    try store.sync()
                } catch {
                    failures.update { $0 += 1 }
                }
            }
        }
        #expect(failures.current == 0)
        let syncs = disk.syncCount
        #expect(syncs < 320 / 3, "320 callers shared \(syncs) syncs")
    }

    @Test func `a segment can be sealed while a sync of it is under way`() throws {
        let base = SimulatedDisk()
        let disk = HookedDisk(base)
        let store = try LocalSegmentStore.openTiny(disk)
        let location = try store.append(makeRecord([1]))
        let problems = Shared<[String]>([])
        disk.beforeSync {
            disk.beforeSync(nil)
            onThreads(1) { _ in
                do { try store.seal() } catch { problems.update { $0.append("\(error)") } }
            }
        }
        try store.sync()
        #expect(problems.current == [])
        _ = try store.append(makeRecord([2]))
        try store.sync()
        let again = try LocalSegmentStore.openTiny(base.crash(.dropAll))
        #expect(try again.read(location) == makeRecord([1]))
    }

    @Test(arguments: [false, true])
    func `a segment that is deleted between look-up and opening is unknown, not damaged`(
        _ isScanned: Bool
    ) throws {
        let disk = HookedDisk(SimulatedDisk())
        let store = try LocalSegmentStore.openTiny(disk)
        let location = try store.append(makeRecord([1]))
        try store.seal()
        disk.beforeOpeningToRead {
            disk.beforeOpeningToRead(nil)
            try? store.delete(location.segment)
        }
        let found = code { () throws(SegmentError) in
            if isScanned {
                _ = try store.records(location.segment)
            } else {
                _ = try store.read(location)
            }
        }
        #expect(found == .segmentUnknown)
    }

    @Test func `reads and scans go on while segments are deleted`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        var locations: [RecordLocation] = []
        for index in 0..<30 {
            locations.append(
                try store.append(makeRecord([UInt8](repeating: UInt8(index), count: 99))))
            try store.seal()
        }
        let all = locations
        let problems = Shared<[String]>([])
        onThreads(5) { thread in
            if thread == 0 {
                for location in all {
                    do {
                        try store.delete(location.segment)
                    } catch {
                        problems.update { $0.append("deleting: \(error)") }
                    }
                }
                return
            }
            for location in all.reversed() + all {
                do throws(SegmentError) {
                    if thread == 1 {
                        let (_, report) = try store.records(location.segment)
                        if report.damage != [] { problems.update { $0.append("damage") } }
                    } else {
                        _ = try store.read(location)
                    }
                } catch {
                    // The file may be gone between the look at the list and the opening.
                    if error.code != .segmentUnknown {
                        problems.update { $0.append("reading: \(error)") }
                    }
                }
            }
        }
        #expect(problems.current == [])
        #expect(try store.segments().filter(\.isSealed) == [])
    }

    @Test func `a failed sync reaches every caller that waits`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        _ = try store.append(makeRecord([0]))
        try store.sync()
        disk.fail(.sync, at: disk.count(of: .sync) + 1, count: nil)
        let succeeded = Shared(0)
        onThreads(8) { thread in
            guard (try? store.append(makeRecord([UInt8(thread)]))) != nil else { return }
            if (try? store.sync()) != nil { succeeded.update { $0 += 1 } }
        }
        #expect(succeeded.current == 0)
    }

    @Test func `the store closes while threads append`() throws {
        let disk = SimulatedDisk()
        let store = try LocalSegmentStore.openTiny(disk)
        let durable = Shared<[RecordLocation: [UInt8]]>([:])
        let codes = Shared<Set<SegmentError.Code>>([])
        onThreads(6) { thread in
            for step in 0..<200 {
                do throws(SegmentError) {
                    if thread == 0 && step == 100 { return try store.close() }
                    let record = makeRecord([UInt8](repeating: UInt8(step), count: 300))
                    let location = try store.append(record)
                    try store.sync()
                    durable.update { $0[location] = record }
                } catch {
                    codes.update { $0.insert(error.code) }
                }
            }
        }
        #expect(codes.current.isSubset(of: [.closed]))
        let again = try LocalSegmentStore.openTiny(disk.crash(.dropAll))
        for (location, record) in durable.current { #expect(try again.read(location) == record) }
    }
}

/// A disk that lets a test do something in the middle of a call.
private final class HookedDisk: Disk {
    typealias Hook = @Sendable () -> Void

    private struct Hooks {
        var sync: Hook?
        var read: Hook?
    }

    private let base: SimulatedDisk
    private let hooks = Monitor(Hooks())

    init(_ base: SimulatedDisk) { self.base = base }

    var syncCount: Int { base.count(of: .sync) }

    /// Runs before each sync of a file from now on.
    func beforeSync(_ hook: Hook?) { hooks.withLock { $0.sync = hook } }

    /// Runs before each opening for reading from now on.
    func beforeOpeningToRead(_ hook: Hook?) { hooks.withLock { $0.read = hook } }

    func open(_ path: String, _ mode: DiskOpenMode) throws(DiskError) -> any DiskFile {
        if mode.access == .read { hooks.withLock { $0.read }?() }
        return HookedFile(self, try base.open(path, mode))
    }
    func rename(_ source: String, to target: String) throws(DiskError) {
        try base.rename(source, to: target)
    }
    func remove(_ path: String) throws(DiskError) { try base.remove(path) }
    func list(_ directory: String) throws(DiskError) -> [String] { try base.list(directory) }
    func createDirectory(_ path: String) throws(DiskError) { try base.createDirectory(path) }
    func syncDirectory(_ path: String) throws(DiskError) { try base.syncDirectory(path) }
    func exists(_ path: String) throws(DiskError) -> Bool { try base.exists(path) }
    func lock(_ path: String) throws(DiskError) -> any DiskLock { try base.lock(path) }
    func freeByteCount() throws(DiskError) -> UInt64 { try base.freeByteCount() }

    fileprivate func willSync() { hooks.withLock { $0.sync }?() }
}

private final class HookedFile: DiskFile {
    private let disk: HookedDisk
    private let base: any DiskFile

    init(_ disk: HookedDisk, _ base: any DiskFile) {
        self.disk = disk
        self.base = base
    }

    func sync() throws(DiskError) {
        disk.willSync()
        try base.sync()
    }
    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(DiskError) {
        try base.write(bytes, at: offset)
    }
    func read(into bytes: inout MutableSpan<UInt8>, at offset: UInt64) throws(DiskError) -> Int {
        try base.read(into: &bytes, at: offset)
    }
    func allocate(byteCount: UInt64) throws(DiskError) { try base.allocate(byteCount: byteCount) }
    func truncate(to byteCount: UInt64) throws(DiskError) { try base.truncate(to: byteCount) }
    func byteCount() throws(DiskError) -> UInt64 { try base.byteCount() }
    func permissions() throws(DiskError) -> UInt16 { try base.permissions() }
    func close() { base.close() }
}
