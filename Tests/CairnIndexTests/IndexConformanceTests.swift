// Part of Cairn, a content-addressed blob store.
import CairnIndex
import CairnTesting
import Testing

@Suite struct `Every index obeys the rules` {
    @Test(arguments: IndexConformance.allCases)
    func `in RocksDB`(_ rule: IndexConformance.Case) throws {
        try rule.run(RocksDBHarness())
    }

    @Test(arguments: IndexConformance.allCases)
    func `in RocksDB when memory is flushed at every commit`(
        _ rule: IndexConformance.Case
    ) throws {
        var configuration = RocksDBHarness.tiny
        configuration.cacheByteCount = 64 << 10
        try rule.run(RocksDBHarness(configuration))
    }

    @Test(arguments: IndexConformance.allCases, [1, 2, 3] as [UInt64])
    func `in memory`(_ rule: IndexConformance.Case, _ seed: UInt64) throws {
        try rule.run(InMemoryHarness(seed: seed))
    }
}
