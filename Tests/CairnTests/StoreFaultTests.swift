// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

/// Disks that refuse.
@Suite struct StoreFaultTests {
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
