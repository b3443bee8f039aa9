// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// A store whose index is lost or damaged comes back from its segments and its catalogue.
@Suite struct RepairTests {
    private static let blobs = [
        [], [7], TestData.random(16_384, seed: 1), TestData.random(16_385, seed: 2),
        TestData.compressible(3_000_000, seed: 3), TestData.random(2_200_000, seed: 4),
        TestData.random(5000, seed: 5),
    ]
    private static let digests = blobs.map { Digest.sha256(of: $0.span) }

    /// What a store has that no index tells a repair.
    private struct World {
        let simulated: SimulatedStore
        let store: Store
        var usage: [String: (UInt64, UInt64)] = [:]
    }

    // Blobs of all kinds in two accounts, mounts, objects, deleted blobs, a deleted bucket whose
    // contents are still there, a session, and a fold somewhere in between.
    private static func makeWorld(folding: Bool) async throws -> World {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open()
        var world = World(simulated: simulated, store: store)
        let one = try await store.defaultAccount.createBucket("one")
        let other = try await store.createAccount("other").createBucket("two")
        let gone = try await store.defaultAccount.createBucket("gone")
        for blob in blobs {
            try await one.put(blob)
            try await other.put(blob)
            try await gone.put(blob)
        }
        try await gone.put(TestData.random(1_000_000, seed: 6))
        if folding { try await store.engine.foldCatalogue() }
        let three = try await store.defaultAccount.createBucket("three")
        for digest in digests[..<6] { try await three.mountBlob(digest, from: one) }
        let body: [UInt8] = [1, 2, 3]
        try await three.putObject(
            "an/object", body.span, attributes: ObjectAttributes(metadata: ["a": "b"]),
            references: [digests[4]])
        try await three.deleteBlob(digests[5])
        try await other.deleteBlob(digests[4])
        try await store.defaultAccount.deleteBucket("gone", contents: .delete)
        let session = try await one.beginUpload()
        try await session.append(TestData.random(2_000_000, seed: 7).span)
        try await session.suspend()
        for bucket in [one, other, three] {
            let description = try await bucket.describe()
            world.usage[bucket.name] = (description.blobCount, description.logicalByteCount)
        }
        return world
    }

    private static func checkWorld(_ world: World, in store: Store) async throws {
        try await check(store)
        let one = try await store.defaultAccount.bucket("one")
        let other = try await store.account("other").bucket("two")
        let three = try await store.defaultAccount.bucket("three")
        for (blob, digest) in zip(blobs, digests) {
            #expect(try await one.contents(digest) == blob)
            if digest != digests[4] { #expect(try await other.contents(digest) == blob) }
        }
        for digest in digests[..<5] { #expect(try await three.stat(digest).digest == digest) }
        #expect(await code { _ = try await three.stat(digests[5]) } == .blobUnknown)
        #expect(await code { _ = try await other.stat(digests[4]) } == .blobUnknown)
        #expect(
            await code { _ = try await store.defaultAccount.bucket("gone") } == .bucketUnknown)
        let object = try await three.headObject("an/object")
        #expect(object.metadata == ["a": "b"])
        #expect(try await three.references(of: "an/object") == [digests[4]])
        // The reference still holds the blob.
        #expect(await code { try await three.deleteBlob(digests[4]) } == .blobReferenced)
        for bucket in [one, other, three] {
            let description = try await bucket.describe()
            #expect(
                world.usage[bucket.name] ?? (0, 0)
                    == (description.blobCount, description.logicalByteCount))
        }
    }

    @Test(arguments: [false, true])
    func `a lost index is built anew with everything in it`(_ folding: Bool) async throws {
        let world = try await Self.makeWorld(folding: folding)
        try await world.store.close()
        world.simulated.loseIndex()
        #expect(await code { _ = try await world.simulated.open() } == .corrupted)
        let report = try await world.simulated.repair()
        #expect(report.source == .catalogue)
        #expect(report.isComplete)
        #expect(report.lostBlobs == [])
        #expect(report.lostChunkCount == 0)
        #expect(report.damagedRangeCount == 0)
        let store = try await world.simulated.open(seed: 3)
        #expect(report.blobCount == world.usage.values.reduce(0) { $0 + $1.0 })
        #expect(report.chunkCount == (try await store.statistics().chunkCount))
        try await Self.checkWorld(world, in: store)
        #expect(try await store.defaultAccount.bucket("one").uploads().isEmpty)
        // The deleted bucket is worked off, and what the session had stored is dead.
        #expect(try await store.sweep().bucketCount == 1)
        try store.engine.segments.seal()
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0
        try await store.compact(configuration)
        try await Self.checkWorld(world, in: store)
        try await store.close()
    }

