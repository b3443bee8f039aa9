// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Foundation
import Testing

@testable import Cairn

/// Real file systems without room. Needs the right to mount: `Tools/test` as root.
@Suite(.serialized, .enabled(if: SmallFileSystem.isAvailable, "only root can mount file systems"))
struct FullDiskTests {
    private static let configuration: StoreConfiguration = {
        var configuration = StoreConfiguration()
        configuration.segmentByteCount = 8 << 20
        configuration.reservedByteCount = 24 << 20
        return configuration
    }()

    private static func open(_ path: String) async throws -> Store {
        try await Store.open(at: path, configuration: configuration)
    }

    /// Stores until there is no room; answers the seeds of what was stored.
    private static func fill(_ bucket: Bucket, from first: UInt64) async throws -> [UInt64] {
        var seeds: [UInt64] = []
        for seed in first..<first + 100 {
            let found = await code { try await bucket.put(TestData.random(3_000_000, seed: seed)) }
            guard found == nil else {
                #expect(found == .outOfSpace)
                return seeds
            }
            seeds.append(seed)
        }
        Issue.record("the disk is not full")
        return seeds
    }

    private static func expect(_ seeds: some Sequence<UInt64>, in bucket: Bucket) async throws {
        for seed in seeds {
            let bytes = TestData.random(3_000_000, seed: seed)
            let digest = Digest.sha256(of: bytes.span)
            #expect(try await bucket.contents(digest) == bytes)
        }
    }

    @Test(arguments: SmallFileSystem.Kind.allCases)
    func `a full disk refuses uploads, keeps all else going, and takes them again with room`(
        _ kind: SmallFileSystem.Kind
    ) async throws {
        try await SmallFileSystem.with(kind, mebibytes: 96) { disk in
            let path = disk.path + "/store"
            let store = try await Self.open(path)
            let bucket = try await store.defaultAccount.createBucket("one")
            let stored = try await Self.fill(bucket, from: 1)
            #expect(stored.count > 10)
            try await Self.expect(stored, in: bucket)
            // What frees room works in what is reserved; so do small things.
            let doomed = stored.prefix(stored.count / 2)
            for seed in doomed {
                try await bucket.deleteBlob(
                    Digest.sha256(of: TestData.random(3_000_000, seed: seed).span))
            }
            try await bucket.put([1, 2, 3])
            #expect(try await store.sweep().byteCount > 0)
            #expect(try await store.compact().freedByteCount > 0)
            // The same store, not opened again.
            let more = try await Self.fill(bucket, from: 1000)
            #expect(!more.isEmpty)
            let kept = stored.dropFirst(doomed.count) + more
            try await Self.expect(kept, in: bucket)
            try await check(store)
            try await store.close()
            let again = try await Self.open(path)
            try await Self.expect(kept, in: try await again.defaultAccount.bucket("one"))
            try await check(again)
            try await again.close()
        }
    }

    @Test(arguments: SmallFileSystem.Kind.allCases)
    func `a full disk refuses parts and objects, and an upload is completed when there is room`(
        _ kind: SmallFileSystem.Kind
    ) async throws {
        try await SmallFileSystem.with(kind, mebibytes: 96) { disk in
            let path = disk.path + "/store"
            let store = try await Self.open(path)
            let bucket = try await store.defaultAccount.createBucket("one")
            let ballast = try await bucket.put(TestData.random(20_000_000, seed: 999)).digest
            let upload = try await bucket.beginMultipartUpload("key")
            var expected: [UInt8] = []
            for number in 1...100 {
                let bytes = TestData.random(3_000_000, seed: UInt64(number))
                guard await code(of: { try await upload.put(number, bytes) }) == nil else { break }
                expected += bytes
            }
            #expect(expected.count > 9_000_000 && expected.count < 90_000_000)
            let large = TestData.random(3_000_000, seed: 500)
            #expect(await code { try await bucket.putObject("big", large.span) } == .outOfSpace)
            #expect(await code { _ = try await bucket.headObject("big") } == .objectUnknown)
            try await bucket.deleteBlob(ballast)
            try await store.sweep()
            try await store.compact()
            try await bucket.putObject("big", large.span)
            let object = try await upload.complete()
            #expect(object.digest == Contents(array: expected).digest)
            try await check(store)
            try await store.close()
            let again = try await Self.open(path)
            let reopened = try await again.defaultAccount.bucket("one")
            #expect(try await reopened.contents(object.digest) == expected)
            try await check(again)
            try await again.close()
        }
    }

    @Test(arguments: SmallFileSystem.Kind.allCases)
    func `a disk that others fill to the last byte loses nothing, and needs no restart`(
        _ kind: SmallFileSystem.Kind
    ) async throws {
        // RocksDB goes on only when there is room for a whole table's memory.
        try await SmallFileSystem.with(kind, mebibytes: 512) { disk in
            let path = disk.path + "/store"
            let store = try await Self.open(path)
            let bucket = try await store.defaultAccount.createBucket("one")
            try await bucket.put(TestData.random(3_000_000, seed: 1))
            try await disk.fill()
            let failed = await code { try await bucket.put(TestData.random(3_000_000, seed: 2)) }
            #expect(failed == .outOfSpace)
            let small = await Self.putSmall(0..<200, into: bucket)
            try await Self.expect([1], in: bucket)
            try disk.free()
            #expect(
                try await SmallFileSystem.retry {
                    await code { try await bucket.put([0, 0]) } == nil
                })
            try await bucket.put(TestData.random(3_000_000, seed: 2))
            try await store.sweep()
            try await store.compact()
            #expect(try await store.statistics().isCatalogueComplete)
            try await check(store)
            try await store.close()
            let again = try await Self.open(path)
            let found = try await again.defaultAccount.bucket("one")
            try await Self.expect([1, 2], in: found)
            for number in small {
                let bytes = [number]
                #expect(try await found.contents(Digest.sha256(of: bytes.span)) == bytes)
            }
            try await check(again)
            try await again.close()
        }
    }

    /// Stores one byte at a time, many at once; answers those that were acknowledged.
    private static func putSmall(_ numbers: Range<UInt8>, into bucket: Bucket) async -> [UInt8] {
        await withTaskGroup(of: UInt8?.self) { group in
            for number in numbers {
                group.addTask {
                    let found = await code { try await bucket.put([number]) }
                    #expect(found == nil || found == .outOfSpace)
                    return found == nil ? number : nil
                }
            }
            var stored: [UInt8] = []
            for await number in group { if let number { stored.append(number) } }
            return stored
        }
    }
}
