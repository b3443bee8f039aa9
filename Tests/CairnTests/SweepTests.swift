// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnTestSupport
import Testing

@testable import Cairn

@Suite struct SweepTests {
    private static let first = TestData.compressible(3_000_000, seed: 60)
    private static let second = TestData.compressible(3_000_000, seed: 61)

    private static func makeStore() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("swept"))
    }

    @Test func `what nothing needs is freed and the rest stays`() async throws {
        let (_, store, bucket) = try await Self.makeStore()
        // The second blob shares the first half of the first.
        let shared = Array(Self.first[..<1_500_000]) + Self.second
        let kept = try await bucket.put(shared).digest
        let gone = try await bucket.put(Self.first).digest
        let before = try await store.statistics().chunkCount
        #expect(try await store.sweep() == SweepReport())
        try await bucket.deleteBlob(gone)
        try await check(store)
        let preview = try await store.sweepPreview()
        #expect(preview.chunkCount > 10)
        #expect(try await store.statistics().chunkCount == before)
        #expect(try await store.sweep() == preview)
        #expect(try await store.statistics().chunkCount == before - preview.chunkCount)
        #expect(try await store.sweep() == SweepReport())
        #expect(try await bucket.contents(kept) == shared)
        try await check(store)
        try await bucket.deleteBlob(kept)
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        // Nothing of it is a duplicate any more.
        try await bucket.put(shared)
        #expect(try await bucket.contents(kept) == shared)
        try await check(store)
        try await store.close()
    }

    @Test func `a tree that is being read stays until the reader is done`() async throws {
        let (_, store, bucket) = try await Self.makeStore()
        let digest = try await bucket.put(Self.first).digest
        do {
            let blob = try await bucket.openBlob(digest)
            try await bucket.deleteBlob(digest)
            let report = try await store.sweep()
            #expect(report.chunkCount == 0)
            #expect(report.leasedCount == 1)
            #expect(try await blob.readAll(upTo: 4_000_000) == Self.first)
            var iterator = blob.bytes().makeAsyncIterator()
            #expect(try await iterator.next() != nil)
            #expect(try await store.sweep().chunkCount == 0)
        }
        #expect(store.engine.leases.count == 0)
        #expect(try await store.sweep().chunkCount > 10)
        #expect(await code { _ = try await bucket.openBlob(digest) } == .blobUnknown)
        try await check(store)
        try await store.close()
    }

    // A session that found a chunk alive commits after the chunk was swept.
    @Test func `a duplicate that is swept before its session commits is kept`() async throws {
        let (_, store, bucket) = try await Self.makeStore()
        let digest = try await bucket.put(Self.first).digest
        let session = try await bucket.beginUpload()
        try await session.append(Self.first.span.extracting(..<2_500_000))
        try await session.checkpoint()
        try await session.append(Self.first.span.extracting(2_500_000...))
        try await bucket.deleteBlob(digest)
        #expect(try await store.sweep().chunkCount > 0)
        try await check(store)
        try await session.commit(expecting: digest)
        #expect(try await bucket.contents(digest) == Self.first)
        try await check(store)
        try await store.close()
    }

    @Test func `a bucket of any contents is deleted at once and worked off by sweeps`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.makeStore()
        let other = try await store.defaultAccount.createBucket("other")
        let digest = try await bucket.put(Self.first).digest
        try await other.mountBlob(digest, from: bucket)
        try await bucket.put(Self.second)
        for number in 0..<300 {
            let body = Array("manifest \(number)".utf8)
            try await bucket.putObject("key/\(number)", body.span, references: [digest])
        }
        let suspended = try await bucket.beginUpload()
        try await suspended.append(Self.second.span)
        try await suspended.suspend()
        let open = try await bucket.beginUpload()
        try await open.append(Self.second.span)
        try await open.checkpoint()
        let account = store.defaultAccount
        #expect(await code { try await account.deleteBucket("swept") } == .bucketNotEmpty)
        try await account.deleteBucket("swept", contents: .delete)
        #expect(await code { _ = try await account.bucket("swept") } == .bucketUnknown)
        try await check(store)
        #expect(await code { try await open.commit() } == .bucketUnknown)
        // A name is free at once, and the new bucket has nothing of the old one.
        let again = try await account.createBucket("swept")
        #expect(try await again.blobs().blobs.isEmpty)
        try await store.close()

        let reopened = try await simulated.open(seed: 2)
        let report = try await reopened.sweep()
        #expect(report.bucketCount == 1)
        #expect(report.chunkCount > 10)
        #expect(report.damagedCount == 0)
        try await check(reopened)
        let left = try await reopened.defaultAccount.bucket("other")
        #expect(try await left.contents(digest) == Self.first)
        try await left.deleteBlob(digest)
        try await reopened.sweep()
        #expect(try await reopened.statistics().chunkCount == 0)
        try await check(reopened)
        try await reopened.close()
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `pushes, reads, deletes and sweeps at the same time lose nothing`(
        seed: UInt64
    ) async throws {
        let (simulated, store, bucket) = try await Self.makeStore()
        let blobs = (0..<6).map { number in
            Array(Self.first[(number * 300_000)..<(number * 300_000 + 700_000)])
        }
        try await withThrowingTaskGroup { group in
            for worker in 0..<3 as Range<UInt64> {
                group.addTask { try await churn(bucket, blobs, seed: seed * 10 + worker) }
            }
            group.addTask {
                for _ in 0..<20 { try await store.sweep() }
            }
            try await group.waitForAll()
        }
        try await check(store)
        let after = simulated.afterPowerCut(seed: seed)
        let reopened = try await after.open(seed: 99)
        try await check(reopened)
        for blob in try await bucket.blobs().blobs { try await bucket.deleteBlob(blob.digest) }
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await reopened.close()
        try await store.close()
    }

    @Test func `a damaged node stops neither the sweep nor anybody`() async throws {
        let (_, store, bucket) = try await Self.makeStore()
        let digest = try await bucket.put(Self.first).digest
        let other = try await bucket.put(TestData.random(200_000, seed: 62)).digest
        try await misplaceNodes(in: store)
        try await bucket.deleteBlob(digest)
        try await bucket.deleteBlob(other)
        let preview = try await store.sweepPreview()
        let report = try await store.sweep()
        #expect(report == preview)
        #expect(report.damagedCount == 1)
        #expect(report.chunkCount == 1)
        try await store.close()
    }

    private func misplaceNodes(in store: Store) async throws {
        let nodes = try store.engine.index.scan(Tables.chunks, prefix: [], limit: 10_000).filter {
            try ChunkRow(decoding: $0.value).placement.kind == .node
        }
        try await store.engine.transact { (transaction) throws(StoreError) in
            for node in nodes {
                var value = node.value
                value[4] ^= 1
                try transaction.put(Tables.chunks, node.key, value)
            }
        }
    }
}
