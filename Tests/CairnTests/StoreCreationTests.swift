// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

/// Power cuts while a store is being created.
@Suite struct StoreCreationTests {
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
}
