// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// Disks that refuse.
@Suite struct StoreFaultTests {
    @Test func `a full disk is reported and service resumes when there is room`() async throws {
        let simulated = SimulatedStore()
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

    // Once for a fault that passes and once for one that stays until the store is opened again.
    @Test(
        arguments: SimulatedOperation.allCases.filter(\.isChange),
        isLong ? [DiskError.Code.io, .outOfSpace, .tooManyFiles] : [.io, .outOfSpace])
    func `a fault at any call is one named error and nothing acknowledged is lost`(
        _ operation: SimulatedOperation, _ fault: DiskError.Code
    ) async throws {
        let faultless = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await faultless.open()
        let first = faultless.disk.count(of: operation)
        var known = Known()
        #expect(await Self.work(in: store, &known) == [])
        let callCount = faultless.disk.count(of: operation) - first
        try await store.close()
        var effects = [SimulatedFault.error(fault)]
        if operation == .write { effects.append(.shortWrite(byteCount: 700, fault)) }
        for number in 1...max(1, callCount) {
            for count in [1, nil] {
                for effect in effects {
                    try await Self.checkFault(operation, at: number, count: count, effect)
                }
            }
        }
    }

    /// What a workload was promised.
    private struct Known {
        var kept: [Digest] = []
        var deleted: [Digest] = []
    }

    private static func checkFault(
        _ operation: SimulatedOperation, at number: Int, count: Int?, _ effect: SimulatedFault
    ) async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open()
        simulated.disk.fail(
            operation, at: simulated.disk.count(of: operation) + number, count: count, effect)
        var known = Known()
        let place = "\(operation) \(number), \(effect)"
        for code in await work(in: store, &known) {
            #expect([.io, .outOfSpace, .bucketUnknown, .uploadUnknown].contains(code), "\(place)")
        }
        // Reads go on beside whatever is broken.
        if let bucket = try? await store.defaultAccount.bucket("faults") {
            for digest in known.kept { try await expect(digest, in: bucket) }
        }
        _ = await code { try await store.close() }
        simulated.disk.heal()
        let again = try await simulated.open(seed: 2)
        if let bucket = try? await again.defaultAccount.bucket("faults") {
            for digest in known.kept { try await expect(digest, in: bucket) }
            for digest in known.deleted {
                #expect(await code { _ = try await bucket.stat(digest) } == .blobUnknown)
            }
        } else {
            #expect(known.kept.isEmpty, "\(place)")
        }
        var later = Known()
        #expect(await work(in: again, &later) == [], "\(place)")
        try await CairnTests.check(again)
        try await again.close()
    }

    private static func expect(_ digest: Digest, in bucket: Bucket) async throws {
        #expect(try await bucket.contents(digest).digest == digest)
    }

    /// Does something of everything; answers the codes of what failed, in order.
    private static func work(in store: Store, _ known: inout Known) async -> [StoreError.Code] {
        var codes: [StoreError.Code] = []
        func attempt(_ body: () async throws -> Void) async {
            if let code = await code(of: body) { codes.append(code) }
        }
        let account = store.defaultAccount
        if (try? await account.bucket("faults")) == nil {
            await attempt { try await account.createBucket("faults") }
        }
        for seed in 0..<4 as Range<UInt64> {
            let bytes = TestData.random(150_000, seed: seed)
            await attempt {
                let digest = try await account.bucket("faults").put(bytes).digest
                known.kept.append(digest)
                known.deleted.removeAll { $0 == digest }
            }
        }
        let text = TestData.compressible(1_300_000, seed: 5)
        await attempt {
            let bucket = try await account.bucket("faults")
            let session = try await bucket.beginUpload()
            try await session.append(text.span.extracting(..<1_200_000))
            try await session.suspend()
            let resumed = try await bucket.resumeUpload(session.id)
            try await resumed.append(text.span.extracting(1_200_000...))
            known.kept.append(try await resumed.commit().digest)
        }
        let second = TestData.random(150_000, seed: 1)
        let doomed = Digest.sha256(of: second.span)
        if known.kept.contains(doomed) {
            known.kept.removeAll { $0 == doomed }
            await attempt {
                try await account.bucket("faults").deleteBlob(doomed)
                known.deleted.append(doomed)
            }
        }
        await attempt { try await store.sweep() }
        await attempt {
            // So that compaction finds something; what fails here, fails there too.
            try? store.engine.segments.seal()
            var configuration = CompactionConfiguration()
            configuration.deadShareMin = 0
            try await store.compact(configuration)
        }
        return codes
    }
}
