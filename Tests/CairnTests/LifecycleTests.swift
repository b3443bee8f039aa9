// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnKeys
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct LifecycleTests {
    private static let day = Duration.seconds(86_400)

    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    private static func rule(
        _ id: String = "rule", prefix: String = "", _ change: (inout LifecycleRule) -> Void
    ) -> LifecycleRule {
        var rule = LifecycleRule(id, prefix: prefix)
        change(&rule)
        return rule
    }

    private static func keys(_ bucket: Bucket) async throws -> [String] {
        try await bucket.objects().objects.map(\.key)
    }

    @Test(arguments: [0, 1])
    func `a preview while versions are suspended is what comes`(_ keepingNewest: Int) async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        if keepingNewest > 0 { try await bucket.setVersioning(.enabled) }
        try await bucket.putObject("key", TestData.random(50_000, seed: 1).span)
        try await bucket.setVersioning(.enabled)
        try await bucket.putObject("key", TestData.random(60_000, seed: 2).span)
        try await bucket.setVersioning(.suspended)
        try await bucket.setLifecycle([
            Self.rule("all") {
                $0.expiration = .after(days: 2)
                $0.noncurrentExpiration = NoncurrentExpiration(
                    days: 1, keepingNewest: keepingNewest)
            }
        ])
        simulated.clock.advance(by: Self.day * 3)
        let preview = try await bucket.previewLifecycle()
        #expect(preview.expiredObjectCount == 1 && preview.removedVersionCount == 1)
        #expect(preview.removedBlobCount == 1 && preview.logicalByteCount == 50_000)
        let report = try await store.applyLifecycle()
        #expect(report.expiredObjectCount == 1 && report.removedVersionCount == 1)
        #expect(try await bucket.describe().blobCount == 1)
        // The delete marker, and what was the latest.
        #expect(try await bucket.objectVersions().versions.count == 2)
        try await check(store)
        try await store.close()
    }

    @Test func `objects go when their days are over, those that no rule concerns stay`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.putObject("builds/old", [1].span)
        try await bucket.setLifecycle([
            Self.rule("builds", prefix: "builds/") { $0.expiration = .after(days: 3) },
            Self.rule("off") {
                $0.expiration = .after(days: 1)
                $0.isEnabled = false
            },
            Self.rule("size") {
                $0.expiration = .after(days: 2)
                ($0.byteCountMin, $0.byteCountMax) = (100, 200)
            },
            Self.rule("tags") {
                $0.expiration = .after(days: 1)
                $0.tags = ["keep": "no", "x": "y"]
            },
        ])
        #expect(try await bucket.lifecycle().count == 4)
        for (key, count) in [("builds/new", 1), ("a", 99), ("b", 100), ("c", 200), ("d", 201)] {
            try await bucket.putObject(key, TestData.random(count, seed: 1).span)
        }
        let tags = ["keep": "no", "x": "y", "z": ""]
        try await bucket.putObject("t", [1].span, attributes: ObjectAttributes(tags: tags))
        try await bucket.putObject("u", [1].span)
        #expect(try await store.applyLifecycle().expiredObjectCount == 0)
        simulated.clock.advance(by: Self.day)
        try await bucket.setTags(tags, of: "u")
        #expect(try await store.applyLifecycle().expiredObjectCount == 2)
        #expect(try await Self.keys(bucket) == ["a", "b", "builds/new", "builds/old", "c", "d"])
        simulated.clock.advance(by: Self.day)
        #expect(try await store.applyLifecycle().expiredObjectCount == 2)
        #expect(try await Self.keys(bucket) == ["a", "builds/new", "builds/old", "d"])
        // Written anew: its days begin anew.
        try await bucket.putObject("builds/new", [2].span)
        simulated.clock.advance(by: Self.day)
        let start = try await bucket.eventCursor()
        #expect(try await store.applyLifecycle().expiredObjectCount == 1)
        #expect(try await bucket.events(after: start).events.allSatisfy { $0.cause == .lifecycle })
        #expect(try await Self.keys(bucket) == ["a", "builds/new", "d"])
        simulated.clock.advance(by: .seconds(2 * 86_400 - 1))
        #expect(try await store.applyLifecycle().expiredObjectCount == 0)
        simulated.clock.advance(by: .seconds(1))
        #expect(try await store.applyLifecycle().expiredObjectCount == 1)
        try await bucket.setLifecycle([])
        simulated.clock.advance(by: .seconds(1_000_000_000))
        #expect(try await store.applyLifecycle().expiredObjectCount == 0)
        #expect(try await Self.keys(bucket) == ["a", "d"])
        try await check(store)
        try await store.close()
    }

    @Test func `a date counts for all objects, also for those written after it`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let date = simulated.clock.now() + Self.day
        try await bucket.setLifecycle([Self.rule { $0.expiration = .at(date) }])
        try await bucket.putObject("before", [1].span)
        #expect(try await store.applyLifecycle().expiredObjectCount == 0)
        simulated.clock.advance(by: Self.day)
        try await bucket.putObject("after", [1].span)
        #expect(try await store.applyLifecycle().expiredObjectCount == 2)
        try await check(store)
        try await store.close()
    }

    @Test func `older versions go by age and number, and delete markers that hide nothing`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        try await bucket.setLifecycle([
            Self.rule("age", prefix: "age") {
                $0.noncurrentExpiration = NoncurrentExpiration(days: 2)
                $0.removesExpiredDeleteMarkers = true
            },
            Self.rule("number", prefix: "number") {
                $0.noncurrentExpiration = NoncurrentExpiration(days: 1, keepingNewest: 2)
            },
        ])
        for key in ["age", "number", "other"] {
            for value in 0..<6 {
                try await bucket.putObject(key, [UInt8(value)].span)
                simulated.clock.advance(by: .seconds(60))
            }
        }
        simulated.clock.advance(by: .seconds(86_400))
        #expect(try await store.applyLifecycle().removedVersionCount == 3)
        #expect(try await bucket.objectVersions(prefix: "number").versions.count == 3)
        // Another write, and another old one is one too many.
        try await bucket.putObject("number", [9].span)
        #expect(try await store.applyLifecycle().removedVersionCount == 1)
        try await bucket.deleteObject("age")
        simulated.clock.advance(by: Self.day)
        #expect(try await store.applyLifecycle().removedVersionCount == 5)
        #expect(try await bucket.objectVersions(prefix: "age").versions.count == 2)
        simulated.clock.advance(by: Self.day)
        // The last version, and then the marker that hid it.
        #expect(try await store.applyLifecycle().removedVersionCount == 2)
        #expect(try await bucket.objectVersions(prefix: "age").versions.isEmpty)
        #expect(try await bucket.objectVersions(prefix: "other").versions.count == 6)
        try await check(store)
        try await store.close()
    }

    @Test func `an expired object of a bucket with versions is hidden, then goes as an older one`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        try await bucket.putObject("key", TestData.random(50_000, seed: 1).span)
        try await bucket.setLifecycle([
            Self.rule {
                $0.expiration = .after(days: 1)
                $0.noncurrentExpiration = NoncurrentExpiration(days: 1)
                $0.removesExpiredDeleteMarkers = true
            }
        ])
        simulated.clock.advance(by: Self.day)
        #expect(try await store.applyLifecycle().expiredObjectCount == 1)
        #expect(await code { _ = try await bucket.headObject("key") } == .objectUnknown)
        #expect(try await bucket.objectVersions().versions.map(\.isDeleteMarker) == [true, false])
        simulated.clock.advance(by: Self.day)
        #expect(try await store.applyLifecycle().removedVersionCount == 2)
        #expect(try await bucket.objectVersions().versions.isEmpty)
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `rules do nothing to what is locked, and act when the lock has gone`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let lock = ObjectLock(
            retention: Retention(.compliance, until: simulated.clock.now() + .seconds(3 * 86_400)))
        try await bucket.putObject("locked", [1].span, attributes: ObjectAttributes(lock: lock))
        try await bucket.putObject(
            "held", [1].span, attributes: ObjectAttributes(lock: ObjectLock(hasLegalHold: true)))
        try await bucket.setLifecycle([Self.rule { $0.expiration = .after(days: 1) }])
        simulated.clock.advance(by: Self.day)
        #expect(try await store.applyLifecycle().expiredObjectCount == 0)
        #expect(try await store.applyLifecycle().evaluatedKeyCount == 0)
        simulated.clock.advance(by: .seconds(2 * 86_400))
        #expect(try await store.applyLifecycle().expiredObjectCount == 1)
        try await bucket.setLegalHold(false, of: "held")
        #expect(try await store.applyLifecycle().expiredObjectCount == 1)
        #expect(try await Self.keys(bucket).isEmpty)
        try await store.close()
    }

    @Test func `incomplete uploads are aborted, whenever they began and whatever parts they get`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let before = try await bucket.beginMultipartUpload("a/before")
        try await before.put(1, TestData.random(20_000, seed: 1))
        try await bucket.setLifecycle([
            Self.rule(prefix: "a/") { $0.incompleteUploadDays = 2 }
        ])
        let after = try await bucket.beginMultipartUpload("a/after")
        let other = try await bucket.beginMultipartUpload("b")
        try await store.applyLifecycle()
        simulated.clock.advance(by: Self.day)
        for upload in [before, after, other] { try await upload.put(2, [1]) }
        #expect(try await bucket.previewLifecycle().abortedUploadCount == 0)
        simulated.clock.advance(by: Self.day)
        #expect(try await bucket.previewLifecycle().abortedUploadCount == 2)
        try await store.sweep()
        #expect(try await bucket.multipartUploads().uploads.map(\.key) == ["b"])
        try await check(store)
        try await store.close()
    }

    @Test func `a run costs what is due, and a bucket is walked through once`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        for number in 0..<300 { try await bucket.putObject("k\(number)", [1].span) }
        try await bucket.setLifecycle([Self.rule { $0.expiration = .after(days: 10) }])
        try await store.applyLifecycle()
        simulated.clock.advance(by: Self.day)
        try await bucket.putObject("late", [1].span)
        let before = simulated.index.scannedRowCount
        let report = try await store.applyLifecycle()
        #expect(report.evaluatedKeyCount == 0)
        #expect(simulated.index.scannedRowCount - before < 10)
        simulated.clock.advance(by: .seconds(9 * 86_400))
        #expect(try await store.applyLifecycle().expiredObjectCount == 300)
        #expect(try await Self.keys(bucket) == ["late"])
        try await check(store)
        try await store.close()
    }

    @Test func `a preview tells exactly what goes and what a sweep frees then`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let shared = TestData.random(300_000, seed: 1)
        let layer = try await bucket.putBlob(TestData.random(90_000, seed: 2).span).digest
        let other = try await store.defaultAccount.createBucket("other")
        try await other.put(shared)
        try await bucket.putObject("old/shared", shared.span, references: [layer])
        try await bucket.putObject("old/own", TestData.compressible(200_000, seed: 3).span)
        try await bucket.putObject("old/small", [1, 2, 3].span)
        try await bucket.copyObject("old/own", to: "new/copy")
        try await bucket.putObject("old/single", TestData.random(70_000, seed: 4).span)
        try await store.sweep()
        let rules = [Self.rule(prefix: "old/") { $0.expiration = .after(days: 1) }]
        #expect(try await bucket.previewLifecycle(rules) == LifecyclePreview())
        let later = simulated.clock.now() + Self.day
        let preview = try await bucket.previewLifecycle(rules, at: later)
        #expect(preview.expiredObjectCount == 4)
        // The copy keeps one, and the other bucket the chunks of another.
        #expect(preview.removedBlobCount == 3)
        #expect(preview.logicalByteCount == 370_003)
        #expect(try await Self.keys(bucket).count == 5)
        try await bucket.setLifecycle(rules)
        simulated.clock.advance(by: Self.day)
        #expect(try await bucket.previewLifecycle() == preview)
        let before = try await bucket.describe()
        try await store.applyLifecycle()
        let after = try await bucket.describe()
        #expect(before.blobCount - after.blobCount == preview.removedBlobCount)
        #expect(before.logicalByteCount - after.logicalByteCount == preview.logicalByteCount)
        // The bytes of the small blob go with its row, the sweep tells of records.
        #expect(try await store.sweep().byteCount + 3 == preview.freedByteCount)
        #expect(try await Self.keys(bucket) == ["new/copy"])
        try await check(store)
        try await store.close()
    }

    @Test func `rules survive the loss of the index and are applied to everything anew`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        for number in 0..<100 { try await bucket.putObject("k\(number)", [1].span) }
        for number in 0..<50 { try await bucket.deleteObject("k\(number)") }
        let rules = [
            Self.rule {
                $0.expiration = .after(days: 1)
                $0.noncurrentExpiration = NoncurrentExpiration(days: 1)
                $0.removesExpiredDeleteMarkers = true
                $0.tags = [:]
            }
        ]
        try await bucket.setLifecycle(rules)
        try await store.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 3)
        let reopened = try await again.defaultAccount.bucket("objects")
        #expect(try await reopened.lifecycle() == rules)
        // Numbers of versions that were written at one time differ by a nanosecond.
        simulated.clock.advance(by: Self.day + .seconds(1))
        let report = try await again.applyLifecycle()
        #expect(report.expiredObjectCount == 50 && report.removedVersionCount == 100)
        simulated.clock.advance(by: Self.day)
        #expect(try await again.applyLifecycle().removedVersionCount == 100)
        #expect(try await reopened.objectVersions().versions.isEmpty)
        try await check(again)
        try await again.defaultAccount.deleteBucket("objects", contents: .delete)
        try await again.sweep()
        #expect(try await again.applyLifecycle() == LifecycleReport())
        try await again.close()
    }

    @Test func `a bucket whose key is disabled waits, and keeps nobody else from his due`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let service = try #require(store.keyService)
        let key = try await service.createKey()
        let locked = try await store.defaultAccount.createBucket("locked")
        try await locked.setEncryption(.customerKey(KeyReference(key.id)))
        let rules = [Self.rule { $0.expiration = .after(days: 1) }]
        for bucket in [bucket, locked] {
            try await bucket.putObject("key", [1].span)
            try await bucket.setLifecycle(rules)
        }
        try await store.applyLifecycle()
        try await service.disable(KeyReference(key.id))
        simulated.clock.advance(by: Self.day)
        let report = try await store.applyLifecycle()
        #expect(report.expiredObjectCount == 1 && report.lockedKeyCount == 1)
        try await service.enable(KeyReference(key.id))
        #expect(try await store.applyLifecycle().expiredObjectCount == 1)
        try await store.close()
    }

    @Test func `rules that make no sense are refused, and nothing changes`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let good = Self.rule("good") { $0.expiration = .after(days: 1) }
        try await bucket.setLifecycle([good])
        let bad: [LifecycleRule] = [
            LifecycleRule("nothing"), Self.rule("") { $0.expiration = .after(days: 1) },
            Self.rule(String(repeating: "i", count: 256)) { $0.expiration = .after(days: 1) },
            Self.rule { $0.expiration = .after(days: 0) },
            Self.rule { $0.expiration = .after(days: .max) },
            Self.rule(prefix: "a\0b") { $0.expiration = .after(days: 1) },
            Self.rule(prefix: String(repeating: "p", count: 1025)) {
                $0.expiration = .after(days: 1)
            },
            Self.rule {
                $0.expiration = .after(days: 1)
                ($0.byteCountMin, $0.byteCountMax) = (2, 1)
            },
            Self.rule {
                $0.noncurrentExpiration = NoncurrentExpiration(days: 1, keepingNewest: 101)
            },
            Self.rule { $0.noncurrentExpiration = NoncurrentExpiration(days: -1) },
            Self.rule { $0.incompleteUploadDays = 0 },
        ]
        for rule in bad {
            #expect(await code { try await bucket.setLifecycle([rule]) } == .invalidArgument)
        }
        #expect(await code { try await bucket.setLifecycle([good, good]) } == .invalidArgument)
        let many = (0..<101).map { number in
            Self.rule("r\(number)") { $0.expiration = .after(days: 1) }
        }
        #expect(await code { try await bucket.setLifecycle(many) } == .limitExceeded)
        #expect(await code { _ = try await bucket.previewLifecycle(many) } == .limitExceeded)
        #expect(try await bucket.lifecycle() == [good])
        try await store.close()
    }

    // MARK: - Found by a reviewer

    @Test func `a version becomes an older one when another comes, however old that is`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        try await bucket.setLifecycle([
            Self.rule { $0.noncurrentExpiration = NoncurrentExpiration(days: 30) }
        ])
        let kept = try await bucket.putObject("b", [1].span)
        try await bucket.putObject("a", [2].span)
        simulated.clock.advance(by: .seconds(300 * 86_400))
        try await bucket.renameObject("a", to: "b")
        simulated.clock.advance(by: Self.day)
        try await bucket.setTags(["look": "now"], of: "b")
        #expect(try await store.applyLifecycle().removedVersionCount == 0)
        _ = try await bucket.headObject("b", version: kept.versionID)
        simulated.clock.advance(by: .seconds(30 * 86_400))
        try await store.applyLifecycle()
        #expect(
            await code { _ = try await bucket.headObject("b", version: kept.versionID) }
                == .objectUnknown)
        try await check(store)
        try await store.close()
    }

    @Test func `a locked version in the way keeps no other key from its due`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.putObject(
            "locked", [1].span, attributes: ObjectAttributes(lock: ObjectLock(hasLegalHold: true)))
        try await bucket.setVersioning(.enabled)
        try await bucket.putObject("locked", [2].span)
        try await bucket.setVersioning(.suspended)
        try await bucket.setLifecycle([Self.rule { $0.expiration = .after(days: 1) }])
        try await bucket.putObject("other", [3].span)
        simulated.clock.advance(by: Self.day)
        let report = try await store.applyLifecycle()
        #expect(report.expiredObjectCount == 1 && report.skippedKeyCount == 1)
        #expect(try await Self.keys(bucket) == ["locked"])
        try await check(store)
        try await store.close()
    }

    @Test func `the delete marker that an expiry leaves alone goes as well`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.suspended)
        let body = TestData.random(40_000, seed: 1)
        try await bucket.putObject("key", body.span)
        let rule = Self.rule {
            $0.expiration = .after(days: 1)
            $0.removesExpiredDeleteMarkers = true
        }
        try await bucket.setLifecycle([rule])
        simulated.clock.advance(by: Self.day)
        // The null version is replaced by a marker, and its body goes for good.
        let preview = try await bucket.previewLifecycle()
        #expect(preview.removedBlobCount == 1 && preview.logicalByteCount == 40_000)
        let report = try await store.applyLifecycle()
        #expect(report.expiredObjectCount == 1 && report.removedVersionCount == 1)
        #expect(try await bucket.objectVersions().versions.isEmpty)
        #expect(try await store.sweep().byteCount == preview.freedByteCount)
        try await check(store)
        try await store.close()
    }

    @Test func `rules that are taken back give uploads their time again`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("key")
        let before = try await upload.describe().expiresAt
        try await bucket.setLifecycle([Self.rule { $0.incompleteUploadDays = 1 }])
        try await store.applyLifecycle()
        #expect(try await upload.describe().expiresAt < before)
        try await bucket.setLifecycle([])
        simulated.clock.advance(by: .seconds(1))
        try await store.applyLifecycle()
        #expect(try await upload.describe().expiresAt == before)
        try await store.close()
    }
}
