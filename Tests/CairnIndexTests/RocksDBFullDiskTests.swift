// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTestSupport
import Foundation
import Synchronization
import Testing

/// A disk without a byte left, under the real index.
@Suite(.enabled(if: SmallFileSystem.isAvailable, "only root can mount file systems"))
struct `On a full disk an index in RocksDB` {
    private static let first = IndexTable("first", .pointLookups(keyByteCount: 8))
    private static let second = IndexTable("second", .ordered)

    private static func commit(_ index: RocksDBIndex, _ number: UInt64) throws {
        let key = withUnsafeBytes(of: number.bigEndian) { Array($0) }
        let transaction = try index.begin()
        try transaction.put(first, key, [UInt8](repeating: key[7], count: 300))
        try transaction.put(second, key, [])
        try transaction.commit()
        try index.sync()
    }

    /// Commits with several threads until each is refused; answers what was made durable.
    private static func commitUntilRefused(_ index: RocksDBIndex, round: UInt64) -> Set<UInt64> {
        let durable = Mutex<Set<UInt64>>([])
        onThreads(4) { thread in
            for count in 0..<100_000 as Range<UInt64> {
                let number = round << 40 | UInt64(thread) << 32 | count
                do {
                    try commit(index, number)
                } catch {
                    #expect(error as? IndexError == IndexError(.outOfSpace, ""))
                    return
                }
                durable.withLock { _ = $0.insert(number) }
            }
            Issue.record("the disk is not full")
        }
        return durable.withLock { $0 }
    }

    @Test(arguments: SmallFileSystem.Kind.allCases)
    func `refuses writes, loses nothing, and goes on by itself when there is room`(
        _ kind: SmallFileSystem.Kind
    ) async throws {
        try await SmallFileSystem.with(kind, mebibytes: 512) { disk in
            let path = disk.path + "/index"
            let index = try RocksDBIndex.open(path: path, tables: [Self.first, Self.second])
            var durable: Set<UInt64> = []
            for round in 1...(3 as UInt64) {
                try await disk.fill()
                durable.formUnion(Self.commitUntilRefused(index, round: round))
                #expect(throws: IndexError(.outOfSpace, "")) { try index.sync() }
                #expect(throws: IndexError(.outOfSpace, "")) { try index.checkWritable() }
                // Reads go on.
                _ = try index.scan(Self.first, from: [], before: nil, limit: 10)
                try disk.free()
                let number = round << 48
                #expect(
                    try await SmallFileSystem.retry { (try? Self.commit(index, number)) != nil })
                durable.insert(number)
                try index.checkWritable()
            }
            // As a kill would leave it: everything that was durable is in the copy too.
            let copy = disk.path + "/copy"
            try FileManager.default.copyItem(atPath: path, toPath: copy)
            try index.close()
            for found in [path, copy] {
                let again = try RocksDBIndex.open(path: found, tables: [Self.first, Self.second])
                for number in durable {
                    let key = withUnsafeBytes(of: number.bigEndian) { Array($0) }
                    #expect(try again.get(Self.first, key)?.count == 300)
                    #expect(try again.get(Self.second, key) == [])
                }
                try again.close()
            }
        }
    }
}
