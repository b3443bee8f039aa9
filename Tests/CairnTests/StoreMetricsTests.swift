// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnKeys
import CairnSegments
import CairnTestSupport
import CairnTesting
import CoreMetrics
import MetricsTestKit
import Testing

@testable import Cairn

/// What a store did, as its metrics tell it.
@Suite struct StoreMetricsTests {
    private static let noise = TestData.random(1_200_000, seed: 90)
    private static let text = TestData.compressible(3_000_000, seed: 91)

    private static func makeStore(
        _ simulated: SimulatedStore = SimulatedStore()
    ) async throws -> (TestMetrics, Store, Bucket) {
        let metrics = TestMetrics()
        let store = try await withMetricsFactory(metrics) { try await simulated.open() }
        return (metrics, store, try await store.defaultAccount.createBucket("counted"))
    }

    // MARK: - Bytes

    @Test func `bytes are counted as they come in and go out`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        let digest = try await bucket.put(Self.noise).digest
        #expect(metrics["cairn_received_bytes_total"] == 1_200_000)
        #expect(metrics["cairn_delivered_bytes_total"] == 0)
        _ = try await bucket.contents(digest)
        #expect(metrics["cairn_delivered_bytes_total"] == 1_200_000)
        let blob = try await bucket.openBlob(digest)
        for try await _ in blob.bytes(in: 100..<5100) {}
        #expect(metrics["cairn_delivered_bytes_total"] == 1_205_000)
        _ = try await blob.readAll(upTo: 2_000_000)
        #expect(metrics["cairn_delivered_bytes_total"] == 2_405_000)
        var piece = [UInt8](repeating: 0, count: 700)
        var span = piece.mutableSpan
        _ = try blob.read(into: &span, at: 1_199_900)
        #expect(metrics["cairn_delivered_bytes_total"] == 2_405_100)
        // A small one, which lies in the index.
        let small = try await bucket.put([1, 2, 3]).digest
        _ = try await bucket.contents(small)
        _ = try await bucket.openBlob(small).readAll(upTo: 3)
        #expect(metrics["cairn_received_bytes_total"] == 1_200_003)
        #expect(metrics["cairn_delivered_bytes_total"] == 2_405_106)
        // What the store reads for itself is not delivered.
        try await check(store)
        #expect(metrics["cairn_delivered_bytes_total"] == 2_405_106)
        try await store.close()
    }

    @Test func `bytes that are stored already are counted as duplicates`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        try await bucket.put(Self.noise)
        #expect(metrics["cairn_deduplicated_bytes_total"] == 0)
        let other = try await store.defaultAccount.createBucket("other")
        let session = try await other.beginUpload()
        try await session.append(Self.noise.span)
        try await session.commit()
        #expect(metrics["cairn_deduplicated_bytes_total"] == 1_200_000)
        #expect(metrics["cairn_received_bytes_total"] == 2_400_000)
        // Mounting brings no bytes at all.
        let third = try await store.defaultAccount.createBucket("third")
        try await third.mountBlob(Digest.sha256(of: Self.noise.span), from: bucket)
        #expect(metrics["cairn_deduplicated_bytes_total"] == 1_200_000)
        #expect(metrics["cairn_received_bytes_total"] == 2_400_000)
        try await store.close()
    }

    @Test func `a session that is resumed counts no byte twice`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        let session = try await bucket.beginUpload()
        try await session.append(Self.text.span.extracting(..<1_700_000))
        try await session.suspend()
        let resumed = try await bucket.resumeUpload(session.id)
        try await resumed.append(Self.text.span.extracting(1_700_000...))
        try await resumed.commit(expecting: Digest.sha256(of: Self.text.span))
        #expect(metrics["cairn_received_bytes_total"] == 3_000_000)
        try await store.close()
    }

    // MARK: - Commits

    @Test func `each transaction is counted once, with its time and its group`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        let committed = metrics["cairn_commits_total", ["outcome": "committed"]]
        let syncs = try metrics.expectTimer("cairn_fsync_duration_seconds", [("target", "index")])
        let syncCount = syncs.values.count
        try await bucket.put([1])
        try await bucket.put(Self.noise)
        // The second one wrote a checkpoint behind its first MiB as well.
        #expect(metrics["cairn_commits_total", ["outcome": "committed"]] == committed + 3)
        #expect(metrics["cairn_commits_total", ["outcome": "failed"]] == 0)
        #expect(await code { try await bucket.deleteBlob(Self.absent) } == .blobUnknown)
        #expect(metrics["cairn_commits_total", ["outcome": "committed"]] == committed + 3)
        #expect(metrics["cairn_commits_total", ["outcome": "failed"]] == 1)
        #expect(metrics["cairn_errors_total", ["code": "blobUnknown"]] == 1)
        #expect(syncs.values.count == syncCount + 3)
        #expect(
            try metrics.expectTimer(
                "cairn_fsync_duration_seconds", [("target", "segments")]
            ).values.count == 2)
        let durations = try metrics.expectTimer("cairn_commit_duration_seconds").values
        #expect(durations.count == Int(committed) + 3)
        #expect(durations.allSatisfy { $0 > 0 })
        let groups = try metrics.expectRecorder("cairn_commit_group_transactions").values
        #expect(groups.reduce(0, +) == Double(committed) + 4)
        try await store.close()
    }

    private static let absent = Digest.sha256(of: [9].span)

    // MARK: - Upkeep

    @Test func `a sweep and a compaction count what they report`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore(
            SimulatedStore(segmentByteCount: 8 << 20))
        var digests: [Digest] = []
        for seed in 0..<8 as Range<UInt64> {
            digests.append(try await bucket.put(TestData.random(2_000_000, seed: seed)).digest)
        }
        try store.engine.segments.seal()
        for (index, digest) in digests.enumerated() where index % 4 != 0 {
            try await bucket.deleteBlob(digest)
        }
        #expect(metrics["cairn_swept_chunks_total"] == 0)
        let swept = try await store.sweep()
        #expect(swept.chunkCount > 0)
        #expect(metrics["cairn_swept_chunks_total"] == Int64(swept.chunkCount))
        #expect(metrics["cairn_swept_bytes_total"] == Int64(swept.byteCount))
        let compacted = try await store.compact()
        #expect(compacted.movedByteCount > 0)
        #expect(compacted.freedByteCount > 0)
        #expect(metrics["cairn_compaction_moved_bytes_total"] == Int64(compacted.movedByteCount))
        #expect(metrics["cairn_compaction_freed_bytes_total"] == Int64(compacted.freedByteCount))
        try await store.close()
    }

    @Test func `a scrub counts what it reads and the damage that it finds`() async throws {
        let simulated = SimulatedStore()
        let (metrics, store, bucket) = try await Self.makeStore(simulated)
        let digest = try await bucket.put(Self.text).digest
        try store.engine.segments.seal()
        let clean = try await store.scrub()
        #expect(clean.byteCount > 0)
        #expect(metrics["cairn_scrubbed_bytes_total"] == Int64(clean.byteCount))
        #expect(metrics["cairn_scrub_rounds_total"] == 1)
        #expect(metrics["cairn_scrub_damaged_chunks_total"] == 0)
        try HealingTests.damage(.chunk, simulated, store)
        let found = try await store.scrub()
        #expect(found.damagedChunkCount == 1)
        #expect(
            metrics["cairn_scrubbed_bytes_total"]
                == Int64(clean.byteCount + found.byteCount))
        #expect(metrics["cairn_scrub_damaged_chunks_total"] == 1)
        #expect(metrics["cairn_scrub_unused_damage_total"] == 0)
        // Known damage is no news, and damage that nothing needs counts as that.
        try await bucket.deleteBlob(digest)
        try await store.sweep()
        #expect(try await store.scrub().unusedDamageCount == 1)
        #expect(metrics["cairn_scrub_damaged_chunks_total"] == 1)
        #expect(metrics["cairn_scrub_unused_damage_total"] == 1)
        #expect(metrics["cairn_scrub_rounds_total"] == 3)
        try await store.close()
    }

    // MARK: - Keys

    @Test func `look-ups of keys and calls of the provider are counted`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        func calls(_ operation: String) -> Int64 {
            metrics["cairn_key_provider_calls_total", ["operation": operation]]
        }
        func requests(_ result: String) -> Int64 {
            metrics["cairn_key_cache_requests_total", ["result": result]]
        }
        let digest = try await bucket.put([1]).digest
        store.flushKeys()
        let (decrypted, hits, misses) = (calls("Decrypt"), requests("hit"), requests("miss"))
        _ = try await bucket.contents(digest)
        // The data key, the key of the bucket's names in the index, and the domain.
        #expect(calls("Decrypt") == decrypted + 3)
        #expect(requests("miss") == misses + 3)
        #expect(requests("hit") > hits)
        let generated = calls("GenerateDataKey")
        try await bucket.rotateDataKey()
        #expect(calls("GenerateDataKey") == generated + 1)
        #expect(metrics["cairn_key_provider_failures_total"] == 0)

        let service = try #require(store.keyService)
        let key = try await service.createKey()
        let locked = try await store.defaultAccount.createBucket(
            "locked", configuration: .init(encryption: .customerKey(KeyReference(key.id))))
        try await locked.put([2])
        try await service.disable(KeyReference(key.id))
        #expect(await code { try await locked.put([3]) } == .keyDisabled)
        #expect(metrics["cairn_key_provider_failures_total", ["operation": "Decrypt"]] == 1)
        #expect(metrics["cairn_errors_total", ["code": "keyDisabled"]] == 1)
        try await store.close()
    }

    // MARK: - Refusals

    @Test func `an error counts once, whatever layers it passes`() async throws {
        let simulated = SimulatedStore()
        let (metrics, store, bucket) = try await Self.makeStore(simulated)
        let digest = try await bucket.put(Self.text).digest
        let session = try await bucket.beginUpload()
        try await session.append([1, 2, 3].span)
        let wrong = await code { try await session.commit(expecting: Self.absent) }
        #expect(wrong == .digestMismatch)
        #expect(metrics["cairn_errors_total", ["code": "digestMismatch"]] == 1)
        try await session.cancel()
        try HealingTests.damage(.chunk, simulated, store)
        #expect(await code { _ = try await bucket.contents(digest) } == .corrupted)
        #expect(metrics["cairn_errors_total", ["code": "corrupted"]] == 1)
        #expect(metrics["cairn_errors_total"] == 2)
        try await store.close()
    }

    @Test func `a checkpoint that fails counts once, not for committer and session`() async throws {
        let simulated = SimulatedStore()
        let (metrics, store, bucket) = try await Self.makeStore(simulated)
        let session = try await bucket.beginUpload()
        try await session.append([1, 2, 3].span)
        simulated.index.setFault { $0 == .sync ? IndexError(.io, "planned") : nil }
        #expect(await code { try await session.checkpoint() } == .io)
        #expect(metrics["cairn_commits_total", ["outcome": "failed"]] == 1)
        #expect(metrics["cairn_errors_total", ["code": "io"]] == 1)
        _ = await code { try await store.close() }
    }

    @Test func `the keys of a deleted bucket are no damage`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        let digest = try await bucket.put(Self.noise).digest
        let blob = try await bucket.openBlob(digest)
        try await store.defaultAccount.deleteBucket("counted", contents: .delete)
        store.flushKeys()
        #expect(await code { for try await _ in blob.bytes() {} } == .bucketUnknown)
        #expect(metrics["cairn_errors_total", ["code": "bucketUnknown"]] == 1)
        #expect(metrics["cairn_errors_total"] == 1)
        try await store.close()
    }

    @Test func `quota denials are counted by limit, and only by limits that there are`()
        async throws
    {
        let (metrics, store, _) = try await Self.makeStore()
        store.engine.metrics.countQuotaDenial(limit: "byteCount")
        store.engine.metrics.countQuotaDenial(limit: "byteCount")
        store.engine.metrics.countQuotaDenial(limit: "library/alpine")
        #expect(metrics["cairn_quota_denials_total", ["limit": "byteCount"]] == 2)
        #expect(metrics["cairn_quota_denials_total", ["limit": "other"]] == 1)
        #expect(metrics["cairn_quota_denials_total"] == 3)
        try await store.close()
    }

    @Test func `a write that a quota refuses is one denial, wherever it is refused`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        try await bucket.setQuota(Quota(byteCount: 1_000_000, objectCount: 1))
        let session = try await bucket.beginUpload()
        try await session.append(Self.noise.span.extracting(..<900_000))
        // As bytes arrive, ...
        #expect(await code { try await session.append(Self.noise.span) } == .quotaExceeded)
        #expect(metrics["cairn_quota_denials_total", ["limit": "byteCount"]] == 1)
        // ... when a length is announced, ...
        let announced = await code {
            _ = try await bucket.beginUpload(expectedByteCount: 200_000)
        }
        #expect(announced == .quotaExceeded)
        #expect(metrics["cairn_quota_denials_total", ["limit": "byteCount"]] == 2)
        try await session.cancel()
        // ... and when a transaction would cross it.
        try await bucket.putObject("one", [1].span)
        #expect(await code { try await bucket.putObject("two", [2].span) } == .quotaExceeded)
        #expect(metrics["cairn_quota_denials_total", ["limit": "objectCount"]] == 1)
        #expect(metrics["cairn_quota_denials_total"] == 3)
        #expect(metrics["cairn_errors_total", ["code": "quotaExceeded"]] == 3)
        try await store.close()
    }

    @Test func `room that is made by ending what has expired is no denial`() async throws {
        let simulated = SimulatedStore()
        let (metrics, store, bucket) = try await Self.makeStore(simulated)
        try await bucket.setQuota(Quota(uploadCount: 1))
        let expired = try await bucket.beginUpload()
        try await expired.append([1].span)
        try await expired.suspend()
        #expect(await code { _ = try await bucket.beginUpload() } == .quotaExceeded)
        #expect(metrics["cairn_quota_denials_total", ["limit": "uploadCount"]] == 1)
        simulated.clock.advance(by: simulated.configuration.uploadLifetime + .seconds(1))
        let session = try await bucket.beginUpload()
        #expect(metrics["cairn_quota_denials_total"] == 1)
        try await session.cancel()
        try await store.close()
    }

    // MARK: - Gauges

    @Test func `gauges tell what is when they are asked for`() async throws {
        let (metrics, store, bucket) = try await Self.makeStore()
        let session = try await bucket.beginUpload()
        #expect(try metrics.expectGauge("cairn_open_upload_sessions").values.isEmpty)
        await store.refreshMetrics()
        func gauge(_ name: String) throws -> Double? {
            try metrics.expectGauge("cairn_\(name)").lastValue
        }
        #expect(try gauge("open_upload_sessions") == 1)
        #expect(try gauge("worker_queue_depth") == 0)
        #expect(try gauge("commit_queue_depth") == 0)
        #expect(try gauge("key_cache_keys") == Double(store.engine.keys.cachedCount))
        #expect(store.engine.keys.cachedCount > 0)
        let entries = try store.engine.index.statistics().entryCount
        #expect(try gauge("index_entries") == Double(entries))
        #expect(entries > 0)
        #expect(try gauge("disk_free_bytes") ?? 0 > 0)
        try await session.cancel()
        await store.refreshMetrics()
        #expect(try gauge("open_upload_sessions") == 0)
        try await store.close()
        await store.refreshMetrics()
        #expect(try metrics.expectGauge("cairn_open_upload_sessions").values.count == 2)
    }

    @Test func `a queue that nobody works off is told`() async throws {
        let pool = try WorkerPool(
            count: 1, random: SeededRandom(seed: 1),
            metrics: StoreMetrics(NOOPMetricsHandler.instance))
        let gate = Monitor(false)
        let isRunning = Monitor(false)
        pool.submit { _ in
            isRunning.update { $0 = true }
            gate.wait { $0 ? () : nil }
        }
        isRunning.wait { $0 ? () : nil }
        #expect(pool.waitingCount == 0)
        for _ in 0..<3 { pool.submit { _ in } }
        #expect(pool.waitingCount == 3)
        gate.update { $0 = true }
        pool.stop()
        #expect(pool.waitingCount == 0)
    }

    // MARK: - Who counts

    @Test func `each store counts for the factory of the task that opened it`() async throws {
        let (first, store, bucket) = try await Self.makeStore()
        let (second, other, otherBucket) = try await Self.makeStore()
        try await bucket.put([1, 2, 3])
        try await otherBucket.put([1, 2, 3, 4])
        #expect(first["cairn_received_bytes_total"] == 3)
        #expect(second["cairn_received_bytes_total"] == 4)
        try await store.close()
        try await other.close()
    }

    @Test func `a store has the metrics that are listed, and no others`() async throws {
        let (metrics, store, _) = try await Self.makeStore()
        var found: [String: MetricDescription.Kind] = [:]
        for counter in metrics.counters { found[counter.label] = .counter }
        for timer in metrics.timers { found[timer.label] = .histogram }
        for recorder in metrics.recorders {
            found[recorder.label] = recorder.aggregate ? .histogram : .gauge
        }
        let listed = MetricDescription.ofStores
        #expect(found == Dictionary(uniqueKeysWithValues: listed.map { ($0.name, $0.kind) }))
        for metric in listed {
            #expect(metric.name.hasSuffix("_total") == (metric.kind == .counter))
        }
        try await store.close()
    }
}

extension TestMetrics {
    /// The sum of the counters of a name that have these labels.
    fileprivate subscript(name: String, labels: [String: String] = [:]) -> Int64 {
        counterTotal(label: name, dimensions: labels.map { ($0.key, $0.value) })
    }
}
