// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import Testing

@Suite struct StoreTests {
    static let shapes: [(String, [UInt8])] = [
        ("empty", []), ("small", Array("hello\n".utf8)),
        ("largest inline", TestData.random(16 << 10, seed: 1)),
        ("smallest chunked", TestData.random((16 << 10) + 1, seed: 2)),
        ("one opaque chunk", TestData.random(1 << 20, seed: 3)),
        ("opaque", TestData.random(5_000_001, seed: 4)),
        ("text", TestData.compressible(3_000_000, seed: 5)),
        ("zeros", [UInt8](repeating: 0, count: 2_500_000)),
        (
            "tar",
            Tar.archive([
                ("a", TestData.compressible(700_000, seed: 6)), ("b", TestData.random(10, seed: 7)),
                ("c", TestData.random(900_000, seed: 8)),
            ])
        ),
    ]

    @Test(arguments: shapes)
    func `a blob comes back as it was, also after reopening`(
        shape: (String, [UInt8])
    ) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("library/shapes")
        let blob = try await bucket.put(shape.1)
        #expect(blob.digest == Digest.sha256(of: shape.1.span))
        #expect(try await bucket.contents(blob.digest) == shape.1)
        try await check(store)
        try await store.close()
        let reopened = try await simulated.open(seed: 2)
        let again = try await reopened.defaultAccount.bucket("library/shapes")
        #expect(try await again.contents(blob.digest) == shape.1)
        try await check(reopened)
        try await reopened.close()
    }

    @Test func `ranges and synchronous reads give the same bytes`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("ranges")
        let bytes = TestData.compressible(2_000_000, seed: 9)
        let blob = try await bucket.openBlob(try await bucket.put(bytes).digest)
        for range in [0..<1, 1_999_999..<2_000_000, 65_530..<70_000, 0..<2_000_000, 5..<5] {
            var read: [UInt8] = []
            let wanted = UInt64(range.lowerBound)..<UInt64(range.upperBound)
            for try await buffer in blob.bytes(in: wanted) { read += buffer }
            #expect(read == Array(bytes[range]))
            var memory = [UInt8](repeating: 0, count: range.count)
            var span = memory.mutableSpan
            #expect(try blob.read(into: &span, at: wanted.lowerBound) == range.count)
            #expect(memory == Array(bytes[range]))
        }
        var one = [UInt8](repeating: 0, count: 1)
        var span = one.mutableSpan
        #expect(try blob.read(into: &span, at: 2_000_000) == 0)
        #expect(throws: StoreError(.rangeInvalid, "")) {
            var one = [UInt8](repeating: 0, count: 1)
            var span = one.mutableSpan
            _ = try blob.read(into: &span, at: 2_000_001)
        }
        try await store.close()
    }

    @Test func `the same bytes are stored once across buckets`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let first = try await store.defaultAccount.createBucket("first")
        let second = try await store.defaultAccount.createBucket("second")
        let bytes = TestData.compressible(4_000_000, seed: 10)
        try await first.put(bytes)
        let before = try await store.statistics()
        let blob = try await second.put(bytes)
        let after = try await store.statistics()
        #expect(
            after.storedByteCount - after.indexByteCount - after.catalogueByteCount
                == before.storedByteCount - before.indexByteCount - before.catalogueByteCount)
        #expect(after.logicalByteCount == 8_000_000)
        try await first.deleteBlob(blob.digest)
        #expect(try await second.contents(blob.digest) == bytes)
        try await check(store)
        try await store.close()
    }

    @Test func `sessions that bring the same bytes at once store them once`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("race")
        let bytes = TestData.random(3_000_000, seed: 11)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { try await bucket.put(bytes) } }
            try await group.waitForAll()
        }
        let statistics = try await store.statistics()
        #expect(statistics.blobCount == 1)
        #expect(statistics.storedByteCount - statistics.indexByteCount < 3_100_000)
        try await check(store)
        try await store.close()
    }

    @Test func `a mount costs no bytes and survives the source`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let source = try await store.defaultAccount.createBucket("source")
        let target = try await store.defaultAccount.createBucket("target")
        let large = TestData.random(2_000_000, seed: 12)
        let small = Array("small".utf8)
        for bytes in [large, small] {
            let digest = try await source.put(bytes).digest
            #expect(await code { _ = try await target.stat(digest) } == .blobUnknown)
            try await target.mountBlob(digest, from: source)
            try await target.mountBlob(digest, from: source)
            try await source.deleteBlob(digest)
            #expect(try await target.contents(digest) == bytes)
            #expect(await code { try await target.mountBlob(digest, from: source) } == .blobUnknown)
        }
        try await check(store)
        try await store.close()
    }

    @Test func `buckets and accounts are created, listed and deleted when empty`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = try await store.createAccount("tenant-1")
        for name in ["b/one", "a", "c__d"].map({ $0 + "/x" }) {
            try await account.createBucket(name)
        }
        #expect(await code { try await account.createBucket("a/x") } == .bucketExists)
        #expect(try await account.buckets().map(\.name) == ["a/x", "b/one/x", "c__d/x"])
        #expect(try await account.buckets(after: "a/x", limit: 1).map(\.name) == ["b/one/x"])
        #expect(try await store.defaultAccount.buckets().isEmpty)
        #expect(await code { try await store.deleteAccount("tenant-1") } == .accountNotEmpty)
        let bucket = try await account.bucket("a/x")
        let digest = try await bucket.put([1]).digest
        #expect(await code { try await account.deleteBucket("a/x") } == .bucketNotEmpty)
        try await bucket.deleteBlob(digest)
        for description in try await account.buckets() {
            try await account.deleteBucket(description.name)
        }
        #expect(await code { _ = try await account.bucket("a/x") } == .bucketUnknown)
        #expect(await code { try await bucket.put([1]) } == .bucketUnknown)
        try await store.deleteAccount("tenant-1")
        #expect(try await store.accounts().map(\.name) == ["default"])
        try await check(store)
        try await store.close()
    }

    @Test(arguments: [
        "", "a", "../../etc", "a//b", "A/b", "a/", "/a", "a\0b", "%2e%2e%2f", "a..b", "-a", "a-",
        "a___b", "ü", String(repeating: "a", count: 257), "..", "a/../b", "a b",
    ])
    func `a bucket name that breaks the rules is refused`(name: String) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        #expect(await code { try await store.defaultAccount.createBucket(name) } == .nameInvalid)
        #expect(await code { _ = try await store.defaultAccount.bucket(name) } == .nameInvalid)
        #expect(try await store.defaultAccount.buckets().isEmpty)
        try await store.close()
    }

    @Test func `a closed store answers every call with that`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("closed")
        let blob = try await bucket.openBlob(try await bucket.put([1, 2, 3]).digest)
        try await store.close()
        try await store.close()
        #expect(await code { try await bucket.put([1]) } == .closed)
        #expect(await code { _ = try await blob.readAll(upTo: 10) } == .closed)
        #expect(await code { _ = try await store.statistics() } == .closed)
    }
}
