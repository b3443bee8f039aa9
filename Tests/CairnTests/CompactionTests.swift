// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

@Suite struct CompactionTests {
    private static func blob(_ seed: UInt64) -> [UInt8] { TestData.random(2_000_000, seed: seed) }

    /// A store whose segments hold four blobs each, every one sealed.
    private static func makeStore(
        _ count: UInt64, checkpoints: UInt64 = 1 << 20
    ) async throws -> (SimulatedStore, Store, Bucket, [Digest]) {
        var simulated = SimulatedStore(segmentByteCount: 8 << 20)
        simulated.configuration.checkpointByteCount = checkpoints
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("compacted")
        var digests: [Digest] = []
        for seed in 0..<count { digests.append(try await bucket.put(blob(seed)).digest) }
        try store.engine.segments.seal()
        return (simulated, store, bucket, digests)
    }

    @Test func `a segment without anything alive is removed and nothing is written`() async throws {
        let (_, store, bucket, digests) = try await Self.makeStore(6)
        for digest in digests { try await bucket.deleteBlob(digest) }
        #expect(try await store.compact().segmentCount == 0)
        try await store.sweep()
        let before = try await store.statistics()
        let report = try await store.compact()
        #expect(report.segmentCount == before.segmentCount)
        #expect(report.movedByteCount == 0)
        #expect(report.freedByteCount > 12_000_000)
        let after = try await store.statistics()
        // An empty successor stays, so that no number is used twice.
        #expect(after.segmentCount == 1)
        #expect(after.storedByteCount < 100_000)
        try await check(store)
        try await store.close()
    }

    @Test func `what is alive moves and stays readable, also after reopening`() async throws {
        let (simulated, store, bucket, digests) = try await Self.makeStore(9)
        let text = TestData.compressible(2_500_000, seed: 70)
        let tree = try await bucket.put(text).digest
        try store.engine.segments.seal()
        let open = try await bucket.openBlob(digests[0])
        for (index, digest) in digests.enumerated() where index % 3 != 0 {
            try await bucket.deleteBlob(digest)
        }
        try await store.sweep()
        let report = try await store.compact()
        #expect(report.segmentCount >= 2)
        #expect(report.movedByteCount > 2_000_000)
        #expect(try await open.readAll(upTo: 3_000_000) == Self.blob(0))
        try await check(store)
        #expect(try await store.compact() == CompactionReport())
        try await store.close()
        let again = try await simulated.open(seed: 2)
        let reopened = try await again.defaultAccount.bucket("compacted")
        for index in stride(from: 0, to: 9, by: 3) {
            #expect(try await reopened.contents(digests[index]) == Self.blob(UInt64(index)))
        }
        #expect(try await reopened.contents(tree) == text)
        try await check(again)
        try await again.close()
    }

