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
        let simulated = SimulatedStore()
        let store = try await simulated.open(seed: seed)
        let bucket = try await store.defaultAccount.createBucket("crash")
        let acknowledged = Acknowledged()
        let writers = [1, 2, 3].map { writer in
            Task { try await Self.write(writer, seed: seed, to: bucket, acknowledged) }
        }
        // The cut falls wherever the writers are by then.
        while acknowledged.count < Int(seed) { await Task.yield() }
        let sure = acknowledged.digests
        let after = simulated.afterPowerCut(seed: seed)
        for writer in writers { try await writer.value }
        let reopened = try await after.open(seed: seed + 100)
        let again = try await reopened.defaultAccount.bucket("crash")
        for digest in sure {
            #expect(try await again.contents(digest).digest == digest)
        }
        try await check(reopened)
        try await reopened.close()
        try await store.close()
    }

    private static func write(
        _ writer: UInt64, seed: UInt64, to bucket: Bucket, _ acknowledged: Acknowledged
    ) async throws {
        for number in 0..<UInt64(6) {
            let byteCount = Int((number * 37 + writer * 11 + seed) % 5) * 90_000 + 100
            let bytes = TestData.random(byteCount, seed: seed << 16 | writer << 8 | number)
            acknowledged.add(try await bucket.put(bytes).digest)
        }
    }
}

private final class Acknowledged: Sendable {
    private let list = Mutex<[Digest]>([])
    var digests: [Digest] { list.withLock { $0 } }
    var count: Int { list.withLock { $0.count } }
    func add(_ digest: Digest) { list.withLock { $0.append(digest) } }
}
