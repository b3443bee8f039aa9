// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@testable import Cairn

@Suite struct UploadTests {
    static let bytes = TestData.compressible(5_500_000, seed: 20)
    static let digest = Digest.sha256(of: bytes.span)

    @Test(arguments: [1, 17, 16 << 10, 1_000_003, 1 << 20, 2_500_000])
    func `a suspended session goes on after a restart`(first: Int) async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        var bucket = try await store.defaultAccount.createBucket("uploads")
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span.extracting(..<first))
        try await session.suspend()
        #expect(await code { try await session.append([1].span) } == .closed)
        try await store.close()

        store = try await simulated.open(seed: 2)
        bucket = try await store.defaultAccount.bucket("uploads")
        #expect(try await bucket.uploads().map(\.receivedByteCount) == [UInt64(first)])
        let resumed = try await bucket.resumeUpload(session.id)
        #expect(resumed.status.receivedByteCount == UInt64(first))
        #expect(await code { _ = try await bucket.resumeUpload(session.id) } == .uploadBusy)
        try await resumed.append(Self.bytes.span.extracting(first...))
        #expect(try await resumed.commit(expecting: Self.digest).digest == Self.digest)
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        #expect(try await bucket.uploads().isEmpty)
        #expect(await code { _ = try await bucket.resumeUpload(session.id) } == .uploadUnknown)
        try await check(store)
        try await store.close()
    }

    @Test func `after a power cut a session resumes at a checkpoint`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span.extracting(..<3_000_000))
        let durable = try await session.checkpoint()
        #expect(durable == 3_000_000)
        try await session.append(Self.bytes.span.extracting(3_000_000..<3_400_000))
        let cut = simulated.afterPowerCut(seed: 3)
        let after = try await cut.open(seed: 4)
        let again = try await after.defaultAccount.bucket("uploads")
        let resumed = try await again.resumeUpload(session.id)
        let received = Int(resumed.status.receivedByteCount)
        #expect(received >= 3_000_000)
        try await resumed.append(Self.bytes.span.extracting(received...))
        try await resumed.commit(expecting: Self.digest)
        #expect(try await again.contents(Self.digest) == Self.bytes)
        try await check(after)
        try await after.close()
        try await store.close()
    }

    @Test func `a wrong digest changes nothing`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        for bytes in [Array("small".utf8), Self.bytes] {
            let session = try await bucket.beginUpload()
            try await session.append(bytes.span.extracting(..<(bytes.count - 1)))
            let digest = Digest.sha256(of: bytes.span)
            #expect(await code { try await session.commit(expecting: digest) } == .digestMismatch)
            #expect(await code { try await session.commit(expecting: digest) } == .digestMismatch)
            #expect(try await bucket.blobs().blobs.count == (bytes == Self.bytes ? 1 : 0))
            try await session.append(bytes.span.extracting((bytes.count - 1)...))
            #expect(try await session.commit(expecting: digest).byteCount == UInt64(bytes.count))
            #expect(try await bucket.contents(digest) == bytes)
        }
        try await check(store)
        try await store.close()
    }

    // The long interval leaves everything received out of the index until the commit.
    @Test(arguments: [1 << 20, 1 << 30])
    func `bytes sent again are accepted when equal and refused when not`(
        checkpointByteCount: UInt64
    ) async throws {
        var simulated = SimulatedStore()
        simulated.configuration.checkpointByteCount = checkpointByteCount
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span.extracting(..<3_000_000), at: 0)
        #expect(
            await code { try await session.append([1].span, at: 3_000_001) }
                == .uploadOffsetMismatch)
        var other = Array(Self.bytes[0..<3_100_000])
        other[1_234_567] ^= 1
        #expect(await code { try await session.append(other.span, at: 0) } == .uploadOffsetMismatch)
        other = Array(Self.bytes[2_999_990..<3_000_010])
        other[3] ^= 1
        #expect(
            await code { try await session.append(other.span, at: 2_999_990) }
                == .uploadOffsetMismatch)
        #expect(session.status.receivedByteCount == 3_000_000)
        for start in [0, 65_536, 2_900_000, 3_000_000] {
            let received = try await session.append(
                Self.bytes.span.extracting(start..<3_000_000), at: UInt64(start))
            #expect(received == 3_000_000)
        }
        try await session.append(Self.bytes.span.extracting(2_000_000...), at: 2_000_000)
        try await session.commit(expecting: Self.digest)
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        try await store.close()
    }

    @Test func `a cancelled or dropped session leaves nothing that counts`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span)
        try await session.checkpoint()
        try await session.cancel()
        #expect(await code { _ = try await bucket.resumeUpload(session.id) } == .uploadUnknown)
        let id = try await suspended(in: bucket)
        try await bucket.cancelUpload(id)
        #expect(await code { try await bucket.cancelUpload(id) } == .uploadUnknown)
        try await check(store)
        // What was released is no duplicate any more: it must be stored afresh and be readable.
        try await bucket.put(Self.bytes)
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        try await check(store)
        try await store.close()
    }

    // Background checkpoints and those of the caller meet in every order that two threads find.
    @Test func `checkpoints are committed in the order of the bytes`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        for round in 0..<24 {
            let session = try await bucket.beginUpload()
            let bytes = TestData.compressible(3_300_000, seed: UInt64(100 + round))
            try await session.append(bytes.span.extracting(..<2_200_000))
            try await session.checkpoint()
            try await session.append(bytes.span.extracting(2_200_000...))
            try await session.suspend()
            if round.isMultiple(of: 2) {
                try await bucket.cancelUpload(session.id)
            } else {
                let resumed = try await bucket.resumeUpload(session.id)
                try await resumed.commit(expecting: Digest.sha256(of: bytes.span))
            }
        }
        let report = try await store.verify(.structure)
        #expect(report.problems.map(\.description) == [])
        try await store.close()
    }

    // 1024 chunks make a node; of zeros each has the greatest length, so 64 MiB do.
    // With the long interval all of a blob's nodes are new in one transaction.
    @Test(arguments: [1 << 20, 1 << 30])
    func `a blob that repeats whole recipe nodes counts their chunks right`(
        checkpointByteCount: UInt64
    ) async throws {
        var simulated = SimulatedStore()
        simulated.configuration.checkpointByteCount = checkpointByteCount
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let zeros = [UInt8](repeating: 0, count: 4 << 20)
        let ends: [[UInt8]] = [[1, 2], [3], [1, 2]]
        for end in ends {
            let session = try await bucket.beginUpload()
            for _ in 0..<(3 * 16) { try await session.append(zeros.span) }
            try await session.append(end.span)
            let blob = try await session.commit()
            #expect(blob.byteCount == UInt64(192 << 20) + UInt64(end.count))
        }
        let sound = try await store.verify(.structure)
        #expect(sound.problems.map(\.description) == [])
        for blob in try await bucket.blobs().blobs { try await bucket.deleteBlob(blob.digest) }
        let empty = try await store.verify(.structure)
        #expect(empty.problems.map(\.description) == [])
        try await store.close()
    }

    @Test func `duplicates are counted for operators`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        var counts: [UInt64] = []
        for _ in 0..<2 {
            let session = try await bucket.beginUpload()
            try await session.append(Self.bytes.span)
            try await session.checkpoint()
            counts.append(try #require(session.duplicateByteCount))
            try await session.commit(expecting: Self.digest)
        }
        #expect(counts[0] == 0)
        // All that was cut: the tail is not known yet.
        #expect(counts[1] > 5_000_000 && counts[1] <= 5_500_000)
        try await store.close()
    }

    @Test func `no chunk stays in flight when its session is over`() async throws {
        var simulated = SimulatedStore()
        simulated.configuration.checkpointByteCount = 1 << 30
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        try await bucket.put(Self.bytes)
        #expect(store.engine.inFlight.count == 0)
        let refused = try await bucket.beginUpload()
        let others = TestData.compressible(2_500_000, seed: 21)
        try await refused.append(others.span.extracting(..<2_400_000))
        #expect(
            await code { try await refused.commit(expecting: Self.digest) } == .digestMismatch)
        try await refused.cancel()
        #expect(store.engine.inFlight.count == 0)
        let orphan = try await bucket.beginUpload()
        try await orphan.append(others.span)
        for blob in try await bucket.blobs().blobs { try await bucket.deleteBlob(blob.digest) }
        try await store.defaultAccount.deleteBucket("uploads")
        #expect(await code { try await orphan.commit() } == .bucketUnknown)
        #expect(store.engine.inFlight.count == 0)
        #expect(store.engine.liveUploads.count == 0)
        try await store.close()
    }

    @Test func `an unused session expires and is reaped`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let id = try await suspended(in: bucket)
        simulated.clock.advance(by: simulated.configuration.uploadLifetime + .seconds(1))
        #expect(await code { _ = try await bucket.resumeUpload(id) } == .uploadExpired)
        _ = try await bucket.beginUpload()
        #expect(try await bucket.uploads().isEmpty)
        #expect(await code { _ = try await bucket.resumeUpload(id) } == .uploadUnknown)
        try await check(store)
        try await store.close()
    }

    @Test func `of two concurrent calls one is told that the session is busy`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let session = try await bucket.beginUpload()
        let codes = await withTaskGroup(of: StoreError.Code?.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    await code { try await session.append(Self.bytes.span) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes.allSatisfy { $0 == nil || $0 == .uploadBusy })
        let accepted = codes.count { $0 == nil }
        #expect(session.status.receivedByteCount == UInt64(accepted * Self.bytes.count))
        try await session.cancel()
        try await store.close()
    }

    @Test func `a SHA-512 digest is computed in the same pass`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("uploads")
        let digest = Digest.sha512(of: Self.bytes.span)
        let session = try await bucket.beginUpload(algorithm: .sha512)
        try await session.append(Self.bytes.span.extracting(..<1_500_000))
        try await session.suspend()
        let resumed = try await bucket.resumeUpload(session.id)
        try await resumed.append(Self.bytes.span.extracting(1_500_000...))
        #expect(try await resumed.commit(expecting: digest).digest == digest)
        #expect(try await bucket.contents(digest) == Self.bytes)
        try await check(store)
        try await store.close()
    }

    private func suspended(in bucket: Bucket) async throws -> UploadID {
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span)
        try await session.suspend()
        return session.id
    }
}
