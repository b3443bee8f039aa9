// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct BlobLeaseTests {
    private static let large = TestData.random(100_000, seed: 700)
    private static let day = Duration.seconds(24 * 3600)

    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("blobs"))
    }

    @Test func `a leased blob goes with the sweep behind the end of its lease`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let pinned = try await bucket.put([1])
        #expect(pinned.leaseEnd == nil)
        let small = try await bucket.putBlob([2].span, lifetime: .leased)
        let session = try await bucket.beginUpload()
        try await session.append(Self.large.span)
        let large = try await session.commit(lifetime: .leased(.seconds(60)))
        let end = try #require(small.leaseEnd)
        #expect(end >= simulated.clock.now() + Self.day)
        #expect(end <= simulated.clock.now() + Self.day + Self.day / 16)
        #expect(try await bucket.stat(small.digest).leaseEnd == end)
        #expect(try await bucket.blobs().blobs.count { $0.leaseEnd != nil } == 2)
        #expect(try await store.sweep().expiredBlobCount == 0)
        simulated.clock.advance(by: .seconds(70))
        let report = try await store.sweep()
        #expect(report.expiredBlobCount == 1)
        #expect(report.chunkCount == 1)
        #expect(await code { _ = try await bucket.stat(large.digest) } == .blobUnknown)
        simulated.clock.advance(by: Self.day * 2)
        #expect(try await store.sweep().expiredBlobCount == 1)
        #expect(try await bucket.blobs().blobs.map(\.digest) == [pinned.digest])
        #expect(try await bucket.describe().logicalByteCount == 1)
        try await check(store)
        try await store.close()
    }

    @Test func `a lease ends early for nobody, and objects keep what they name beyond it`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let layer = try await bucket.putBlob(Self.large.span, lifetime: .leased)
        try await bucket.putObject("manifest", [3].span, references: [layer.digest])
        try await bucket.deleteObject("manifest")
        // The last object is gone, the lease is not over.
        #expect(try await bucket.stat(layer.digest).digest == layer.digest)
        try await bucket.putObject("manifest", [3].span, references: [layer.digest])
        simulated.clock.advance(by: Self.day * 2)
        #expect(try await store.sweep().expiredBlobCount == 0)
        #expect(try await bucket.stat(layer.digest).leaseEnd == nil)
        try await check(store)
        try await bucket.deleteObject("manifest")
        #expect(await code { _ = try await bucket.stat(layer.digest) } == .blobUnknown)
        #expect(try await bucket.describe().blobCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `a look renews a lease when asked, and a pin needs none`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let blob = try await bucket.putBlob([4].span, lifetime: .leased(.seconds(60)))
        let renewed = try await bucket.stat(blob.digest, leasingFor: Self.day)
        #expect(try #require(renewed.leaseEnd) >= simulated.clock.now() + Self.day)
        // A shorter one changes nothing, and neither does one that is there already.
        let commits = simulated.index.syncCount
        #expect(
            try await bucket.stat(blob.digest, leasingFor: .seconds(1)).leaseEnd
                == renewed.leaseEnd)
        #expect(
            try await bucket.stat(blob.digest, leasingFor: Self.day).leaseEnd == renewed.leaseEnd)
        #expect(simulated.index.syncCount == commits)
        simulated.clock.advance(by: .seconds(3600))
        try await store.sweep()
        #expect(try await bucket.stat(blob.digest) == renewed)
        try await bucket.put([4])
        #expect(try await bucket.stat(blob.digest, leasingFor: Self.day).leaseEnd == nil)
        try await bucket.putBlob([4].span, lifetime: .leased)
        simulated.clock.advance(by: Self.day * 9)
        #expect(try await store.sweep().expiredBlobCount == 0)
        #expect(try await bucket.stat(blob.digest).digest == blob.digest)
        // The body of an object, for whoever is about to name it elsewhere.
        let object = try await bucket.putObject("k", [5].span)
        _ = try await bucket.stat(object.digest, leasingFor: Self.day)
        try await bucket.deleteObject("k")
        #expect(try await bucket.contents(object.digest) == [5])
        for duration in [Duration.zero, .seconds(-1)] {
            #expect(
                await code { _ = try await bucket.stat(blob.digest, leasingFor: duration) }
                    == .invalidArgument)
            #expect(
                await code {
                    try await bucket.putBlob([6].span, lifetime: .leased(duration))
                } == .invalidArgument)
        }
        #expect(
            await code {
                _ = try await bucket.stat(Digest.sha256(of: [7].span), leasingFor: Self.day)
            }
                == .blobUnknown)
        try await check(store)
        try await store.close()
    }

    @Test func `leases come back with a repaired index, and go with their bucket`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let other = try await store.defaultAccount.createBucket("other")
        let blob = try await bucket.putBlob(Self.large.span, lifetime: .leased)
        try await other.mountBlob(blob.digest, from: bucket, lifetime: .leased(.seconds(60)))
        try await store.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let repaired = try await simulated.open(seed: 5)
        try await check(repaired)
        simulated.clock.advance(by: .seconds(70))
        #expect(try await repaired.sweep().expiredBlobCount == 1)
        try await repaired.defaultAccount.deleteBucket("blobs", contents: .delete)
        simulated.clock.advance(by: Self.day * 2)
        try await repaired.sweep()
        #expect(try await repaired.sweep() == SweepReport())
        #expect(try await repaired.statistics().chunkCount == 0)
        try await check(repaired)
        try await repaired.close()
    }
}
