// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import Testing

@Suite struct ObjectTests {
    @Test func `an object comes back with all that was said of it`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let layer = try await bucket.put(TestData.random(100_000, seed: 30)).digest
        for body in [Array("{}".utf8), TestData.compressible(1_000_000, seed: 31)] {
            let written = try await bucket.putObject(
                "manifests/x", body.span,
                attributes: ObjectAttributes(
                    contentType: "application/json", metadata: ["by": "test"]),
                references: [layer, layer])
            let (read, blob) = try await bucket.openObject("manifests/x")
            #expect(read == written)
            #expect(try await bucket.references(of: "manifests/x") == [layer])
            #expect(read.referenceCount == 1)
            #expect(read.metadata == ["by": "test"])
            #expect(try await blob.readAll(upTo: body.count) == body)
            #expect(try await bucket.contents(read.digest) == body)
        }
        #expect(await code { try await bucket.deleteBlob(layer) } == .blobReferenced)
        try await bucket.deleteObject("manifests/x")
        #expect(await code { _ = try await bucket.headObject("manifests/x") } == .objectUnknown)
        try await bucket.deleteBlob(layer)
        let description = try await bucket.describe()
        #expect(description.blobCount == 0)
        #expect(description.objectCount == 0)
        #expect(description.logicalByteCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `of many conditional creations exactly one succeeds`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let codes = await withTaskGroup(of: StoreError.Code?.self) { group in
            for number in 0..<100 {
                group.addTask {
                    await code {
                        let body = Array("body \(number)".utf8)
                        try await bucket.putObject("tag", body.span, if: .ifNoneMatch)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes.count { $0 == nil } == 1)
        #expect(codes.count { $0 == .preconditionFailed } == 99)
        #expect(try await bucket.describe().blobCount == 1)
        try await check(store)
        try await store.close()
    }

    @Test func `a write with a stale tag changes nothing`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let first = try await bucket.putObject("k", [1].span)
        let second = try await bucket.putObject("k", [2].span, if: .ifMatch(first.etag))
        #expect(first.etag != second.etag)
        #expect(
            await code { try await bucket.putObject("k", [3].span, if: .ifMatch(first.etag)) }
                == .preconditionFailed)
        #expect(
            await code { try await bucket.deleteObject("k", ifMatch: first.etag) }
                == .preconditionFailed)
        #expect(try await bucket.headObject("k") == second)
        try await bucket.deleteObject("k", ifMatch: second.etag)
        #expect(await code { try await bucket.deleteObject("k") } == .objectUnknown)
        try await store.close()
    }

    @Test func `a reference to a blob that is not there is refused whole`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let missing = Digest.sha256(of: [9].span)
        #expect(
            await code {
                try await bucket.putObject("k", [1].span, references: [missing])
            } == .blobUnknown)
        #expect(try await bucket.describe().blobCount == 0)
        #expect(try await bucket.objects().objects.isEmpty)
        try await check(store)
        try await store.close()
    }

    @Test func `a listing is in byte order, by prefix and in pages`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let keys = ["tags/a", "tags/b", "tags/ö", "tags0", "a", "tags/a/b", "z"]
        for key in keys { try await bucket.putObject(key, Array(key.utf8).span) }
        let sorted = keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        #expect(try await bucket.objects().objects.map(\.key) == sorted)
        let tags = sorted.filter { $0.hasPrefix("tags/") }
        let first = try await bucket.objects(prefix: "tags/", limit: 2)
        #expect(first.objects.map(\.key) == Array(tags.prefix(2)))
        #expect(first.isTruncated)
        let rest = try await bucket.objects(prefix: "tags/", after: tags[1], limit: 2)
        #expect(rest.objects.map(\.key) == Array(tags.dropFirst(2)))
        #expect(!rest.isTruncated)
        #expect(await code { _ = try await bucket.objects(limit: 0) } == .invalidArgument)
        try await store.close()
    }

    @Test(arguments: ["", "a\0b", String(repeating: "k", count: 1025)])
    func `a key that breaks the rules is refused`(key: String) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        #expect(await code { try await bucket.putObject(key, [1].span) } == .keyInvalid)
        #expect(await code { _ = try await bucket.headObject(key) } == .keyInvalid)
        #expect(await code { try await bucket.deleteObject(key) } == .keyInvalid)
        try await store.close()
    }
}
