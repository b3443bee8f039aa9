// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

@Suite struct ObjectCopyTests {
    private static let body = TestData.random(100_000, seed: 500)
    private static let layers = [
        TestData.random(200_000, seed: 501), TestData.compressible(5000, seed: 502),
    ]

    /// An object with two references in the bucket `source`, under its own key if wanted.
    private static func source(
        _ store: Store, encryption: BucketEncryption = .storeManaged,
        deduplication: Deduplication = .key
    ) async throws -> (Bucket, ObjectDescription) {
        let bucket = try await store.defaultAccount.createBucket(
            "source",
            configuration: BucketConfiguration(
                encryption: encryption, deduplication: deduplication))
        var references: [Digest] = []
        for layer in layers { references.append(try await bucket.put(layer).digest) }
        var attributes = ObjectAttributes(
            contentType: "text/plain", metadata: ["a": "b"], tags: ["t": "1"])
        attributes.cacheControl = "no-store"
        let object = try await bucket.putObject(
            "from", body.span, attributes: attributes, references: references)
        return (bucket, object)
    }

    @Test func `a copy has all that the object has, and each outlives the other`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let (bucket, object) = try await Self.source(store)
        simulated.clock.advance(by: .seconds(60))
        let copy = try await bucket.copyObject("from", to: "to")
        #expect(copy.digest == object.digest)
        #expect(copy.attributes == object.attributes)
        #expect(copy.etag == object.etag)
        #expect(copy.modifiedAt > object.modifiedAt)
        #expect(try await bucket.headObject("to") == copy)
        #expect(try await bucket.references(of: "to") == bucket.references(of: "from"))
        try await bucket.deleteObject("from")
        #expect(try await Self.read("to", bucket) == Self.body)
        let layer = try await bucket.references(of: "to")[0]
        #expect(await code { try await bucket.deleteBlob(layer) } == .blobReferenced)
        try await bucket.deleteObject("to")
        #expect(try await bucket.describe().objectCount == 0)
        // The layers were put as blobs.
        #expect(try await bucket.describe().blobCount == 2)
        try await check(store)
        try await store.close()
    }

    @Test func `a copy to a bucket with another key brings its references along`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let key = try await #require(store.keyService).createKey(alias: "alias/other")
        let (bucket, object) = try await Self.source(store, deduplication: .account)
        let other = try await store.defaultAccount.createBucket(
            "other",
            configuration: BucketConfiguration(
                encryption: .customerKey(KeyReference(key.id)), deduplication: .account))
        let before = try await store.statistics().chunkCount
        let copy = try await bucket.copyObject("from", to: "there", in: other)
        #expect(try await store.statistics().chunkCount == before)
        #expect(copy.digest == object.digest)
        // Keyed by the bucket: whoever sees both learns nothing.
        #expect(copy.etag != object.etag)
        #expect(try await other.headObject("there") == copy)
        #expect(try await other.describe().blobCount == 3)
        try await store.defaultAccount.deleteBucket("source", contents: .delete)
        try await store.sweep()
        #expect(try await Self.read("there", other) == Self.body)
        for (digest, layer) in zip(try await other.references(of: "there"), Self.layers) {
            #expect(try await other.contents(digest) == layer)
        }
        // They came with the object, and go with it.
        try await other.deleteObject("there")
        #expect(try await other.describe().blobCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `a bucket of another domain or account takes no copy`() async throws {
        let store = try await SimulatedStore().open()
        let (bucket, _) = try await Self.source(store)
        let apart = try await store.defaultAccount.createBucket(
            "apart", configuration: BucketConfiguration(deduplication: .bucket))
        #expect(
            await code { try await bucket.copyObject("from", to: "to", in: apart) }
                == .domainMismatch)
        let foreign = try await store.createAccount("tenant").createBucket("foreign")
        #expect(
            await code { try await bucket.copyObject("from", to: "to", in: foreign) }
                == .invalidArgument)
        for bucket in [apart, foreign] {
            #expect(try await bucket.describe().blobCount == 0)
            #expect(try await bucket.describe().objectCount == 0)
        }
        // What is kept inside the index belongs to no domain.
        try await bucket.putObject("small", [1, 2].span)
        try await bucket.copyObject("small", to: "small", in: apart)
        #expect(try await Self.read("small", apart) == [1, 2])
        try await check(store)
        try await store.close()
    }

    @Test func `a copy onto itself changes what is said of the object`() async throws {
        let store = try await SimulatedStore().open()
        let (bucket, object) = try await Self.source(store)
        let changed = try await bucket.copyObject(
            "from", to: "from", attributes: ObjectAttributes(contentType: "image/png"))
        #expect(changed.etag != object.etag)
        #expect(changed.attributes == ObjectAttributes(contentType: "image/png"))
        #expect(try await bucket.headObject("from") == changed)
        #expect(try await bucket.describe().objectCount == 1)
        #expect(try await bucket.references(of: "from").count == 2)
        try await check(store)
        try await store.close()
    }

    @Test func `a rename leaves one object, as it was`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let (bucket, object) = try await Self.source(store)
        simulated.clock.advance(by: .seconds(60))
        let renamed = try await bucket.renameObject("from", to: "to")
        #expect(renamed.etag == object.etag)
        #expect(renamed.modifiedAt == object.modifiedAt)
        #expect(renamed.attributes == object.attributes)
        #expect(await code { _ = try await bucket.headObject("from") } == .objectUnknown)
        #expect(try await bucket.objects().objects == [renamed])
        // To where it is: nothing happens, and it is not lost.
        #expect(try await bucket.renameObject("to", to: "to") == renamed)
        let other = try await store.defaultAccount.createBucket("other")
        try await bucket.renameObject("to", to: "there", in: other)
        #expect(try await bucket.objects().objects.isEmpty)
        #expect(try await Self.read("there", other) == Self.body)
        #expect(try await bucket.describe().blobCount == 2)
        #expect(try await other.describe().blobCount == 3)
        try await check(store)
        try await store.close()
    }

    @Test func `copies and renames take place only on the conditions given`() async throws {
        let store = try await SimulatedStore().open()
        let (bucket, object) = try await Self.source(store)
        let taken = try await bucket.putObject("taken", [1].span)
        for isMove in [false, true] {
            func transfer(
                _ source: ReadCondition, to target: String, _ condition: WriteCondition
            ) async -> StoreError.Code? {
                await code {
                    if isMove {
                        try await bucket.renameObject(
                            "from", to: target, ifSource: source, if: condition)
                    } else {
                        try await bucket.copyObject(
                            "from", to: target, ifSource: source, if: condition)
                    }
                }
            }
            #expect(await transfer(.none, to: "taken", .ifNoneMatch) == .preconditionFailed)
            #expect(
                await transfer(.none, to: "taken", .ifMatch(object.etag)) == .preconditionFailed)
            #expect(await transfer(.none, to: "free", .ifExists) == .preconditionFailed)
            #expect(
                await transfer(ReadCondition(ifMatch: [taken.etag]), to: "free", .none)
                    == .preconditionFailed)
            #expect(
                await transfer(ReadCondition(ifNoneMatch: [object.etag]), to: "free", .none)
                    == .notModified)
            #expect(try await bucket.headObject("from") == object)
            #expect(try await bucket.headObject("taken") == taken)
            #expect(await code { _ = try await bucket.headObject("free") } == .objectUnknown)
        }
        #expect(
            await code { try await bucket.copyObject("none", to: "to") } == .objectUnknown)
        #expect(await code { try await bucket.copyObject("from", to: "a\0") } == .keyInvalid)
        #expect(
            try await bucket.renameObject(
                "from", to: "taken", ifSource: ReadCondition(ifMatch: [object.etag]),
                if: .ifMatch(taken.etag)
            ).etag == object.etag)
        #expect(try await bucket.objects().objects.map(\.key) == ["taken"])
        try await check(store)
        try await store.close()
    }

    @Test func `of many renames of one object exactly one succeeds`() async throws {
        let store = try await SimulatedStore().open()
        let (bucket, _) = try await Self.source(store)
        let codes = await withTaskGroup(of: StoreError.Code?.self) { group in
            for number in 0..<100 {
                group.addTask {
                    await code { try await bucket.renameObject("from", to: "to/\(number)") }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes.count { $0 == nil } == 1)
        #expect(codes.count { $0 == .objectUnknown } == 99)
        #expect(try await bucket.objects().objects.count == 1)
        try await check(store)
        try await store.close()
    }

    private static func read(_ key: String, _ bucket: Bucket) async throws -> Contents {
        let (object, blob) = try await bucket.openObject(key)
        return Contents(array: try await blob.readAll(upTo: Int(object.byteCount)))
    }
}
