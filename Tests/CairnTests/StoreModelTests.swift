// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import CairnTesting
import Synchronization
import Testing

@testable import Cairn

/// Random work by several clients beside sweep, compaction and scrub, with power cuts anywhere.
///
/// Each client has a bucket of its own and knows exactly what it must hold; all take their bytes
/// from one pool, so that they share chunks, mount from each other and delete under each other's
/// feet. A power cut is a copy of disk and index as it may be found afterwards, taken while
/// everybody works. In the copy every acknowledged blob must be there with its bytes, every
/// deleted one must be gone, and all invariants must hold. The seed is the argument of the test.
@Suite struct StoreModelTests {
    private static let cutCount = isLong ? 40 : 4

    @Test(.timeLimit(.minutes(isLong ? 120 : 15)), arguments: 1...(isLong ? 50 : 4))
    func `no power cut loses or resurrects anything`(seed: UInt64) async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open(seed: seed)
        let pool = ContentPool(seed: seed)
        var clients: [ModelClient] = []
        for number in 0..<3 as Range<UInt64> {
            let bucket = try await store.defaultAccount.createBucket("client/\(number)")
            clients.append(ModelClient(bucket, pool, seed: seed * 100 + number))
        }
        let world = clients
        let isDone = Shared(false)
        try await withThrowingTaskGroup { group in
            for client in world {
                group.addTask {
                    while !isDone.current { try await client.step(world) }
                }
            }
            group.addTask {
                while !isDone.current { try await Self.maintain(store) }
            }
            defer { isDone.update { $0 = true } }
            for cut in 0..<Self.cutCount {
                let stepCount = world[0].stepCount
                while world[0].stepCount < stepCount + 4 { await Task.yield() }
                try await Self.checkCut(simulated, world, seed: seed * 1000 + UInt64(cut))
            }
        }
        for client in world { try await client.check(in: store) }
        try await CairnTests.check(store)
        try await store.close()
        try await Self.checkRepair(simulated, world, world.map(\.settled))
    }

    private static func maintain(_ store: Store) async throws {
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0.05
        configuration.smallSegmentCountMax = 2
        try await store.sweep()
        try await store.compact(configuration)
        let scrubbed = try await store.scrub()
        #expect(scrubbed.damagedChunkCount == 0)
    }

    private static func checkCut(
        _ simulated: SimulatedStore, _ clients: [ModelClient], seed: UInt64
    ) async throws {
        let before = clients.map(\.settled)
        let after = simulated.afterPowerCut(seed: seed)
        let settled = zip(before, clients.map(\.settled)).map { $0.intersection(with: $1) }
        let store = try await after.open(seed: seed)
        for (client, known) in zip(clients, settled) {
            try await client.check(known, in: store)
        }
        try await CairnTests.check(store)
        try await store.sweep()
        try await store.compact()
        try await CairnTests.check(store)
        for (client, known) in zip(clients, settled) {
            try await client.check(known, in: store)
        }
        try await store.close()
        try await checkRepair(after, clients, settled)
    }

    // The power cut may have cost the catalogue something; the compaction has made up for that.
    private static func checkRepair(
        _ simulated: SimulatedStore, _ clients: [ModelClient], _ settled: [Settled]
    ) async throws {
        simulated.loseIndex()
        let report = try await simulated.repair()
        #expect(report.isComplete)
        #expect(report.lostBlobs == [])
        let store = try await simulated.open(seed: 3)
        try await CairnTests.check(store)
        for (client, known) in zip(clients, settled) { try await client.check(known, in: store) }
        try await store.close()
    }
}

/// What must be, and what must not be, whatever happens: nobody is changing it.
private struct Settled: Sendable {
    var present: Set<Int> = []
    var absent: Set<Int> = []

    func intersection(with other: Settled) -> Settled {
        Settled(
            present: present.intersection(other.present),
            absent: absent.intersection(other.absent))
    }
}

/// Does random things to one bucket and knows what it must hold.
private final class ModelClient: Sendable {
    private struct State {
        var generator: SeededGenerator
        var settled: Settled
        var suspended: (id: UploadID, blob: Int, count: Int)?
        var stepCount = 0
    }

    private let bucket: Bucket
    private let pool: ContentPool
    private let state: Mutex<State>