    @Test func `what is dead in the segment being written comes back too`() async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("active")
        let digest = try await bucket.put(Self.blob(1)).digest
        let kept = try await bucket.put(TestData.random(100_000, seed: 2)).digest
        try await bucket.deleteBlob(digest)
        try await store.sweep()
        #expect(try await store.compact().freedByteCount > 2_000_000)
        #expect(try await store.statistics().storedByteCount < 300_000)
        #expect(try await bucket.contents(kept).count == 100_000)
        try await check(store)
        try await store.close()
    }

    @Test func `two compactions at once do not disturb each other`() async throws {
        let (_, store, bucket, digests) = try await Self.makeStore(12)
        for (index, digest) in digests.enumerated() where index % 4 != 0 {
            try await bucket.deleteBlob(digest)
        }
        try await store.sweep()
        async let first = store.compact()
        async let second = store.compact()
        let count = try await first.segmentCount + second.segmentCount
        #expect(count >= 3)
        for index in stride(from: 0, to: 12, by: 4) {
            #expect(try await bucket.contents(digests[index]) == Self.blob(UInt64(index)))
        }
        try await check(store)
        try await store.close()
    }

    @Test func `many small segments become one`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("small")
        var digests: [Digest] = []
        for seed in 0..<20 as Range<UInt64> {
            digests.append(try await bucket.put(TestData.random(50_000, seed: seed)).digest)
            try store.engine.segments.seal()
        }
        #expect(try await store.compact().segmentCount == 20)
        try store.engine.segments.seal()
        #expect(try await store.statistics().segmentCount == 1)
        for (seed, digest) in digests.enumerated() {
            #expect(
                try await bucket.contents(digest) == TestData.random(50_000, seed: UInt64(seed)))
        }
        try await check(store)
        try await store.close()
    }

    // An upload that found its chunks in a segment keeps it until it has committed.
    @Test func `a segment that an upload relies on stays until it is committed`() async throws {
        let (_, store, bucket, digests) = try await Self.makeStore(4, checkpoints: 1 << 30)
        let bytes = Self.blob(0)
        let session = try await bucket.beginUpload()
        try await session.append(bytes.span)
        // Waits for the windows, without a checkpoint that would put the chunks into the index.
        while store.engine.inFlight.count == 0 { await Task.yield() }
        #expect(store.engine.inFlight.refers(to: SegmentNumber(1)))
        for digest in digests { try await bucket.deleteBlob(digest) }
        try await store.sweep()
        let report = try await store.compact()
        #expect(report.heldSegmentCount + report.segmentCount > 0)
        try await session.commit(expecting: digests[0])
        #expect(try await bucket.contents(digests[0]) == bytes)
        try await check(store)
        try await store.compact()
        #expect(try await bucket.contents(digests[0]) == bytes)
        try await check(store)
        try await store.close()
    }

    @Test func `a damaged record keeps its segment and its neighbours move`() async throws {
        let (simulated, store, bucket, digests) = try await Self.makeStore(3)
        try await bucket.deleteBlob(digests[1])
        try await store.sweep()
        let path = "segments/00000001.segment"
        var damaged = try #require(simulated.disk.contents(of: path))
        damaged[100_000] ^= 1
        simulated.disk.setContents(of: path, to: damaged)
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0.1
        let report = try await store.compact(configuration)
        #expect(report.segmentCount == 0)
        #expect(report.movedByteCount > 1_000_000)
        #expect(await code { _ = try await bucket.contents(digests[0]) } == .corrupted)
        #expect(try await bucket.contents(digests[2]) == Self.blob(2))
        try await store.close()
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func `pushes, reads, deletes, sweeps and compactions at the same time lose nothing`(
        seed: UInt64
    ) async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("churn")
        let base = TestData.compressible(2_400_000, seed: seed)
        let blobs = (0..<5).map { Array(base[($0 * 300_000)..<($0 * 300_000 + 1_100_000)]) }
        try await withThrowingTaskGroup { group in
            for worker in 0..<3 as Range<UInt64> {
                group.addTask { try await churn(bucket, blobs, seed: seed * 10 + worker) }
            }
            group.addTask {
                var configuration = CompactionConfiguration()
                configuration.deadShareMin = 0.01
                configuration.smallSegmentCountMax = 0
                for _ in 0..<12 {
                    try store.engine.segments.seal()
                    try await store.sweep()
                    try await store.compact(configuration)
                }
            }
            try await group.waitForAll()
        }
        try await check(store)
        let after = simulated.afterPowerCut(seed: seed)
        let reopened = try await after.open(seed: 99)
        try await check(reopened)
        try await reopened.close()
        try await store.close()
    }
}

/// Whatever others do to the same blobs: a push that succeeds is there, a read gives its bytes.
func churn(_ bucket: Bucket, _ blobs: [[UInt8]], seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<25 {
        let bytes = blobs[Int.random(in: blobs.indices, using: &generator)]
        let digest = Digest.sha256(of: bytes.span)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: #expect(try await bucket.put(bytes).digest == digest)
        case 1:
            let found = await code {
                let read = try await bucket.contents(digest)
                #expect(read == bytes)
            }
            #expect(found == nil || found == .blobUnknown)
        default:
            let found = await code { try await bucket.deleteBlob(digest) }
            #expect(found == nil || found == .blobUnknown)
        }
    }
}
