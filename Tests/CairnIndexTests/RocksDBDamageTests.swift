// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTestSupport
import Foundation
import Testing

@Suite struct `A damaged index in RocksDB` {
    private let scratch: TemporaryDirectory
    private let table = IndexTable("rows", .pointLookups(keyByteCount: 4))
    private let other = IndexTable("others", .ordered)

    init() throws { scratch = try TemporaryDirectory() }

    private func open(_ path: String) throws(IndexError) -> RocksDBIndex {
        try RocksDBIndex.open(path: path, tables: [table, other])
    }

    private func key(_ number: Int) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 255), 7, 7]
    }

    private func value(_ number: Int) -> [UInt8] {
        (0..<24).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* number) }
    }

    /// A closed index of some files, with `count` rows in each table.
    private func makeIndex(count: Int) throws -> String {
        let path = scratch.fresh()
        let index = try open(path)
        let transaction = try index.begin()
        for number in 0..<count {
            try transaction.put(table, key(number), value(number))
            try transaction.put(other, key(number), value(number))
        }
        try transaction.commit()
        try index.compact()
        try index.close()
        return path
    }

    // MARK: - Missing files

    @Test(arguments: ["CURRENT", "MANIFEST-", ".sst"])
    func `that misses a file is corrupted and stays as it is`(_ kind: String) throws {
        let path = try makeIndex(count: 100)
        let victims = try contents(of: path).keys.filter { $0.contains(kind) }.sorted()
        #expect(!victims.isEmpty)
        for victim in victims {
            let file = "\(path)/\(victim)"
            let bytes = FileManager.default.contents(atPath: file)
            try FileManager.default.removeItem(atPath: file)
            let before = try contents(of: path)
            #expect(throws: IndexError(.corrupted, "")) { try open(path) }
            #expect(try contents(of: path) == before)
            #expect(FileManager.default.createFile(atPath: file, contents: bytes))
        }
        let index = try open(path)
        #expect(try index.get(table, key(42)) == value(42))
        try index.close()
    }

    @Test func `an empty directory is a damaged index, not a new one`() throws {
        let path = scratch.fresh()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(throws: IndexError(.corrupted, "")) { try open(path) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
    }

    @Test func `with tables of a later version is refused unchanged`() throws {
        let path = try makeIndex(count: 10)
        let before = try contents(of: path)
        #expect(throws: IndexError(.unsupportedVersion, "")) {
            try RocksDBIndex.open(path: path, tables: [table])
        }
        #expect(try contents(of: path) == before)
        try open(path).close()
    }

    // MARK: - Flipped bits

    @Test func `never delivers wrong bytes, whichever bit of a table file flips`() throws {
        let path = try makeIndex(count: 400)
        let files = try contents(of: path).filter { $0.key.hasSuffix(".sst") }
        #expect(files.count == 2)
        var detections = 0
        for (name, bytes) in files {
            for offset in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 60)) {
                var damaged = bytes
                damaged[offset] ^= UInt8(1 << (offset % 8))
                try damaged.write(to: URL(fileURLWithPath: "\(path)/\(name)"))
                detections += try countDetections(path) > 0 ? 1 : 0
            }
            try bytes.write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        }
        // Bits of filters and properties may flip without harm to the rows.
        #expect(detections > 80)
        #expect(try countDetections(path) == 0)
    }

    /// Reads everything in all ways; every answer is right or `corrupted`.
    private func countDetections(_ path: String) throws -> Int {
        var count = 0
        func attempt<T: Equatable>(_ expected: T, _ body: () throws -> T) {
            do {
                let found = try body()
                #expect(found == expected)
            } catch {
                #expect(error as? IndexError == IndexError(.corrupted, ""))
                count += 1
            }
        }
        let index: RocksDBIndex
        do {
            index = try open(path)
        } catch {
            #expect(error == IndexError(.corrupted, ""))
            return 1
        }
        let numbers = Array(stride(from: 0, to: 400, by: 20))
        for table in [table, other] {
            for number in numbers {
                attempt(value(number)) { try index.get(table, key(number)) }
            }
            attempt(numbers.map(value)) { try index.getMany(table, numbers.map(key)) }
            attempt((0..<400).map(value)) {
                try index.scan(table, from: [], before: nil, limit: 500).map(\.value)
            }
        }
        try index.close()
        return count
    }

    // MARK: - Torn logs

    @Test func `a log that ends anywhere leaves a prefix of whole commits`() throws {
        let path = scratch.fresh()
        let index = try open(path)
        for number in 0..<40 {
            let transaction = try index.begin()
            try transaction.put(table, key(number), value(number))
            try transaction.put(other, key(number), value(number))
            try transaction.commit()
        }
        try index.sync()
        let log = try #require(
            contents(of: path).first { $0.key.hasSuffix(".log") && !$0.value.isEmpty })
        var counts: Set<Int> = []
        for end in stride(from: 0, through: log.value.count, by: 89) {
            for isGarbage in [false, true] {
                let copy = scratch.fresh("torn")
                try FileManager.default.copyItem(atPath: path, toPath: copy)
                var torn = log.value.prefix(end)
                // Blocks that were allocated but never written read as anything.
                if isGarbage { torn += Data(repeating: UInt8(end & 255), count: 5000) }
                try torn.write(to: URL(fileURLWithPath: "\(copy)/\(log.key)"))
                counts.insert(try countPrefix(copy))
                try FileManager.default.removeItem(atPath: copy)
            }
        }
        #expect(counts.contains(0) && counts.count > 30)
        try index.close()
        #expect(try countPrefix(path) == 40)
    }

    private func countPrefix(_ path: String) throws -> Int {
        let index = try open(path)
        let rows = try index.scan(table, from: [], before: nil, limit: 100)
        #expect(rows.map(\.key) == (0..<rows.count).map(key))
        #expect(try index.scan(other, from: [], before: nil, limit: 100) == rows)
        // And goes on from there.
        let transaction = try index.begin()
        try transaction.put(table, [255], [])
        try transaction.commit()
        try index.close()
        return rows.count
    }
}
