// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Synchronization
import Testing

/// Power cuts in the middle of concurrent work: unsynced writes of segments are dropped, torn or
/// reordered, and unsynced commits of the index are lost from some point on.
@Suite struct StoreCrashTests {
    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func `invariant 1: an acknowledged commit survives any power cut`(seed: UInt64) async throws {
        var simulated = SimulatedStore()
        let store = try await simulated.open(seed: seed)
        let bucket = try await store.defaultAccount.createBucket("crash")
        let acknowledged = Acknowledged()
        let running = simulated
        let (left, sure) = try await withThrowingTaskGroup(
            of: Void.self, returning: (SimulatedStore, [Digest]).self
        ) { group in
            for writer in 0..<3 as Range<UInt64> {
                group.addTask {
                    for number in 0..<6 as Range<UInt64> {
                        let size = Int((number * 37 + writer * 11 + seed) % 5) * 90_000 + 100
                        let bytes = TestData.random(size, seed: seed << 16 | writer << 8 | number)
                        let digest = try await bucket.put(bytes).digest
                        acknowledged.add(digest)
                    }
                }
            }
            // The cut falls wherever the writers are by then.
            while acknowledged.digests.count < Int(seed) { await Task.yield() }
            let sure = acknowledged.digests
            let left = running.afterPowerCut(seed: seed)
            try await group.waitForAll()
            return (left, sure)
        }
        var after = left
        let reopened = try await after.open(seed: seed + 100)
        let again = try await reopened.defaultAccount.bucket("crash")
        for digest in sure {
            #expect(Digest.sha256(of: try await again.contents(digest).span) == digest)
        }
        try await check(reopened)
        try await reopened.close()
        try await store.close()
    }

    @Test func `a store whose creation was cut off anywhere is created by the next opening`()
        async throws
    {
        for changes in 0..<60 {
            let simulated = SimulatedStore()
            simulated.disk.cutPower(afterChanges: changes)
            let whole = simulated
            let found = await code { try await Self.openAndClose(whole, seed: UInt64(changes)) }
            #expect(found == nil || found == .io)
            var after = simulated.afterPowerCut(seed: UInt64(changes))
            let store = try await after.open(seed: 7)
            let bucket = try await store.defaultAccount.createBucket("after")
            try await bucket.put([1, 2, 3])
            try await check(store)
            try await store.close()
        }
    }

    private static func openAndClose(_ simulated: SimulatedStore, seed: UInt64) async throws {
        var simulated = simulated
        let store = try await simulated.open(seed: seed)
        try await store.close()
    }

    @Test func `a full disk is reported and service resumes when there is room`() async throws {
        var simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("full")
        let first = try await bucket.put(TestData.random(200_000, seed: 40)).digest
        simulated.disk.setCapacity(9 << 20)
        let failed = await code { try await bucket.put(TestData.random(30_000_000, seed: 41)) }
        #expect(failed == .outOfSpace)
        #expect(try await bucket.contents(first).count == 200_000)
        simulated.disk.setCapacity(nil)
        // The failed write is what closing reports again; the store is closed all the same.
        _ = await code { try await store.close() }
        let reopened = try await simulated.open(seed: 2)
        let again = try await reopened.defaultAccount.bucket("full")
        #expect(try await again.contents(first).count == 200_000)
        try await again.put(TestData.random(3_000_000, seed: 42))
        try await check(reopened)
        try await reopened.close()
    }
}

private final class Acknowledged: Sendable {
    private let list = Mutex<[Digest]>([])
    var digests: [Digest] { list.withLock { $0 } }
    func add(_ digest: Digest) { list.withLock { $0.append(digest) } }
}
