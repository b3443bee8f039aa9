// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct ObjectLockTests {
    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    private static func retention(
        _ mode: Retention.Mode, _ simulated: SimulatedStore, seconds: Int64 = 100
    ) -> Retention {
        Retention(mode, until: simulated.clock.now() + .seconds(seconds))
    }

    @Test(arguments: Retention.Mode.allCases)
    func `nothing removes a locked object before its time`(_ mode: Retention.Mode) async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let lock = ObjectLock(retention: Self.retention(mode, simulated))
        let layer = try await bucket.put([7]).digest
        let object = try await bucket.putObject(
            "key", [1].span, attributes: ObjectAttributes(lock: lock), references: [layer])
        #expect(object.lock == lock)
        #expect(try await bucket.headObject("key").lock == lock)
        let other = try await store.defaultAccount.createBucket("other")
        try await other.putObject("key", [2].span)
        var put = ObjectBatch()
        put.put("key", [3].span)
        var delete = ObjectBatch()
        delete.delete("key")
        var references = ObjectBatch()
        references.setReferences([], of: "key")
        for batch in [put, delete, references] {
            do throws(BatchError) {
                try await bucket.commit(batch)
                Issue.record("a batch changed a locked object")
            } catch {
                #expect(error.code == .objectLocked && error.operation == 0)
            }
        }
        let upload = try await bucket.beginMultipartUpload("key")
        try await upload.put(1, [4])
        let attempts: [() async throws -> Void] = [
            { try await bucket.putObject("key", [9].span) },
            { try await bucket.putObject("key", blob: layer) },
            { try await bucket.deleteObject("key") },
            { try await bucket.deleteObject("key", version: .null) },
            { try await bucket.renameObject("key", to: "new") },
            { try await other.renameObject("key", to: "key", in: bucket) },
            { try await other.copyObject("key", to: "key", in: bucket) },
            { try await upload.complete() },
            { try await store.defaultAccount.deleteBucket("objects", contents: .delete) },
            { _ = try await store.defaultAccount.shredBucket("objects") },
        ]
        for attempt in attempts { #expect(await code(of: attempt) == .objectLocked) }
        #expect(try await bucket.deleteObjects([("key", nil)])["key"]?.code == .objectLocked)
        #expect(await code { try await bucket.deleteBlob(layer) } == .blobReferenced)
        // What does not take it away is allowed, and does not take the lock away either.
        try await bucket.setTags(["a": "b"], of: "key")
        try await bucket.setVersioning(.enabled)
        try await bucket.putObject("key", [5].span)
        try await bucket.deleteObject("key")
        #expect(
            await code { try await bucket.deleteObject("key", version: .null) } == .objectLocked)
        #expect(try await bucket.headObject("key", version: .null).lock == lock)
        try await bucket.setVersioning(.suspended)
        #expect(await code { try await bucket.putObject("key", [6].span) } == .objectLocked)
        try await check(store)
        simulated.clock.advance(by: .seconds(100))
        try await bucket.deleteObject("key", version: .null)
        try await check(store)
        try await store.defaultAccount.deleteBucket("objects", contents: .delete)
        try await store.close()
    }

    @Test func `governance gives way to who says so, compliance to nobody`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let shorter = { Self.retention($0, simulated, seconds: 10) }
        let longer = { Self.retention($0, simulated, seconds: 1000) }
        for mode in Retention.Mode.allCases {
            try await bucket.putObject(mode == .governance ? "governance" : "compliance", [1].span)
        }
        try await bucket.setRetention(Self.retention(.governance, simulated), of: "governance")
        try await bucket.setRetention(Self.retention(.compliance, simulated), of: "compliance")
        for retention in [nil, shorter(.governance), shorter(.compliance)] {
            for key in ["governance", "compliance"] {
                #expect(
                    await code { try await bucket.setRetention(retention, of: key) }
                        == .objectLocked)
            }
        }
        for retention in [nil, shorter(.compliance), longer(.governance)] {
            #expect(
                await code {
                    try await bucket.setRetention(
                        retention, of: "compliance", bypassingGovernance: true)
                } == .objectLocked)
        }
        #expect(
            await code {
                try await bucket.deleteObject(
                    "compliance", version: .null, bypassingGovernance: true)
            } == .objectLocked)
        try await bucket.setRetention(longer(.compliance), of: "compliance")
        try await bucket.setRetention(longer(.governance), of: "governance")
        try await bucket.setRetention(
            shorter(.governance), of: "governance", bypassingGovernance: true)
        #expect(
            await code { try await bucket.deleteObject("governance", version: .null) }
                == .objectLocked)
        try await bucket.deleteObject("governance", version: .null, bypassingGovernance: true)
        #expect(await code { _ = try await bucket.headObject("governance") } == .objectUnknown)
        let far = Retention(
            .governance, until: simulated.clock.now() + .seconds(86_400 * 36_501))
        #expect(await code { try await bucket.setRetention(far, of: "key") } == .invalidArgument)
        try await check(store)
        try await store.close()
    }

    @Test func `a legal hold keeps a version whatever the date, and comes beside a retention`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        let first = try await bucket.putObject("key", [1].span)
        try await bucket.putObject("key", [2].span)
        try await bucket.setLegalHold(true, of: "key", version: first.versionID)
        try await bucket.setRetention(
            Self.retention(.governance, simulated), of: "key", version: first.versionID)
        try await check(store)
        simulated.clock.advance(by: .seconds(1_000_000_000))
        #expect(
            await code {
                try await bucket.deleteObject(
                    "key", version: first.versionID, bypassingGovernance: true)
            } == .objectLocked)
        #expect(
            await code {
                try await store.defaultAccount.deleteBucket("objects", contents: .delete)
            } == .objectLocked)
        let freed = try await bucket.setLegalHold(false, of: "key", version: first.versionID)
        #expect(freed.lock.retention?.mode == .governance && !freed.lock.hasLegalHold)
        #expect(freed.etag == first.etag)
        try await bucket.deleteObject("key", version: first.versionID)
        #expect(
            await code { try await bucket.setLegalHold(true, of: "key", version: first.versionID) }
                == .objectUnknown)
        try await check(store)
        try await store.close()
    }

    @Test func `new versions take the default of the bucket, copies no lock of their source`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        #expect(try await bucket.defaultRetention() == nil)
        for period in [Duration.zero, .seconds(86_400 * 36_501)] {
            #expect(
                await code {
                    try await bucket.setDefaultRetention(DefaultRetention(.compliance, for: period))
                } == .invalidArgument)
        }
        let held = ObjectLock(hasLegalHold: true)
        try await bucket.putObject("held", [1].span, attributes: ObjectAttributes(lock: held))
        #expect(try await bucket.copyObject("held", to: "copy").lock == .none)
        let standard = DefaultRetention(.compliance, for: .seconds(3600))
        try await bucket.setDefaultRetention(standard)
        #expect(try await bucket.defaultRetention() == standard)
        try await bucket.setVersioning(.enabled)
        #expect(try await bucket.defaultRetention() == standard)
        let expected = Self.retention(.compliance, simulated, seconds: 3600)
        #expect(try await bucket.putObject("new", [1].span).lock.retention == expected)
        let own = Self.retention(.governance, simulated)
        let lock = ObjectLock(retention: own)
        let object = try await bucket.putObject(
            "own", [1].span, attributes: ObjectAttributes(lock: lock))
        #expect(object.lock.retention == own)
        var update = ObjectBatch()
        update.setReferences([object.digest], of: "copy")
        try await bucket.commit(update)
        #expect(try await bucket.headObject("copy").lock == .none)
        try await check(store)
        try await store.close()
        // Settings, locks and what lists them survive the loss of the index.
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 3)
        let reopened = try await again.defaultAccount.bucket("objects")
        #expect(try await reopened.defaultRetention() == standard)
        #expect(try await reopened.headObject("held").lock == held)
        #expect(
            await code {
                try await again.defaultAccount.deleteBucket("objects", contents: .delete)
            } == .objectLocked)
        try await check(again)
        try await again.close()
    }
}
