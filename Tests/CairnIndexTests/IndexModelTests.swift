// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTesting
import Testing

/// Random transactions, interleaved, on RocksDB and in memory: both must answer alike, down to
/// which transaction conflicts.
@Suite struct `RocksDB answers like the model` {
    @Test(arguments: 0..<8 as Range<UInt64>, [1, 4096, 8 << 20])
    func `under interleaved transactions`(_ seed: UInt64, _ flushByteCount: Int) throws {
        print("seed \(seed), flush \(flushByteCount)")
        var configuration = RocksDBConfiguration()
        configuration.flushByteCount = flushByteCount
        let harness = try RocksDBHarness(configuration)
        var run = try ModelRun(
            real: harness.makeIndex(tables: ModelRun.tables),
            model: InMemoryIndex(tables: ModelRun.tables), seed: seed)
        for step in 0..<1500 {
            try run.step()
            if step % 500 == 499 { try run.reopen(harness) }
        }
        try run.compareAll()
        try run.real.close()
    }
}

private struct ModelRun {
    static let tables = [
        IndexTable("points", .pointLookups(keyByteCount: 2)), IndexTable("ordered", .ordered),
    ]
    private(set) var real: any Index
    private var model: InMemoryIndex
    private var random: SplitMix64
    private var open: [(real: any IndexTransaction, model: any IndexTransaction)] = []
    private var snapshots: [(real: any IndexSnapshot, model: any IndexSnapshot)] = []

    init(real: any Index, model: InMemoryIndex, seed: UInt64) {
        self.real = real
        self.model = model
        random = SplitMix64(state: seed)
    }

    mutating func step() throws {
        switch random.below(20) {
        case 0..<3 where open.count < 4:
            open.append((try real.begin(), try model.begin()))
        case 3 where snapshots.count < 3:
            snapshots.append((try real.snapshot(), try model.snapshot()))
        case 4 where !snapshots.isEmpty:
            snapshots.removeFirst()
        case 5:
            try real.sync()
            try model.sync()
        case 6, 7:
            try read(real, model)
        case 8 where !snapshots.isEmpty:
            let pair = snapshots[random.below(snapshots.count)]
            try read(pair.real, pair.model)
        default:
            guard !open.isEmpty else { return }
            try stepTransaction(random.below(open.count))
        }
    }

    mutating func reopen(_ harness: RocksDBHarness) throws {
        open = []
        snapshots = []
        real = try harness.reopen(real, tables: Self.tables)
        try model.close()
        model = try model.reopened()
        try compareAll()
    }

    func compareAll() throws {
        for table in Self.tables {
            let rows = try real.scan(table, from: [], before: nil, limit: .max)
            #expect(try rows == model.scan(table, from: [], before: nil, limit: .max))
        }
    }

    // MARK: -

    private mutating func stepTransaction(_ number: Int) throws {
        let pair = open[number]
        let table = Self.tables[random.below(2)]
        let key = makeKey()
        switch random.below(8) {
        case 0, 1:
            let value = [UInt8](repeating: UInt8(random.below(256)), count: random.below(40))
            try compare({ try pair.real.put(table, key, value) }) {
                try pair.model.put(table, key, value)
            }
        case 2:
            try compare({ try pair.real.delete(table, key) }) {
                try pair.model.delete(table, key)
            }
        case 3:
            // Some of these meet rows that are no counters, which both must refuse alike.
            let delta = Int64(random.below(9)) - 4
            try compare({ try pair.real.add(table, key, delta) }) {
                try pair.model.add(table, key, delta)
            }
        case 4, 5, 6:
            try read(pair.real, pair.model)
        default:
            open.remove(at: number)
            try compare({ try pair.real.commit() }) { try pair.model.commit() }
        }
    }

    private mutating func read(_ real: any IndexReader, _ model: any IndexReader) throws {
        let table = Self.tables[random.below(2)]
        switch random.below(3) {
        case 0:
            let key = makeKey()
            try compare({ try real.get(table, key) }) { try model.get(table, key) }
        case 1:
            let keys = (0..<random.below(12)).map { _ in makeKey() }
            try compare({ try real.getMany(table, keys) }) { try model.getMany(table, keys) }
        default:
            let from = random.below(2) == 0 ? [] : makeKey()
            let before = random.below(2) == 0 ? nil : makeKey()
            let limit = random.below(20)
            try compare({ try real.scan(table, from: from, before: before, limit: limit) }) {
                try model.scan(table, from: from, before: before, limit: limit)
            }
        }
    }

    private mutating func makeKey() -> [UInt8] {
        (0...random.below(2)).map { _ in UInt8(random.below(8) * 36) }
    }

    private func compare<T: Equatable>(_ real: () throws -> T, _ model: () throws -> T) throws {
        let (found, expected) = (outcome(real), outcome(model))
        #expect(found.value == expected.value)
        #expect(found.error == expected.error)
    }

    private func compare(_ real: () throws -> Void, _ model: () throws -> Void) throws {
        #expect(outcome(real).error == outcome(model).error)
    }

    private func outcome<T>(_ body: () throws -> T) -> (value: T?, error: IndexError?) {
        do {
            return (try body(), nil)
        } catch {
            return (nil, error as? IndexError)
        }
    }
}

/// Small seeded randomness (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators").
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }

    mutating func below(_ bound: Int) -> Int {
        bound == 0 ? 0 : Int(next() % UInt64(bound))
    }
}