    init(_ bucket: Bucket, _ pool: ContentPool, seed: UInt64) {
        self.bucket = bucket
        self.pool = pool
        state = Mutex(
            State(
                generator: SeededGenerator(seed: seed),
                settled: Settled(absent: Set(pool.blobs.indices))))
    }

    var settled: Settled { state.withLock { $0.settled } }
    var stepCount: Int { state.withLock { $0.stepCount } }

    func step(_ clients: [ModelClient]) async throws {
        let (blob, kind) = state.withLock { state in
            let blob = Int.random(in: pool.blobs.indices, using: &state.generator)
            return (blob, Int.random(in: 0..<8, using: &state.generator))
        }
        switch kind {
        case 0, 1: try await put(blob)
        case 2: try await delete(blob)
        case 3: try await read(blob)
        case 4: try await mount(blob, from: clients)
        case 5: try await beginAndSuspend(blob)
        case 6: try await resumeAndCommit()
        default: try await abandon(blob)
        }
        state.withLock { $0.stepCount += 1 }
    }

    /// What the client knows of its bucket, in this store or in one after a power cut.
    func check(_ known: Settled? = nil, in store: Store) async throws {
        let known = known ?? settled
        let bucket = try await store.defaultAccount.bucket(bucket.name)
        for blob in known.present {
            let bytes = try await bucket.contents(pool.digests[blob])
            #expect(bytes == pool.blobs[blob], "blob \(blob)")
        }
        for blob in known.absent {
            let digest = pool.digests[blob]
            #expect(await code { _ = try await bucket.stat(digest) } == .blobUnknown)
        }
    }

    // MARK: - Steps

    // Unsettled while under way: a power cut may fall on either side.
    private func changing(
        _ blob: Int, to isPresent: Bool, _ body: () async throws -> Bool
    ) async throws {
        let before = settled
        state.withLock { state in
            _ = state.settled.present.remove(blob)
            _ = state.settled.absent.remove(blob)
        }
        let isDone = try await body()
        let wasPresent = before.present.contains(blob)
        state.withLock { state in
            if isDone ? isPresent : wasPresent {
                _ = state.settled.present.insert(blob)
            } else {
                _ = state.settled.absent.insert(blob)
            }
        }
    }

    private func put(_ blob: Int) async throws {
        try await changing(blob, to: true) {
            try await bucket.put(pool.blobs[blob])
            return true
        }
    }

    private func delete(_ blob: Int) async throws {
        try await changing(blob, to: false) {
            let found = await code { try await bucket.deleteBlob(pool.digests[blob]) }
            #expect(found == nil || found == .blobUnknown)
            return true
        }
    }

    private func mount(_ blob: Int, from clients: [ModelClient]) async throws {
        guard let source = clients.first(where: { $0.settled.present.contains(blob) }),
            source !== self
        else { return }
        try await changing(blob, to: true) {
            // Its owner may delete it meanwhile.
            let found = await code {
                try await bucket.mountBlob(pool.digests[blob], from: source.bucket)
            }
            #expect(found == nil || found == .blobUnknown)
            return found == nil
        }
    }

    private func read(_ blob: Int) async throws {
        let isPresent = settled.present.contains(blob)
        let found = await code {
            let bytes = try await bucket.contents(pool.digests[blob])
            #expect(bytes == pool.blobs[blob])
        }
        #expect(found == (isPresent ? nil : .blobUnknown))
    }

    private func beginAndSuspend(_ blob: Int) async throws {
        guard state.withLock({ $0.suspended == nil }) else { return }
        let bytes = pool.blobs[blob]
        let session = try await bucket.beginUpload()
        try await session.append(bytes.span.extracting(..<(bytes.count / 2)))
        try await session.suspend()
        state.withLock { $0.suspended = (session.id, blob, bytes.count / 2) }
    }

    private func resumeAndCommit() async throws {
        guard let (id, blob, count) = state.withLock({ $0.suspended }) else { return }
        state.withLock { $0.suspended = nil }
        let session = try await bucket.resumeUpload(id)
        #expect(session.status.receivedByteCount == UInt64(count))
        let bytes = pool.blobs[blob]
        try await session.append(bytes.span.extracting(count...))
        try await changing(blob, to: true) {
            try await session.commit(expecting: pool.digests[blob])
            return true
        }
    }

    private func abandon(_ blob: Int) async throws {
        let bytes = pool.blobs[blob]
        let session = try await bucket.beginUpload()
        try await session.append(bytes.span)
        try await session.cancel()
    }
}
