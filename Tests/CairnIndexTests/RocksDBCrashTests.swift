// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTestSupport
import Foundation
import Testing

/// What is left when the process dies, or when its disk does.
@Suite struct `After a failure an index in RocksDB` {
    private let scratch: TemporaryDirectory
    private static let first = IndexTable("first", .pointLookups(keyByteCount: 2))
    private static let second = IndexTable("second", .ordered)

    init() throws { scratch = try TemporaryDirectory() }

    private static func open(_ path: String, flush: Int = 8 << 20) throws -> RocksDBIndex {
        var configuration = RocksDBConfiguration()
        configuration.flushByteCount = flush
        return try RocksDBIndex.open(
            path: path, tables: [first, second], configuration: configuration)
    }

    private static func key(_ number: Int) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 255)]
    }

    private static func commit(_ index: RocksDBIndex, _ number: Int, byteCount: Int) throws {
        let key = key(number)
        let value = [UInt8](repeating: key[1], count: byteCount)
        let transaction = try index.begin()
        // Both tables in one commit, and one of them only now and then: the tables' memory fills at
        // different rates, and still neither may be ahead of the other.
        try transaction.put(first, key, value)
        if number % 7 == 0 { try transaction.put(second, key, value) }
        try transaction.commit()
    }

    // MARK: - Killed

    @Test(arguments: [40, 133, 700], [200, 3000, 8 << 20])
    func `holds a prefix of the commits, all synced ones at least, when killed`(
        _ count: Int, _ flush: Int
    ) async throws {
        let path = scratch.fresh()
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, count = count as Int, flush = flush as Int] in
            let index = try Self.open(path, flush: flush)
            for number in 0..<count {
                try Self.commit(index, number, byteCount: 50)
                if number == count / 2 { try index.sync() }
            }
            kill(getpid(), SIGKILL)
        }
        let index = try Self.open(path, flush: flush)
        let rows = try index.scan(Self.first, from: [], before: nil, limit: 10_000)
        #expect(rows.map(\.key) == (0..<rows.count).map(Self.key))
        #expect(rows.count > count / 2)
        let others = try index.scan(Self.second, from: [], before: nil, limit: 10_000)
        #expect(others.count == (rows.count + 6) / 7)
        try index.close()
    }

    // MARK: - A disk that refuses

    @Test func `keeps what was synced, latches, and reads on, when writes fail`() async throws {
        let path = scratch.fresh()
        await #expect(processExitsWith: .success) { [path = path as String] in
            let index = try Self.open(path)
            try Self.commit(index, 0, byteCount: 1000)
            try index.sync()
            limitFileSize(to: 64 << 10)
            let failure = untilFailure {
                for number in 1..<400 {
                    try Self.commit(index, number, byteCount: 1000)
                    if number % 10 == 0 { try index.sync() }
                }
            }
            try #require(failure == IndexError(.io, ""))
            // The obstacle goes, the failure stays: nobody knows what reached the disk.
            limitFileSize(to: nil)
            try #require(untilFailure { try Self.commit(index, 500, byteCount: 1) } == failure)
            try #require(untilFailure { try index.sync() } == failure)
            try #require(untilFailure { try index.checkpoint(to: path + "-copy") } == failure)
            try #require(try index.get(Self.first, [0, 0])?.count == 1000)
            try #require(untilFailure { try index.close() } == failure)
            try #require(untilFailure { try index.sync() }?.code == .closed)
        }
        let index = try Self.open(path)
        let rows = try index.scan(Self.first, from: [], before: nil, limit: 10_000)
        #expect(rows.map(\.key) == (0..<rows.count).map(Self.key))
        #expect(rows.count > 10)
        try Self.commit(index, 500, byteCount: 1)
        try index.close()
    }
}

private func untilFailure(_ body: () throws -> Void) -> IndexError? {
    do {
        try body()
        return nil
    } catch {
        return error as? IndexError
    }
}

/// Lets writes beyond a size fail with EFBIG; only for a process of its own.
private func limitFileSize(to byteCount: Int?) {
    signal(SIGXFSZ, SIG_IGN)
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    limit.rlim_cur = byteCount.map { rlim_t($0) } ?? limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
}
