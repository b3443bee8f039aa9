// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// A session has one owner at a time, and only who owns its last checkpoint can go on from it.
@Suite struct UploadOwnershipTests {
    private static let bytes = TestData.compressible(5_500_000, seed: 20)
    private static let digest = Digest.sha256(of: bytes.span)

    private static func makeStore() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("uploads"))
    }

    @Test func `a session whose checkpoint is gone cannot be committed`() async throws {
        let (_, store, bucket) = try await Self.makeStore()
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span)
        try await session.checkpoint()
        // As a second owner would: no interface lets two have the same session.
        try await store.engine.discardUpload(session.id, of: bucket.bucketID)
        #expect(
            await code { try await session.commit(expecting: Self.digest) } == .uploadUnknown)
        #expect(try await bucket.blobs().blobs.isEmpty)
        try await check(store)
        try await store.close()
    }

    @Test func `a checkpoint that another owner made is not replaced`() async throws {
        let (_, store, bucket) = try await Self.makeStore()
        let first = try await bucket.beginUpload()
        try await first.append(Self.bytes.span.extracting(..<3_000_000))
        try await first.checkpoint()
        // As no interface lets anybody.
        store.engine.liveUploads.release(first.claim)
        let second = try await bucket.resumeUpload(first.id)
        try await second.append(Self.bytes.span.extracting(3_000_000...))
        try await second.checkpoint()
        try await first.append(Self.bytes.span.extracting(3_000_000..<3_100_000))
        #expect(await code { try await first.checkpoint() } == .uploadUnknown)
        try await second.commit(expecting: Self.digest)
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        try await check(store)
        try await store.close()
    }

    // The disk refuses once, at each place where an upload reserves room or creates a segment.
    @Test(arguments: [SimulatedOperation.allocate, .create], [1, 2, 3, 4, 5, 6])
    func `a refused upload goes on from its checkpoint and loses no byte`(
        _ operation: SimulatedOperation, _ number: Int
    ) async throws {
        let (simulated, store, bucket) = try await Self.makeStore()
        var session = try await bucket.beginUpload()
        let parts = stride(from: 0, to: Self.bytes.count, by: 1_100_000)
        var position = 100_000
        var refusedCount = 0
        try await session.append(Self.bytes.span.extracting(..<position))
        try await session.checkpoint()
        // Twice, for the store asks again for less.
        simulated.disk.fail(
            operation, at: simulated.disk.count(of: operation) + number, count: 2,
            .error(.outOfSpace))
        for end in parts.dropFirst().map({ $0 }) + [Self.bytes.count] {
            do throws(StoreError) {
                try await session.append(Self.bytes.span.extracting(position..<end))
                position = end
                try await session.checkpoint()
            } catch {
                #expect(error.code == .outOfSpace)
                refusedCount += 1
                let id = session.id
                session = try await bucket.resumeUpload(id)
                position = Int(session.status.receivedByteCount)
            }
        }
        // The last numbers are never reached.
        if number == 1 { #expect(refusedCount > 0) }
        try await session.append(Self.bytes.span.extracting(position...))
        try await session.commit(expecting: Self.digest)
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        try await check(store)
        try await store.close()
    }

    @Test func `a dropped handle takes nothing from its successor`() async throws {
        let (simulated, store, bucket) = try await Self.makeStore()
        var session = try await bucket.beginUpload()
        let id = session.id
        try await session.append(Self.bytes.span.extracting(..<3_000_000))
        try await session.checkpoint()
        simulated.disk.fail(
            .allocate, at: simulated.disk.count(of: .allocate) + 1, count: 2, .error(.outOfSpace))
        let other = TestData.random(9_000_000, seed: 3)
        #expect(await code { try await session.append(other.span) } == .outOfSpace)
        session = try await bucket.resumeUpload(id)
        #expect(await code { try await bucket.cancelUpload(id) } == .uploadBusy)
        #expect(await code { _ = try await bucket.resumeUpload(id) } == .uploadBusy)
        try await session.append(Self.bytes.span.extracting(3_000_000...))
        try await session.commit(expecting: Self.digest)
        try await check(store)
        try await store.close()
    }

    @Test func `reaping passes over what it cannot end and what is in use`() async throws {
        let (simulated, store, bucket) = try await Self.makeStore()
        var used: [UploadSession] = []
        var ids: [UploadID] = []
        for number in 0..<8 {
            let session = try await bucket.beginUpload()
            try await session.append(Self.bytes.span.extracting(..<(20_000 + number)))
            try await session.checkpoint()
            ids.append(session.id)
            if number < 6 { used.append(session) } else { try await session.suspend() }
        }
        simulated.clock.advance(by: simulated.configuration.uploadLifetime + .seconds(1))
        try await damageState(of: ids[6], in: bucket, store)
        #expect(try await store.reapExpiredUploads() == 1)
        #expect(Set(try await bucket.uploads().map(\.id)) == Set(ids[..<7]))
        // Nobody is kept from his work by a session that cannot be ended.
        let next = try await bucket.beginUpload()
        try await next.append(Self.bytes.span)
        try await next.commit(expecting: Self.digest)
        #expect(used.count == 6)
        try await store.close()
    }

    private func damageState(
        of id: UploadID, in bucket: Bucket, _ store: Store
    ) async throws {
        let bucketID = bucket.bucketID
        try await store.engine.transact { (transaction) throws(StoreError) in
            guard var row = try transaction.upload(id, of: bucketID) else { return }
            row.sealedHeld[row.sealedHeld.count / 2] ^= 1
            try transaction.putUpload(row, id, of: bucketID)
        }
    }
}
