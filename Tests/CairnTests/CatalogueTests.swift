// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// The second copy of what no segment tells: what it holds, and that it knows when it lacks
/// something.
@Suite struct CatalogueTests {
    private static func rows(_ index: any Index) throws -> [[UInt8]: [UInt8]] {
        var rows: [[UInt8]: [UInt8]] = [:]
        for (number, table) in CatalogueTables.all.enumerated() {
            try index.forEachRow(table, prefix: []) { (row) throws(IndexError) in
                guard CatalogueTables.keeps(table, row.key) else { return }
                rows[[UInt8(number)] + row.key] = row.value
            }
        }
        return rows
    }

    /// What a replay of the files as they are gives.
    private static func replayed(
        _ disk: SimulatedDisk, _ storeID: Octets16
    ) throws -> (rows: [[UInt8]: [UInt8]], outcome: CatalogueReplay.Outcome) {
        var rows: [[UInt8]: [UInt8]] = [:]
        let outcome = try CatalogueReplay(disk: disk, storeID: storeID).run {
            (change) throws(StoreError) in
            let number = CatalogueTables.all.firstIndex { $0.name == change.table.name } ?? 0
            rows[[UInt8(number)] + change.key] = change.value
        }
        return (rows, outcome)
    }

    // Not an expectation of the rows themselves, whose description has no end.
    private static func expect(_ rows: [[UInt8]: [UInt8]], in store: Store) throws {
        let isSame = try Self.rows(store.engine.index) == rows
        #expect(isSame)
    }

    private static func work(in bucket: Bucket, seed: UInt64) async throws {
        for number in 0..<6 as Range<UInt64> {
            try await bucket.put(TestData.random(200, seed: seed + number))
        }
        let body: [UInt8] = [1]
        try await bucket.putObject("key", body.span)
        try await bucket.deleteBlob(
            Digest.sha256(of: TestData.random(200, seed: seed + 1).span))
    }