    @Test func `a repair of a sound store changes nothing, twice`() async throws {
        let world = try await Self.makeWorld(folding: true)
        try await world.store.close()
        let first = try await world.simulated.repair()
        #expect(try await world.simulated.repair(seed: 4) == first)
        let store = try await world.simulated.open(seed: 3)
        try await Self.checkWorld(world, in: store)
        try await store.close()
    }

    @Test func `a store that is open is not repaired`() async throws {
        let world = try await Self.makeWorld(folding: true)
        #expect(await code { _ = try await world.simulated.repair() } == .storeLocked)
        try await Self.checkWorld(world, in: world.store)
        try await world.store.close()
    }

    @Test func `where there is no store there is nothing to repair`() async throws {
        let simulated = SimulatedStore()
        #expect(await code { _ = try await simulated.repair() } == .storeNotFound)
    }

    @Test(arguments: HealingTests.Part.allCases)
    func `what is lost is named, and an upload of the same bytes cures it`(
        _ part: HealingTests.Part
    ) async throws {
        let (simulated, store, one, _) = try await HealingTests.makeStore()
        let sound = try await one.put(TestData.random(300_000, seed: 81)).digest
        try HealingTests.damage(part, simulated, store)
        try await store.close()
        simulated.loseIndex()
        let report = try await simulated.repair()
        #expect(report.isComplete)
        #expect(report.lostChunkCount == 1)
        #expect(report.damagedRangeCount == 1)
        #expect(Set(report.lostBlobs.map(\.bucket)) == ["one", "two"])
        #expect(report.lostBlobs.allSatisfy { $0.digest == HealingTests.digest })

        let again = try await simulated.open(seed: 3)
        let buckets = [
            try await again.defaultAccount.bucket("one"),
            try await again.defaultAccount.bucket("two"),
        ]
        #expect(try await again.damagedBlobs() == report.lostBlobs)
        for bucket in buckets {
            #expect(
                await code { _ = try await bucket.contents(HealingTests.digest) } == .corrupted)
        }
        #expect(try await buckets[0].contents(sound).count == 300_000)
        let third = try await again.defaultAccount.createBucket("three")
        try await third.put(HealingTests.bytes)
        for bucket in buckets + [third] {
            #expect(try await bucket.contents(HealingTests.digest) == HealingTests.bytes)
        }
        #expect(try await again.damagedBlobs() == [])
        // The damaged record is dead, and goes with its segment.
        try again.engine.segments.seal()
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0
        try await again.compact(configuration)
        try await check(again)
        for bucket in buckets + [third] { try await bucket.deleteBlob(HealingTests.digest) }
        try await again.sweep()
        try await check(again)
        #expect(try await again.statistics().blobCount == 1)
        try await again.close()
    }

    @Test(arguments: HealingTests.Part.allCases)
    func `a blob that is lost can be deleted`(_ part: HealingTests.Part) async throws {
        let (simulated, store, _, _) = try await HealingTests.makeStore()
        try HealingTests.damage(part, simulated, store)
        try await store.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 3)
        for name in ["one", "two"] {
            try await again.defaultAccount.bucket(name).deleteBlob(HealingTests.digest)
        }
        try await again.sweep()
        #expect(try await again.statistics().chunkCount == 0)
        #expect(try await again.damagedBlobs() == [])
        #expect(try await again.verify(.structure).problems.map(\.description) == [])
        try await again.close()
    }

    @Test func `a missing segment costs the blobs in it and nothing else`() async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        let first = try await bucket.put(TestData.random(1_000_000, seed: 1)).digest
        try store.engine.segments.seal()
        let second = try await bucket.put(TestData.random(1_000_000, seed: 2)).digest
        try await store.close()
        try simulated.disk.remove("segments/00000001.segment")
        simulated.loseIndex()
        let report = try await simulated.repair()
        #expect(report.lostBlobs.map(\.digest) == [first])
        let again = try await simulated.open(seed: 3)
        let found = try await again.defaultAccount.bucket("one")
        #expect(await code { _ = try await found.contents(first) } == .corrupted)
        #expect(try await found.contents(second).count == 1_000_000)
        try await found.put(TestData.random(1_000_000, seed: 1))
        try await check(again)
        try await again.close()
    }

    // MARK: - Faults

    @Test(arguments: SimulatedOperation.allCases.filter(\.isChange))
    func `a repair that fails leaves a sound store as it was`(
        _ operation: SimulatedOperation
    ) async throws {
        let world = try await Self.makeWorld(folding: false)
        // Something that the log has and the index has lost.
        world.simulated.index.setFault { $0 == .sync ? IndexError(.io, "told to fail") : nil }
        _ = await code {
            try await world.store.defaultAccount.bucket("three").put([9])
        }
        _ = await code { try await world.store.close() }
        var number = 1
        while true {
            let disk = world.simulated.disk
            disk.fail(operation, at: disk.count(of: operation) + number, count: 1, .error(.io))
            let failed = await code { _ = try await world.simulated.repair() }
            disk.heal()
            let store = try await world.simulated.open(seed: 3)
            try await Self.checkWorld(world, in: store)
            try await store.close()
            number += 1
            if failed == nil { break }
        }
    }

    @Test func `what the catalogue knows beyond an old index is not lost`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        // Its first use is recorded: the next write is the catalogue's.
        _ = try await bucket.keys()
        // From here on the catalogue is incomplete, and goes on all the same after a restart.
        simulated.disk.fail(
            .write, at: simulated.disk.count(of: .write) + 1, count: 1, .error(.outOfSpace))
        try await bucket.put([1])
        try await store.close()
        let second = try await simulated.open(seed: 2)
        let again = try await second.defaultAccount.bucket("one")
        try await again.put([2])
        let old = simulated.index.copy()
        try await again.put([3])
        try await second.close()
        simulated.setIndex(old)
        #expect(await code { _ = try await simulated.open(seed: 3) } == .corrupted)
        let report = try await simulated.repair()
        #expect(report.source == .index)
        let repaired = try await simulated.open(seed: 4)
        #expect(try await repaired.statistics().blobCount == 3)
        #expect(repaired.engine.catalogue.isComplete)
        try await check(repaired)
        try await repaired.close()
    }

    @Test func `without an orderly end nobody claims that everything is there`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        try await store.defaultAccount.createBucket("one").put([1])
        let killed = simulated.found(simulated.disk.crash(.keepAll), InMemoryIndex(tables: []))
        let report = try await killed.repair()
        #expect(!report.isComplete)
        #expect(report.blobCount == 1)
        let again = try await killed.open(seed: 2)
        #expect(again.engine.catalogue.isComplete)
        try await again.close()
        try await store.close()
    }

    @Test func `another store's index is left alone`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        try await store.defaultAccount.createBucket("one").put([1])
        try await store.close()
        let other = SimulatedStore()
        let stranger = try await other.open(seed: 9)
        for number in 0..<9 as Range<UInt8> {
            try await stranger.defaultAccount.createBucket("b\(number)").put([number])
        }
        try await stranger.close()
        simulated.setIndex(other.index)
        #expect(await code { _ = try await simulated.open(seed: 2) } == .corrupted)
        #expect(try await simulated.repair().source == .catalogue)
        let again = try await simulated.open(seed: 3)
        #expect(try await again.statistics().blobCount == 1)
        try await again.close()
    }

    @Test(arguments: SimulatedOperation.allCases.filter(\.isChange))
    func `a repair that fails can be run again`(_ operation: SimulatedOperation) async throws {
        let world = try await Self.makeWorld(folding: false)
        try await world.store.close()
        world.simulated.loseIndex()
        var number = 1
        while true {
            let disk = world.simulated.disk
            disk.fail(operation, at: disk.count(of: operation) + number, count: 1, .error(.io))
            let failed = await code { _ = try await world.simulated.repair() }
            disk.heal()
            #expect(failed == nil || failed == .io, "\(operation) \(number)")
            world.simulated.loseIndex()
            number += 1
            if failed == nil { break }
        }
        let report = try await world.simulated.repair()
        #expect(report.lostBlobs == [])
        let store = try await world.simulated.open(seed: 3)
        try await Self.checkWorld(world, in: store)
        try await store.close()
    }
}
