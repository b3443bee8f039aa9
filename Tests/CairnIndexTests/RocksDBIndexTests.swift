// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTestSupport
import Dispatch
import Foundation
import Synchronization
import Testing

@Suite struct `An index in RocksDB` {
    private let scratch: TemporaryDirectory
    private let points = IndexTable("points", .pointLookups(keyByteCount: 2))
    private let small = IndexTable("small", .small)

    init() throws { scratch = try TemporaryDirectory() }

    private func open(
        _ path: String, _ configuration: RocksDBConfiguration = .init()
    ) throws(IndexError) -> RocksDBIndex {
        try RocksDBIndex.open(path: path, tables: [points, small], configuration: configuration)
    }

    private func put(_ index: RocksDBIndex, _ key: [UInt8], _ value: [UInt8]) throws {
        let transaction = try index.begin()
        try transaction.put(points, key, value)
        try transaction.commit()
    }

    // MARK: - Opening

    @Test func `can't be opened twice`() throws {
        let path = scratch.fresh()
        let index = try open(path)
        #expect(throws: IndexError(.locked, "")) { try open(path) }
        try put(index, [1], [1])
        try index.close()
        #expect(try open(path).get(points, [1]) == [1])
    }

    @Test func `is not created where none was to be created`() throws {
        var configuration = RocksDBConfiguration()
        configuration.createIfMissing = false
        let path = scratch.fresh()
        #expect(throws: IndexError(.notFound, "")) { try open(path, configuration) }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func `appears whole or not at all, and debris of a failed creation is removed`() throws {
        let path = scratch.fresh()
        let debris = path + ".creating"
        try FileManager.default.createDirectory(
            atPath: debris, withIntermediateDirectories: false)
        #expect(FileManager.default.createFile(atPath: debris + "/CURRENT", contents: Data([1])))
        let index = try open(path)
        #expect(!FileManager.default.fileExists(atPath: debris))
        try put(index, [1], [1])
        try index.close()
    }

    @Test func `is not created below a directory that does not exist`() throws {
        #expect(throws: IndexError(.notFound, "")) { try open(scratch.path + "/none/index") }
    }

    @Test func `refuses names of tables that are empty, repeated or too long`() throws {
        let long = String(repeating: "x", count: IndexTable.nameByteCountMax + 1)
        for names in [[""], ["a", "a"], [long], ["default"], ["a\0b"]] {
            let path = scratch.fresh()
            #expect(throws: IndexError(.invalidArgument, "")) {
                try RocksDBIndex.open(path: path, tables: names.map { IndexTable($0, .small) })
            }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func `a checkpoint opens on its own with everything committed`() throws {
        let index = try open(scratch.fresh())
        for key in 0..<50 as Range<UInt8> { try put(index, [key], [key]) }
        let copy = scratch.fresh("checkpoint")
        try index.checkpoint(to: copy)
        try put(index, [99], [99])
        let opened = try open(copy)
        #expect(try opened.scan(points, from: [], before: nil, limit: 100).count == 50)
        #expect(throws: IndexError.self) { try index.checkpoint(to: copy) }
        try put(index, [100], [100])
        try opened.close()
        try index.close()
    }

    @Test func `statistics follow what is stored`() throws {
        let index = try open(scratch.fresh())
        let noise = (0..<100_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
        try put(index, [1], noise)
        #expect(try index.statistics().unflushedByteCount >= 100_000)
        try index.compact()
        #expect(try index.statistics().unflushedByteCount == 0)
        #expect(try (100_000..<120_000).contains(index.approximateByteCount()))
        #expect(try index.statistics().entryCount == 1)
        #expect(try index.statistics().backgroundErrorCount == 0)
        try index.close()
    }

    // MARK: - Threads

    @Test func `concurrent transactions on one row lose no update`() throws {
        let index = try open(scratch.fresh(), RocksDBHarness.tiny)
        onThreads(8) { _ in
            for _ in 0..<50 { increment(index) }
        }
        #expect(try index.get(points, [1]) == [UInt8](repeating: 0, count: 400))
        #expect(try index.get(small, [1]) == Counter.encoded(400))
        try index.close()
    }

    /// Makes a row one byte longer, however often that conflicts.
    private func increment(_ index: RocksDBIndex) {
        while true {
            do {
                let transaction = try index.begin()
                let row = try transaction.get(points, [1]) ?? []
                try transaction.put(points, [1], row + [0])
                try transaction.add(small, [1], 1)
                return try transaction.commit()
            } catch  where error.code == .conflict {
                continue
            } catch {
                Issue.record(error)
                return
            }
        }
    }

    @Test func `what a thread has synced is in every later copy of the files`() throws {
        let harness = try RocksDBHarness()
        let index = try harness.makeIndex(tables: [points])
        let acknowledged = Mutex<Set<[UInt8]>>([])
        let threads = TestThreads(12) { thread in
            let thread = UInt8(thread)
            for number in 0..<60 as Range<UInt8> {
                do {
                    let transaction = try index.begin()
                    try transaction.put(points, [thread, number], [number])
                    try transaction.commit()
                    try index.sync()
                    acknowledged.withLock { _ = $0.insert([thread, number]) }
                } catch {
                    Issue.record(error)
                }
            }
        }
        for _ in 0..<10 {
            let before = acknowledged.withLock { $0 }
            let copy = try harness.crash(index, tables: [points])
            let rows = try copy.scan(points, from: [], before: nil, limit: 10_000)
            #expect(before.subtracting(rows.map(\.key)).isEmpty)
            try copy.close()
        }
        threads.wait()
        #expect(acknowledged.withLock { $0.count } == 12 * 60)
        try index.close()
    }

    @Test func `readers see each transaction whole`() throws {
        let index = try open(scratch.fresh(), RocksDBHarness.tiny)
        let isDone = Atomic(false)
        let threads = TestThreads(3) { _ in
            while !isDone.load(ordering: .relaxed) {
                do {
                    let view = try index.snapshot()
                    let rows = try view.getMany(points, [[1], [2]])
                    #expect(rows[0] == rows[1])
                } catch {
                    Issue.record(error)
                }
            }
        }
        for value in 0..<200 as Range<UInt8> {
            let transaction = try index.begin()
            try transaction.put(points, [1], [value])
            try transaction.put(points, [2], [value])
            try transaction.commit()
        }
        isDone.store(true, ordering: .relaxed)
        threads.wait()
        try index.close()
    }

    @Test func `closing while others read, write and sync ends them with closed`() throws {
        for _ in 0..<10 {
            let index = try open(scratch.fresh())
            let started = DispatchSemaphore(value: 0)
            let threads = TestThreads(6) { thread in
                let thread = UInt8(thread)
                started.signal()
                let error = untilFailure {
                    try put(index, [thread], [1])
                    _ = try index.snapshot().get(points, [thread])
                    _ = try index.scan(points, from: [], before: nil, limit: 10)
                    try index.sync()
                }
                #expect(error == IndexError(.closed, ""))
            }
            for _ in 0..<6 { started.wait() }
            try index.close()
            threads.wait()
        }
    }

    private func untilFailure(_ body: () throws -> Void) -> IndexError? {
        while true {
            do { try body() } catch { return error as? IndexError }
        }
    }
}
