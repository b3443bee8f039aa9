// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTesting
import Testing

@Suite struct `The index in memory` {
    private let table = IndexTable("rows", .ordered)

    private func commit(_ index: InMemoryIndex, _ numbers: Range<UInt8>) throws {
        for number in numbers {
            let transaction = try index.begin()
            try transaction.put(table, [number], [number])
            try transaction.commit()
        }
    }

    @Test func `crashes leave every prefix of the unsynced commits, by seed`() throws {
        let index = InMemoryIndex(tables: [table])
        try commit(index, 0..<3)
        try index.sync()
        try commit(index, 3..<6)
        #expect(index.unsyncedCommitCount == 3)
        var counts: Set<Int> = []
        for seed in 0..<64 as Range<UInt64> {
            let left = try index.crash(seed: seed).scan(table, from: [], before: nil, limit: 10)
            #expect(left.map(\.key) == (0..<left.count).map { [UInt8($0)] })
            counts.insert(left.count)
            let again = try index.crash(seed: seed).scan(table, from: [], before: nil, limit: 10)
            #expect(left == again)
        }
        #expect(counts == [3, 4, 5, 6])
        #expect(try index.scan(table, from: [], before: nil, limit: 10).count == 6)
    }

    @Test(arguments: [InMemoryIndex.Operation.commit, .sync])
    func `a failed write latches and loses only what was not synced`(
        _ operation: InMemoryIndex.Operation
    ) throws {
        let index = InMemoryIndex(tables: [table])
        try commit(index, 0..<1)
        try index.sync()
        index.setFault { $0 == operation ? IndexError(.io, "bad sector") : nil }
        #expect(throws: IndexError(.io, "")) {
            try commit(index, 1..<2)
            try index.sync()
        }
        index.setFault(nil)
        #expect(throws: IndexError(.io, "")) { try commit(index, 2..<3) }
        #expect(throws: IndexError(.io, "")) { try index.sync() }
        #expect(try index.get(table, [0]) == [0])
        #expect(throws: IndexError(.io, "")) { try index.close() }
        #expect(try index.reopened().get(table, [0]) == [0])
        #expect(try index.reopened().get(table, [1]) == nil)
    }

    @Test func `a full disk refuses until there is room, and then all is made durable`() throws {
        let index = InMemoryIndex(tables: [table])
        try commit(index, 0..<1)
        index.setFault { [.sync, .commit].contains($0) ? IndexError(.outOfSpace, "full") : nil }
        #expect(throws: IndexError(.outOfSpace, "")) { try index.sync() }
        #expect(throws: IndexError(.outOfSpace, "")) { try commit(index, 1..<2) }
        index.setFault(nil)
        try commit(index, 2..<3)
        try index.sync()
        let rows = try index.reopened().scan(table, from: [], before: nil, limit: 10)
        #expect(rows.map(\.key) == [[0], [2]])
    }

    @Test func `a fault in a read does not latch`() throws {
        let index = InMemoryIndex(tables: [table])
        index.setFault { $0 == .get ? IndexError(.io, "bad sector") : nil }
        #expect(throws: IndexError(.io, "")) { try index.get(table, [0]) }
        try commit(index, 0..<1)
        try index.sync()
        index.setFault(nil)
        #expect(try index.get(table, [0]) == [0])
    }

    @Test func `a checkpoint keeps the state it was made of`() throws {
        let index = InMemoryIndex(tables: [table])
        try commit(index, 0..<2)
        try index.checkpoint(to: "copy")
        try commit(index, 2..<3)
        let copy = try #require(index.checkpoint(at: "copy"))
        #expect(try copy.scan(table, from: [], before: nil, limit: 10).count == 2)
        #expect(throws: IndexError(.invalidArgument, "")) { try index.checkpoint(to: "copy") }
    }
}
