// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// Damage is found, named and never served, and the next upload of the same bytes cures it.
@Suite struct HealingTests {
    /// What of a blob is damaged.
    enum Part: CaseIterable {
        case chunk, node, referenceList
    }

    static let bytes = TestData.compressible(3_000_000, seed: 80)
    static let digest = Digest.sha256(of: bytes.span)

    static func makeStore() async throws -> (SimulatedStore, Store, Bucket, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let one = try await store.defaultAccount.createBucket("one")
        let two = try await store.defaultAccount.createBucket("two")
        try await one.put(bytes)
        try await two.mountBlob(digest, from: one)
        try store.engine.segments.seal()
        return (simulated, store, one, two)
    }

    static func damage(
        _ part: Part, _ simulated: SimulatedStore, _ store: Store
    ) throws {
        let rows = try store.engine.index.scan(Tables.chunks, prefix: [], limit: 10_000)
        let kind: ChunkKind = part == .chunk ? .data : .node
        let row = try #require(
            rows.map { try ChunkRow(decoding: $0.value) }.first { $0.placement.kind == kind })
        let location = row.placement.location
        let offset =
            part == .referenceList
            ? location.offset + UInt64(location.byteCount) + 200 : location.offset + 200
        let path = "segments/\(location.segment).segment"
        var file = try #require(simulated.disk.contents(of: path))
        file[Int(offset)] ^= 0x10
        simulated.disk.setContents(of: path, to: file)
    }

    @Test(arguments: Part.allCases)
    func `an upload of the same bytes cures every bucket`(_ part: Part) async throws {
        let (simulated, store, one, two) = try await Self.makeStore()
        let sound = try await one.put(TestData.random(300_000, seed: 81)).digest
        try Self.damage(part, simulated, store)
        #expect(try await store.damagedBlobs().isEmpty)
        let report = try await store.scrub()
        #expect(report.damagedChunkCount == 1)
        #expect(report.unusedDamageCount == 0)
        #expect(report.isRoundComplete)
        #expect(try await store.scrub().damagedChunkCount == 0)
        #expect(
            Set(try await store.damagedBlobs().map(\.bucket)) == ["one", "two"])
        #expect(try await store.damagedBlobs().allSatisfy { $0.digest == Self.digest })
        if part != .referenceList {
            for bucket in [one, two] {
                #expect(await code { _ = try await bucket.contents(Self.digest) } == .corrupted)
            }
        }
        #expect(try await one.contents(sound).count == 300_000)

        let third = try await store.defaultAccount.createBucket("three")
        try await third.put(Self.bytes)
        for bucket in [one, two, third] {
            #expect(try await bucket.contents(Self.digest) == Self.bytes)
        }
        #expect(try await store.damagedBlobs().isEmpty)
        let structure = try await store.verify(.structure)
        #expect(structure.problems.map(\.description) == [])
        // The damaged record is dead now, and goes with its segment.
        try store.engine.segments.seal()
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0
        try await store.compact(configuration)
        try await check(store)
        for bucket in [one, two, third] { try await bucket.deleteBlob(Self.digest) }
        try await one.deleteBlob(sound)
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test(arguments: [Part.chunk, .node])
    func `a reader that meets damage is enough for the cure`(_ part: Part) async throws {
        let (simulated, store, one, two) = try await Self.makeStore()
        try Self.damage(part, simulated, store)
        #expect(await code { _ = try await one.contents(Self.digest) } == .corrupted)
        while try await store.damagedBlobs().isEmpty {
            try await Task.sleep(for: .milliseconds(5))
        }
        try await two.put(Self.bytes)
        #expect(try await one.contents(Self.digest) == Self.bytes)
        try await store.close()
    }

    @Test func `a scrub goes on where it ended, over restarts`() async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        var store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("scrubbed")
        for seed in 0..<9 as Range<UInt64> {
            try await bucket.put(TestData.random(2_500_000, seed: seed))
        }
        try await store.close()
        store = try await simulated.open(seed: 2)
        let segmentCount = try await store.statistics().segmentCount
        #expect(segmentCount >= 3)
        var configuration = ScrubConfiguration()
        configuration.byteCountMax = 1
        for round in 1...segmentCount {
            let report = try await store.scrub(configuration)
            #expect(report.segmentCount == 1)
            #expect(report.isRoundComplete == (round == segmentCount))
            try await store.close()
            store = try await simulated.open(seed: 2 + round)
        }
        let whole = try await store.scrub()
        #expect(whole.segmentCount == segmentCount)
        #expect(whole.byteCount > 22_000_000)
        try await store.close()
    }

    @Test func `damage that nothing needs is not an alarm`() async throws {
        let (simulated, store, one, two) = try await Self.makeStore()
        try Self.damage(.chunk, simulated, store)
        for bucket in [one, two] { try await bucket.deleteBlob(Self.digest) }
        try await store.sweep()
        let report = try await store.scrub()
        #expect(report.damagedChunkCount == 0)
        #expect(report.unusedDamageCount == 1)
        #expect(try await store.damagedBlobs().isEmpty)
        try await store.close()
    }
}