    @Test func `replaying the files gives the rows of the index`() async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        for seed in [10, 20, 30] as [UInt64] {
            try await Self.work(in: bucket, seed: seed)
            try store.engine.catalogue.sync()
            let (rows, outcome) = try Self.replayed(simulated.disk, store.engine.storeID)
            #expect(outcome.isComplete)
            #expect(outcome.sequence == (try Catalogue.sequence(of: store.engine.index)))
            try Self.expect(rows, in: store)
            if seed == 20 { try await store.engine.foldCatalogue() }
        }
        // Over restarts, each of which goes on with the log.
        for seed in 40..<44 as Range<UInt64> {
            try await store.close()
            store = try await simulated.open(seed: seed)
            #expect(store.engine.catalogue.isComplete)
            try await Self.work(
                in: try await store.defaultAccount.bucket("one"), seed: seed * 100)
            let (rows, outcome) = try Self.replayed(simulated.disk, store.engine.storeID)
            #expect(outcome.isComplete)
            try Self.expect(rows, in: store)
        }
        try await store.close()
    }

    @Test func `logs go with the fold that holds their changes`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        let bytes = TestData.random(16_000, seed: 1)
        let digest = Digest.sha256(of: bytes.span)
        while store.engine.catalogue.byteCount < Catalogue.foldByteCountMin + (2 << 20) {
            try await bucket.put(bytes)
            try await bucket.deleteBlob(digest)
        }
        var files = try CatalogueFiles(simulated.disk)
        #expect(files.logs.count >= 2)
        let (rows, outcome) = try Self.replayed(simulated.disk, store.engine.storeID)
        #expect(outcome.isComplete)
        try Self.expect(rows, in: store)
        #expect(store.engine.catalogue.isFoldDue)
        try await store.compact()
        files = try CatalogueFiles(simulated.disk)
        #expect(files.logs.count == 1)
        #expect(files.bases == files.logs)
        #expect(store.engine.catalogue.byteCount < 10_000)
        #expect(!store.engine.catalogue.isFoldDue)
        try await store.close()
    }

    @Test func `a log that cannot be written costs no commit, and the next fold makes up for it`()
        async throws
    {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        // Its first use is recorded: the next write is the catalogue's.
        _ = try await bucket.keys()
        simulated.disk.fail(
            .write, at: simulated.disk.count(of: .write) + 1, count: 1, .error(.outOfSpace))
        try await Self.work(in: bucket, seed: 1)
        #expect(!store.engine.catalogue.isComplete)
        #expect(try await store.statistics().isCatalogueComplete == false)
        try await Self.work(in: bucket, seed: 10)
        // A restart does not forget.
        try await store.close()
        store = try await simulated.open(seed: 2)
        #expect(!store.engine.catalogue.isComplete)
        try await Self.work(in: try await store.defaultAccount.bucket("one"), seed: 20)
        #expect(!store.engine.catalogue.isComplete)
        let lacking = try Self.replayed(simulated.disk, store.engine.storeID)
        #expect(!lacking.outcome.isComplete)
        try await store.compact()
        #expect(store.engine.catalogue.isComplete)
        #expect(try await store.statistics().isCatalogueComplete)
        let (rows, outcome) = try Self.replayed(simulated.disk, store.engine.storeID)
        #expect(outcome.isComplete)
        try Self.expect(rows, in: store)
        try await store.close()
    }

    @Test(arguments: 1...(isLong ? 500 : 50) as ClosedRange<UInt64>)
    func `after a power cut it is complete or says that it is not`(seed: UInt64) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        try await Self.work(in: bucket, seed: 1)
        if seed % 3 == 0 { try await store.engine.foldCatalogue() }
        if seed % 2 == 0 { try store.engine.catalogue.sync() }
        try await Self.work(in: bucket, seed: 10)
        if seed % 5 < 2 {
            // Logged, and then lost by the index: it never happened.
            simulated.index.setFault { $0 == .sync ? IndexError(.io, "told to fail") : nil }
            #expect(await code { try await bucket.put([9]) } == .io)
        }
        // Twice, so that what the first one left is what the second one meets.
        let first = simulated.afterPowerCut(seed: seed)
        let middle = try await first.open(seed: 2)
        try await Self.work(in: try await middle.defaultAccount.bucket("one"), seed: 20)
        let second = first.afterPowerCut(seed: seed + 1)
        let last = try await second.open(seed: 3)
        try await Self.work(in: try await last.defaultAccount.bucket("one"), seed: 30)
        let (rows, outcome) = try Self.replayed(second.disk, last.engine.storeID)
        #expect(outcome.isComplete == last.engine.catalogue.isComplete)
        if outcome.isComplete { try Self.expect(rows, in: last) }
        try await last.compact()
        #expect(last.engine.catalogue.isComplete)
        let folded = try Self.replayed(second.disk, last.engine.storeID)
        #expect(folded.outcome.isComplete)
        try Self.expect(folded.rows, in: last)
        try await last.close()
        try await middle.close()
        _ = await code { try await store.close() }
    }

    @Test func `a flipped bit anywhere is noticed or makes no difference`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        try await bucket.put([1])
        try await store.engine.foldCatalogue()
        try await bucket.put([2])
        try await bucket.put([3])
        let storeID = store.engine.storeID
        try await store.close()
        let index = try simulated.index.reopened(tables: Tables.all)
        let sound = try Self.rows(index).filter(Self.isNoNote)
        let sequence = try Catalogue.sequence(of: index)
        let files = try CatalogueFiles(simulated.disk)
        let paths =
            files.bases.map { "catalogue/" + CatalogueFormat.name(.base, $0) }
            + files.logs.map { "catalogue/" + CatalogueFormat.name(.log, $0) }
        #expect(paths.count == 2)
        var flippedCount = 0
        for path in paths {
            let bytes = try #require(simulated.disk.contents(of: path))
            for offset in bytes.indices {
                var damaged = bytes
                damaged[offset] ^= 1 << UInt8(offset % 8)
                simulated.disk.setContents(of: path, to: damaged)
                let found: (rows: [[UInt8]: [UInt8]], outcome: CatalogueReplay.Outcome)
                do { found = try Self.replayed(simulated.disk, storeID) } catch {
                    #expect((error as? StoreError)?.code == .formatTooNew)
                    continue
                }
                // That the end of the last log is missing only the index can tell.
                let isWhole = found.outcome.isComplete && found.outcome.sequence == sequence
                let rows = found.rows.filter(Self.isNoNote)
                let isSame = rows == sound
                #expect(!isWhole || isSame, "\(path) \(offset)")
                // Nothing is there that never was.
                let isPart = rows.allSatisfy { sound[$0.key] == $0.value }
                #expect(isPart, "\(path) \(offset)")
                flippedCount += 1
            }
            simulated.disk.setContents(of: path, to: bytes)
        }
        #expect(flippedCount > 1000)
    }

    // Written at each closing, so that an older one is no damage.
    private static func isNoNote(_ row: (key: [UInt8], value: [UInt8])) -> Bool {
        Array(row.key.suffix(MetaKey.auditHead.count)) != MetaKey.auditHead
    }

    @Test func `a damaged log costs one transaction, and an index that is there makes up for it`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        for number in 1...3 as ClosedRange<UInt8> { try await bucket.put([number]) }
        try await store.close()
        let log = try #require(try CatalogueFiles(simulated.disk).logs.last)
        let path = "catalogue/" + CatalogueFormat.name(.log, log)
        var bytes = try #require(simulated.disk.contents(of: path))
        // Frames of changes have kind 1.
        let frames = bytes.indices.dropLast(36).filter {
            bytes[$0...].starts(with: Array("CRNF".utf8)) && bytes[$0 + 24] == 1
        }
        try #require(frames.count > 2)
        bytes[frames[frames.count - 2] + 40] ^= 4
        simulated.disk.setContents(of: path, to: bytes)
        #expect(try await simulated.repair().source == .index)
        let whole = try await simulated.open(seed: 2)
        #expect(try await whole.statistics().blobCount == 3)
        try await check(whole)
        try await whole.close()

        // Without an index the rest is what there is, and the report says so.
        let files = try CatalogueFiles(simulated.disk)
        let base = "catalogue/" + CatalogueFormat.name(.base, try #require(files.bases.last))
        var half = try #require(simulated.disk.contents(of: base))
        half[half.count / 2] ^= 4
        simulated.disk.setContents(of: base, to: half)
        simulated.loseIndex()
        #expect(await code { _ = try await simulated.repair() } == .corrupted)
        simulated.disk.setContents(of: base, to: Array(half[..<64]))
        #expect(await code { _ = try await simulated.repair() } == .corrupted)
    }

    @Test func `an index that has lost what was durable is not opened, and repaired`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        try await bucket.put([1])
        let earlier = simulated.index.copy()
        try await bucket.put([2])
        try await bucket.put(TestData.random(100_000, seed: 1))
        try await store.close()
        // As when the end of RocksDB's log is damaged, or an old copy was put in its place.
        simulated.setIndex(earlier)
        #expect(await code { _ = try await simulated.open(seed: 2) } == .corrupted)
        let report = try await simulated.repair()
        #expect(report.source == .catalogue)
        let again = try await simulated.open(seed: 3)
        #expect(try await again.statistics().blobCount == 3)
        try await check(again)
        try await again.close()
    }

    @Test func `changes that were never durable are no loss`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        try await bucket.put([1])
        // The commit is applied and logged, but the index cannot be synced.
        simulated.index.setFault { $0 == .sync ? IndexError(.io, "told to fail") : nil }
        #expect(await code { try await bucket.put([2]) } == .io)
        #expect(await code { try await bucket.put([3]) } == .io)
        _ = await code { try await store.close() }
        let again = try await simulated.open(seed: 2)
        #expect(try await again.statistics().blobCount == 1)
        #expect(again.engine.catalogue.isComplete)
        try await again.defaultAccount.bucket("one").put([4])
        let (rows, outcome) = try Self.replayed(simulated.disk, again.engine.storeID)
        #expect(outcome.isComplete)
        try Self.expect(rows, in: again)
        try await again.close()
    }
}
