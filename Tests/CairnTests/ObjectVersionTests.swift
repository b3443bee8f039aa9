// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import Testing

@Suite struct ObjectVersionTests {
    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    private static func body(_ key: String, _ bucket: Bucket) async throws -> [UInt8] {
        try await bucket.openObject(key).1.readAll(upTo: 1 << 20)
    }

    @Test func `versions stay until they are deleted by name`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let layer = try await bucket.put([100]).digest
        let zero = try await bucket.putObject("k", [0].span, references: [layer])
        #expect(zero.versionID == .null)
        try await bucket.setVersioning(.enabled)
        let one = try await bucket.putObject("k", [1].span)
        let two = try await bucket.putObject("k", [2].span)
        #expect(Set([zero, one, two].map(\.versionID)).count == 3)
        try await bucket.deleteObject("k")
        #expect(await code { _ = try await bucket.headObject("k") } == .objectUnknown)
        #expect(try await bucket.objects().objects.isEmpty)
        let versions = try await bucket.objectVersions().versions
        #expect(versions.map(\.object) == [nil, two, one, zero])
        #expect(versions.map(\.isLatest) == [true, false, false, false])
        for (object, byte) in [(zero, 0), (one, 1), (two, 2)] as [(ObjectDescription, UInt8)] {
            let (found, blob) = try await bucket.openObject("k", version: object.versionID)
            #expect(found == object)
            #expect(try await blob.readAll(upTo: 10) == [byte])
        }
        #expect(try await bucket.references(of: "k", version: .null) == [layer])
        #expect(await code { try await bucket.deleteBlob(layer) } == .blobReferenced)
        // The marker away: the object is back.
        let marker = versions[0].id
        #expect(
            await code { _ = try await bucket.headObject("k", version: marker) }
                == .objectUnknown)
        try await bucket.deleteObject("k", version: marker)
        #expect(try await bucket.headObject("k") == two)
        try await bucket.deleteObject("k", version: two.versionID)
        #expect(try await bucket.headObject("k") == one)
        #expect(
            await code { try await bucket.deleteObject("k", version: two.versionID) }
                == .objectUnknown)
        try await bucket.deleteObject("k", version: .null)
        try await bucket.deleteBlob(layer)
        let copy = try await bucket.copyObject("k", version: one.versionID, to: "copy")
        #expect(copy.digest == one.digest)
        let description = try await bucket.describe()
        #expect(description.objectCount == 2)
        #expect(description.olderVersionCount == 0)
        #expect(description.blobCount == 1)
        try await check(store)
        try await store.close()
        let again = try await simulated.open(seed: 3)
        #expect(try await again.defaultAccount.bucket("objects").versioning() == .enabled)
        try await again.close()
    }

    @Test func `where versions are suspended, the null version alone is replaced`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        try await bucket.putObject("k", [0].span)
        try await bucket.setVersioning(.enabled)
        let one = try await bucket.putObject("k", [1].span)
        try await bucket.setVersioning(.suspended)
        let null = try await bucket.putObject("k", [2].span)
        #expect(null.versionID == .null)
        #expect(try await bucket.objectVersions().versions.map(\.object) == [null, one])
        try await bucket.deleteObject("k")
        var versions = try await bucket.objectVersions().versions
        #expect(versions.map(\.object) == [nil, one])
        #expect(versions[0].id == .null)
        let three = try await bucket.putObject("k", [3].span)
        #expect(try await bucket.objectVersions().versions.map(\.object) == [three, one])
        #expect(
            await code { try await bucket.setVersioning(.off) } == .invalidArgument)
        try await bucket.setVersioning(.enabled)
        let four = try await bucket.putObject("k", [4].span)
        versions = try await bucket.objectVersions().versions
        #expect(versions.map(\.object) == [four, three, one])
        #expect(try await bucket.headObject("k", version: .null) == three)
        try await check(store)
        try await store.close()
    }

    @Test func `a rename leaves a delete marker, a batch writes versions, tags stay in one`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        let one = try await bucket.putObject("a", [1].span)
        let moved = try await bucket.renameObject("a", to: "b")
        #expect(moved.etag == one.etag)
        var versions = try await bucket.objectVersions().versions
        #expect(versions.map(\.key) == ["a", "a", "b"])
        #expect(versions.map(\.object) == [nil, one, moved])
        let tagged = try await bucket.setTags(["x": "y"], of: "b")
        #expect(tagged.versionID == moved.versionID)
        var batch = ObjectBatch()
        batch.put("b", [2].span)
        batch.put("b", [3].span, if: .ifExists)
        batch.delete("c")
        let results = try await bucket.commit(batch)
        versions = try await bucket.objectVersions(prefix: "b").versions
        #expect(versions.map(\.object) == [results[1], results[0], tagged])
        try await check(store)
        try await store.close()
    }

    // A version that is acknowledged after the call returned has a name of its own.
    @Test func `writes that race with the beginning of versions lose nothing`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let first = try await bucket.putObject("k", [0].span)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                try await bucket.setVersioning(.enabled)
                return 0
            }
            for number in 1...50 as ClosedRange<UInt8> {
                group.addTask {
                    let object = try await bucket.putObject("k", [number].span)
                    return object.versionID == .null ? 0 : 1
                }
            }
            return try await group.reduce(0, +)
        }
        let versions = try await bucket.objectVersions().versions
        #expect(versions.count == count + 1)
        #expect(versions.last?.id == .null)
        #expect(first.versionID == .null)
        try await check(store)
        try await store.close()
    }

    // Whatever a caller remembers of the bucket: it ends with the answer that there is none.
    @Test(.timeLimit(.minutes(2)), arguments: 1...10)
    func `writes and deletions beside the removal of their bucket end`(round: Int) async throws {
        let (_, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        let session = try await bucket.beginUpload()
        try await session.append([1].span)
        for number in 0..<20 { try await bucket.putObject("k\(number)", [2].span) }
        let codes = await withTaskGroup(of: StoreError.Code?.self) { group in
            for number in 0..<20 {
                group.addTask { await code { try await bucket.deleteObject("k\(number)") } }
                group.addTask { await code { try await bucket.putObject("k\(number)", [3].span) } }
                group.addTask {
                    await code { try await bucket.renameObject("k\(number)", to: "r\(number)") }
                }
            }
            group.addTask { await code { try await session.commit(toObject: "last") } }
            group.addTask {
                for _ in 0..<round { await Task.yield() }
                return await code { _ = try await store.defaultAccount.shredBucket("objects") }
            }
            return await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(codes.isSubset(of: [nil, .bucketUnknown, .objectUnknown]))
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `texts of versions are read back, and no others`() throws {
        #expect(ObjectVersionID("null") == .null)
        for text in [
            "", "Null", "00", String(repeating: "0", count: 32), String(repeating: "g", count: 32),
        ] {
            #expect(ObjectVersionID(text) == nil)
        }
        let text = "0000000000000001" + "00000000000000ff"
        #expect(ObjectVersionID(text)?.description == text)
        for text in [
            "", "00", String(repeating: "00", count: 8), String(repeating: "00", count: 1033),
        ] {
            #expect(ObjectVersionCursor(text) == nil)
        }
    }

    // MARK: - Against a model

    private struct Model {
        var versioning = Versioning.off
        /// Of each key the oldest version first; a marker has no body.
        var versions: [String: [(id: ObjectVersionID, body: [UInt8]?)]] = [:]

        mutating func add(_ key: String, _ id: ObjectVersionID, _ body: [UInt8]?) {
            if id == .null { versions[key]?.removeAll { $0.id == .null } }
            versions[key, default: []].append((id, body))
        }

        func latest(_ key: String) -> [UInt8]? { versions[key]?.last?.body }
    }

    @Test(arguments: 1...(isLong ? 30 : 6) as ClosedRange<UInt64>)
    func `any sequence of writes and deletions leaves what a model says`(seed: UInt64) async throws
    {
        let (simulated, first, _) = try await Self.bucket()
        var store = first
        var bucket = try await store.defaultAccount.bucket("objects")
        var model = Model()
        var generator = SeededGenerator(seed: seed)
        let keys = ["a", "a/", "a/b", "b"]
        for step in 0..<150 {
            let key = keys.randomElement(using: &generator) ?? "a"
            let body = [UInt8(step), UInt8(Int.random(in: 0..<4, using: &generator))]
            switch Int.random(in: 0..<20, using: &generator) {
            case ..<8:
                let object = try await bucket.putObject(key, body.span)
                model.add(key, object.versionID, body)
            case ..<12:
                let failed = await code { try await bucket.deleteObject(key) }
                #expect((failed == nil) == (model.latest(key) != nil))
                guard failed == nil else { break }
                if model.versioning == .off {
                    model.versions[key] = []
                } else {
                    let marker = try await bucket.objectVersions(prefix: key).versions.first
                    model.add(key, try #require(marker).id, nil)
                }
            case ..<16:
                guard let version = model.versions[key]?.randomElement(using: &generator) else {
                    break
                }
                try await bucket.deleteObject(key, version: version.id)
                model.versions[key]?.removeAll { $0.id == version.id }
            case 16:
                let next: Versioning = Bool.random(using: &generator) ? .enabled : .suspended
                try await bucket.setVersioning(next)
                model.versioning = next
            case 17:
                guard model.latest(key) != nil else { break }
                try await bucket.setTags(["step": "\(step)"], of: key)
            case 18:
                // Clocks are set back.
                simulated.clock.advance(by: .seconds(Int.random(in: -5...5, using: &generator)))
            default:
                try await store.close()
                store = try await simulated.open(seed: seed + UInt64(step))
                bucket = try await store.defaultAccount.bucket("objects")
            }
            try await Self.expect(bucket, model, keys, "step \(step)")
        }
        try await check(store)
        try await store.close()
        // All of it comes back without the index.
        simulated.loseIndex()
        _ = try await simulated.repair()
        let repaired = try await simulated.open(seed: 99)
        try await Self.expect(
            try await repaired.defaultAccount.bucket("objects"), model, keys, "repaired")
        try await check(repaired)
        try await repaired.close()
    }

    private static func expect(
        _ bucket: Bucket, _ model: Model, _ keys: [String], _ comment: Comment
    ) async throws {
        var pages: [ObjectVersion] = []
        var cursor: ObjectVersionCursor?
        repeat {
            let page = try await bucket.objectVersions(from: cursor, limit: 3)
            pages += page.versions
            cursor = try page.next.map { try #require(ObjectVersionCursor($0.description)) }
        } while cursor != nil
        let expected = keys.flatMap { key in
            (model.versions[key] ?? []).reversed().map { (key, $0) }
        }
        #expect(pages.map(\.key) == expected.map(\.0), comment)
        #expect(pages.map(\.id) == expected.map(\.1.id), comment)
        #expect(pages.map(\.isDeleteMarker) == expected.map { $0.1.body == nil }, comment)
        let latest = keys.filter { model.latest($0) != nil }
        #expect(try await bucket.objects().objects.map(\.key) == latest, comment)
        #expect(
            pages.filter(\.isLatest).map(\.key)
                == keys.filter { !(model.versions[$0] ?? []).isEmpty }, comment)
        for key in latest {
            #expect(try await body(key, bucket) == model.latest(key), comment)
        }
    }
}
