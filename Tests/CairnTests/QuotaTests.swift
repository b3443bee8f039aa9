// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

@Suite struct QuotaTests {
    private static func bucket(
        _ quota: Quota, account: Quota = .unlimited
    ) async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        try await store.defaultAccount.setQuota(account)
        let bucket = try await store.defaultAccount.createBucket("limited")
        try await bucket.setQuota(quota)
        return (simulated, store, bucket)
    }

    private static func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        TestData.random(count, seed: seed)
    }

    // MARK: - Bytes

    @Test func `a bucket takes all that it may, and not a byte more`() async throws {
        let (_, store, bucket) = try await Self.bucket(Quota(byteCount: 100_000))
        try await bucket.put(Self.bytes(60_000, 1))
        let second = try await bucket.put(Self.bytes(40_000, 2)).digest
        #expect(await code { try await bucket.put([7]) } == .quotaExceeded)
        let usage = try await bucket.usage()
        #expect(usage.logicalByteCount == 100_000 && usage.blobCount == 2)
        // What is there may come again.
        #expect(try await bucket.stat(second).byteCount == 40_000)
        try await bucket.deleteBlob(second)
        #expect(await code { try await bucket.put(Self.bytes(40_001, 3)) } == .quotaExceeded)
        try await bucket.put(Self.bytes(40_000, 4))
        #expect(try await bucket.usage().logicalByteCount == 100_000)
        try await check(store)
        try await store.close()
    }

    @Test func `bytes are refused as they arrive, and the session goes on when there is room`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket(Quota(byteCount: 2_500_000))
        let data = Self.bytes(3_000_000, 5)
        let session = try await bucket.beginUpload()
        try await session.append(data.span.extracting(..<2_500_000))
        #expect(try await bucket.usage().inFlightByteCount == 2_500_000)
        let rest = data.span.extracting(2_500_000...)
        #expect(await code { try await session.append(rest) } == .quotaExceeded)
        #expect(session.status.receivedByteCount == 2_500_000)
        #expect(await code { try await bucket.put([1]) } == .quotaExceeded)
        try await bucket.setQuota(Quota(byteCount: 3_000_000))
        try await session.append(rest)
        let blob = try await session.commit()
        #expect(blob.digest == Digest.sha256(of: data.span))
        let usage = try await bucket.usage()
        #expect(usage.logicalByteCount == 3_000_000 && usage.inFlightByteCount == 0)
        #expect(usage.uploadCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `an announced length takes its room at once, and gives it back`() async throws {
        let (_, store, bucket) = try await Self.bucket(Quota(byteCount: 1000))
        #expect(
            await code { _ = try await bucket.beginUpload(expectedByteCount: 1001) }
                == .quotaExceeded)
        let session = try await bucket.beginUpload(expectedByteCount: 1000)
        #expect(await code { try await bucket.put([1]) } == .quotaExceeded)
        try await session.append([1, 2, 3].span)
        try await session.commit()
        #expect(try await bucket.usage().inFlightByteCount == 0)
        try await bucket.put(Self.bytes(997, 6))
        #expect(await code { try await bucket.put([9]) } == .quotaExceeded)
        try await store.close()
    }

    @Test(arguments: [false, true])
    func `of a thousand sessions at once just those succeed that there is room for`(
        _ isOfAccount: Bool
    ) async throws {
        let (size, room) = (3000, 7)
        let quota = Quota(byteCount: UInt64(size * room + size / 2))
        let (_, store, bucket) = try await Self.bucket(
            isOfAccount ? .unlimited : quota, account: isOfAccount ? quota : .unlimited)
        var buckets = [bucket]
        if isOfAccount {
            for number in 1..<10 {
                buckets.append(try await store.defaultAccount.createBucket("other/\(number)"))
            }
        }
        let succeeded = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<1000 {
                let bucket = buckets[number % buckets.count]
                group.addTask {
                    do {
                        let data = Self.bytes(size, UInt64(number) + 100)
                        let session = try await bucket.beginUpload()
                        try await session.append(data.span.extracting(..<1000))
                        await Task.yield()
                        do throws(StoreError) {
                            try await session.append(data.span.extracting(1000...))
                        } catch {
                            try await session.cancel()
                            throw error
                        }
                        try await session.commit()
                        return true
                    } catch let error as StoreError {
                        if error.code != .quotaExceeded { Issue.record(error) }
                        return false
                    } catch {
                        Issue.record(error)
                        return false
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(succeeded <= room)
        let usage = try await store.defaultAccount.usage()
        #expect(usage.logicalByteCount == UInt64(succeeded * size))
        #expect(usage.inFlightByteCount == 0 && usage.uploadCount == 0)
        // Whoever gave up in favour of others has given all of it back.
        for number in succeeded..<room {
            try await bucket.put(Self.bytes(size, UInt64(number) + 5000))
        }
        #expect(
            await code { try await bucket.put(Self.bytes(size, 9000)) } == .quotaExceeded)
        try await check(store)
        try await store.close()
    }

    @Test func `a blob that a hundred clients finish at once counts once`() async throws {
        let (_, store, bucket) = try await Self.bucket(Quota(blobCount: 100))
        let data = Self.bytes(50_000, 8)
        await withTaskGroup(of: StoreError.Code?.self) { group in
            for _ in 0..<100 {
                group.addTask { await code { try await bucket.put(data) } }
            }
            for await code in group { #expect(code == nil) }
        }
        let usage = try await bucket.usage()
        #expect(usage.logicalByteCount == 50_000 && usage.blobCount == 1)
        #expect(usage.inFlightByteCount == 0)
        try await check(store)
        try await store.close()
    }

    // MARK: - Other limits

    @Test func `blobs, objects, uploads and the size of a blob are limited`() async throws {
        let (_, store, bucket) = try await Self.bucket(
            Quota(blobCount: 3, objectCount: 2, blobByteCount: 1000, uploadCount: 2))
        #expect(await code { try await bucket.put(Self.bytes(1001, 1)) } == .quotaExceeded)
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes(1000, 2).span)
        #expect(await code { try await session.append([1].span) } == .quotaExceeded)
        let other = try await bucket.beginMultipartUpload("parts")
        #expect(await code { _ = try await bucket.beginUpload() } == .quotaExceeded)
        #expect(
            await code { _ = try await bucket.beginMultipartUpload("more") } == .quotaExceeded)
        try await other.put(1, Self.bytes(600, 3))
        try await other.put(2, Self.bytes(600, 4))
        #expect(await code { _ = try await other.complete() } == .quotaExceeded)
        try await other.put(2, Self.bytes(400, 4))
        try await other.complete()
        try await session.commit()
        try await bucket.putObject("second", [1].span)
        #expect(await code { try await bucket.put([2]) } == .quotaExceeded)
        #expect(
            await code { _ = try await bucket.putObject("third", [1].span) } == .quotaExceeded)
        let digest = Digest.sha256(of: [1].span)
        #expect(
            await code { _ = try await bucket.putObject("third", blob: digest) }
                == .quotaExceeded)
        try await bucket.putObject("second", blob: digest)
        var batch = ObjectBatch()
        // One more for a moment, which nobody sees.
        batch.put("third", blob: digest)
        batch.delete("second")
        try await bucket.commit(batch)
        let usage = try await bucket.usage()
        #expect(usage.blobCount == 3 && usage.objectCount == 2 && usage.uploadCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `a mount is refused where there is no room for it`() async throws {
        let (_, store, bucket) = try await Self.bucket(Quota(byteCount: 99_999))
        let source = try await store.defaultAccount.createBucket("source")
        let digest = try await source.put(Self.bytes(100_000, 9)).digest
        #expect(
            await code { try await bucket.mountBlob(digest, from: source) } == .quotaExceeded)
        #expect(try await bucket.usage().logicalByteCount == 0)
        try await bucket.setQuota(Quota(byteCount: 100_000))
        try await bucket.mountBlob(digest, from: source)
        // Once more changes nothing.
        try await bucket.mountBlob(digest, from: source)
        #expect(try await bucket.usage().logicalByteCount == 100_000)
        try await check(store)
        try await store.close()
    }

    @Test func `a limit below what is there lets nothing in and everything out`() async throws {
        let (_, store, bucket) = try await Self.bucket(.unlimited)
        let digest = try await bucket.put(Self.bytes(50_000, 10)).digest
        let object = try await bucket.putObject("key", Self.bytes(20_000, 11).span)
        try await bucket.setQuota(Quota(byteCount: 10, blobCount: 0, objectCount: 0))
        #expect(await code { try await bucket.put([1]) } == .quotaExceeded)
        // Neither what is there already.
        #expect(try await bucket.stat(digest).byteCount == 50_000)
        try await bucket.setTags(["a": "b"], of: "key")
        try await bucket.deleteBlob(digest)
        #expect(await code { try await bucket.put([1]) } == .quotaExceeded)
        try await bucket.deleteObject("key")
        #expect(try await bucket.usage().logicalByteCount == 0)
        #expect(object.byteCount == 20_000)
        try await check(store)
        try await store.close()
    }

    @Test func `impossible quotas are refused`() async throws {
        let (_, store, bucket) = try await Self.bucket(
            .unlimited, account: Quota(byteCount: 1000))
        #expect(
            await code { try await bucket.setQuota(Quota(byteCount: 1 << 63)) }
                == .invalidArgument)
        #expect(
            await code { try await bucket.setQuota(Quota(warningPercent: 101)) }
                == .invalidArgument)
        #expect(
            await code { try await bucket.setQuota(Quota(byteCount: 1001)) } == .invalidArgument)
        try await bucket.setQuota(Quota(byteCount: 1000))
        #expect(try await bucket.quota() == Quota(byteCount: 1000))
        // An account may always be limited further: the smaller one counts.
        try await store.defaultAccount.setQuota(Quota(byteCount: 10))
        #expect(await code { try await bucket.put(Self.bytes(11, 1)) } == .quotaExceeded)
        try await store.defaultAccount.deleteBucket("limited")
        #expect(await code { try await bucket.setQuota(.unlimited) } == .bucketUnknown)
        try await store.close()
    }

    @Test(arguments: [ChargingMode.unique, .fairShare])
    func `a deletion never fails for the quotas of those who shared`(
        _ charging: ChargingMode
    ) async throws {
        let (_, store, bucket) = try await Self.bucket(.unlimited)
        let account = store.defaultAccount
        try await account.setCharging(charging)
        let first = try await account.createBucket("first")
        let second = try await account.createBucket("second")
        let data = Self.bytes(100_000, 20)
        let digest = try await first.put(data).digest
        for other in [bucket, second] { try await other.mountBlob(digest, from: first) }
        for other in [bucket, second] { try await other.setQuota(Quota(byteCount: 40_000)) }
        try await account.setQuota(Quota(byteCount: 100_000))
        try await first.deleteBlob(digest)
        let usages = [try await bucket.usage(), try await second.usage()]
        #expect(usages[0].chargedByteCount + usages[1].chargedByteCount == 100_000)
        #expect(usages.contains { $0.chargedByteCount > 40_000 })
        // Above its limit a bucket takes nothing more.
        let over = usages[0].chargedByteCount > 40_000 ? bucket : second
        #expect(await code { try await over.put([1]) } == .quotaExceeded)
        // A bucket that goes leaves its part to the last one, with the sweep, whatever the limits.
        let (goes, stays) = over === bucket ? ("limited", second) : ("second", bucket)
        try await account.deleteBucket(goes, contents: .delete)
        try await account.setQuota(Quota(byteCount: 10))
        try await store.sweep()
        #expect(try await stays.usage().chargedByteCount == 100_000)
        #expect(try await stays.usage().uniqueByteCount == 100_000)
        try await check(store)
        try await store.close()
    }

    @Test func `lengths that no disk has are refused and harm nobody`() async throws {
        let (_, store, bucket) = try await Self.bucket(.unlimited)
        for length in [UInt64.max, 1 << 63, (1 << 61) + 1] as [UInt64] {
            #expect(
                await code { _ = try await bucket.beginUpload(expectedByteCount: length) }
                    == .limitExceeded)
        }
        var open: [UploadSession] = []
        for _ in 0..<3 {
            open.append(try await bucket.beginUpload(expectedByteCount: 1 << 61))
        }
        #expect(
            await code { _ = try await bucket.beginUpload(expectedByteCount: 1 << 61) }
                == .limitExceeded)
        let session = try await bucket.beginUpload()
        #expect(await code { try session.reserve(.max) } == .limitExceeded)
        try await session.append([1].span)
        try await session.commit()
        for session in open { try await session.cancel() }
        #expect(try await bucket.usage().inFlightByteCount == 0)
        try await store.close()
    }

    @Test func `a write that fails at its end leaves nothing behind`() async throws {
        let (_, store, bucket) = try await Self.bucket(Quota(byteCount: 10_000_000, objectCount: 0))
        let data = Self.bytes(3_000_000, 21)
        let wrong = Digest.sha256(of: [1].span)
        // Long enough for checkpoints.
        #expect(
            await code { _ = try await bucket.putBlob(data.span, expecting: wrong) }
                == .digestMismatch)
        #expect(
            await code { _ = try await bucket.putObject("key", data.span) } == .quotaExceeded)
        do {
            try await bucket.putObject("key") { try await $0.append(data.span) }
        } catch let error as StoreError {
            #expect(error.code == .quotaExceeded)
        }
        let usage = try await bucket.usage()
        #expect(usage.inFlightByteCount == 0 && usage.uploadCount == 0)
        try await check(store)
        try await store.close()
    }

    // MARK: - Ends of sessions

    @Test func `room is given back by a cancel, a drop and the end of its time`() async throws {
        let (simulated, store, bucket) = try await Self.bucket(Quota(byteCount: 3_000_000))
        let data = Self.bytes(3_000_000, 12)
        do {
            let dropped = try await bucket.beginUpload()
            try await dropped.append(data.span.extracting(..<500_000))
        }
        let cancelled = try await bucket.beginUpload()
        try await cancelled.append(data.span.extracting(..<1_500_000))
        try await cancelled.checkpoint()
        try await cancelled.cancel()
        let suspended = try await bucket.beginUpload()
        try await suspended.append(data.span.extracting(..<2_000_000))
        try await suspended.suspend()
        while try await bucket.usage().inFlightByteCount > 2_000_000 { await Task.yield() }
        #expect(try await bucket.usage().inFlightByteCount == 2_000_000)
        #expect(await code { try await bucket.put(Self.bytes(1_000_001, 1)) } == .quotaExceeded)
        try await check(store)
        simulated.clock.advance(by: simulated.configuration.uploadLifetime + .seconds(1))
        try await store.sweep()
        #expect(try await bucket.usage() == Usage(stored: try await bucket.usage()))
        try await bucket.put(data)
        try await check(store)
        try await store.close()
    }

    @Test func `what a session has made durable is held over a power cut, and nothing else`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket(Quota(byteCount: 3_000_000))
        let data = Self.bytes(3_000_000, 13)
        let session = try await bucket.beginUpload(expectedByteCount: 3_000_000)
        try await session.append(data.span.extracting(..<1_200_000))
        let durable = try await session.checkpoint()
        try await session.append(data.span.extracting(1_200_000..<1_300_000))
        #expect(durable == 1_200_000)
        let found = simulated.afterPowerCut(seed: 3)
        let again = try await found.open(seed: 4)
        let bucketAgain = try await again.defaultAccount.bucket("limited")
        #expect(try await bucketAgain.usage().inFlightByteCount == 1_200_000)
        #expect(
            await code { try await bucketAgain.put(Self.bytes(1_800_001, 1)) } == .quotaExceeded)
        let resumed = try await bucketAgain.resumeUpload(session.id)
        try await resumed.append(data.span.extracting(1_200_000...))
        #expect(try await resumed.commit().digest == Digest.sha256(of: data.span))
        #expect(try await bucketAgain.usage().logicalByteCount == 3_000_000)
        try await check(again)
        try await again.close()
        try await session.cancel()
        try await store.close()
    }

    @Test func `quotas and usage outlive the index`() async throws {
        let (simulated, store, bucket) = try await Self.bucket(
            Quota(byteCount: 50_000, warningPercent: 90), account: Quota(blobCount: 5))
        try await store.defaultAccount.setCharging(.fairShare)
        try await bucket.put(Self.bytes(40_000, 14))
        let other = try await store.defaultAccount.createBucket("second")
        try await other.mountBlob(Digest.sha256(of: Self.bytes(40_000, 14).span), from: bucket)
        let usages = try await store.defaultAccount.bucketUsages()
        try await store.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 5)
        #expect(try await again.defaultAccount.quota() == Quota(blobCount: 5))
        #expect(try await again.defaultAccount.charging() == .fairShare)
        let limited = try await again.defaultAccount.bucket("limited")
        #expect(try await limited.quota() == Quota(byteCount: 50_000, warningPercent: 90))
        var found = try await again.defaultAccount.bucketUsages()
        // Who has brought a chunk is not known any more: the first that links it.
        #expect(found.map(\.usage.storedByteCount).reduce(0, +) > 40_000)
        for index in found.indices { found[index] = found[index].storing(as: usages[index]) }
        #expect(found == usages)
        try await check(again)
        try await again.close()
    }

    // MARK: - Warnings

    @Test func `the one that crosses a threshold is told so once`() async throws {
        let (_, store, bucket) = try await Self.bucket(
            Quota(byteCount: 1000, warningPercent: 80),
            account: Quota(blobCount: 2, warningPercent: 100))
        let start = try await bucket.eventCursor()
        try await bucket.put(Self.bytes(799, 1))
        let digest = try await bucket.put([1]).digest
        try await bucket.deleteBlob(digest)
        try await bucket.put([2])
        let warnings = try await bucket.events(after: start).events.compactMap(\.quota)
        let bytes = QuotaWarning(
            scope: .bucket, limit: .byteCount, usedCount: 800, limitCount: 1000)
        let blobs = QuotaWarning(scope: .account, limit: .blobCount, usedCount: 2, limitCount: 2)
        #expect(warnings == [bytes, blobs, bytes, blobs])
        try await store.close()
    }
}

extension Usage {
    /// Nothing but what lies in segments.
    fileprivate init(stored usage: Usage) {
        self.init()
        storedByteCount = usage.storedByteCount
        uncompressedByteCount = usage.uncompressedByteCount
    }
}

extension BucketUsage {
    fileprivate func storing(as other: BucketUsage) -> BucketUsage {
        var usage = usage
        usage.storedByteCount = other.usage.storedByteCount
        usage.uncompressedByteCount = other.usage.uncompressedByteCount
        return BucketUsage(name: name, usage: usage, trafficToday: trafficToday)
    }
}
