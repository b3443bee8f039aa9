// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnKeys
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

@Suite struct MultipartTests {
    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    private struct Stop: Error {}

    /// Parts of all kinds: empty, tiny, at the border of what the index keeps, trees of different
    /// heights, compressible and not.
    private static let pieces: [[UInt8]] = [
        TestData.random(700_000, seed: 1), TestData.random(10, seed: 2), [],
        TestData.compressible(16 << 10, seed: 3), TestData.compressible((16 << 10) + 1, seed: 4),
        TestData.random(5000, seed: 5), TestData.compressible(400_000, seed: 6),
        TestData.random(100_000, seed: 7), TestData.random(3, seed: 8),
    ]
    private static let whole = pieces.flatMap { $0 }
    private static let digest = Digest.sha256(of: whole.span)

    private static func contents(_ bucket: Bucket, _ key: String) async throws -> Contents {
        var contents = Contents()
        let (_, blob) = try await bucket.openObject(key)
        for try await buffer in blob.bytes() { contents.array += buffer }
        return contents
    }

    @Test func `trees of several levels are joined, whatever follows upon them`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        // More chunks than a node has children.
        let large = TestData.compressible(24 << 20, seed: 9)
        let blob = try await bucket.putBlob(large.span).digest
        #expect(try await store.statistics().chunkCount > 1024)
        let upload = try await bucket.beginMultipartUpload("large")
        var whole = SHA256()
        // A lower tree, bytes, and equal trees follow upon a higher one; one is the last.
        let small: [[UInt8]?] = [nil, TestData.random(300_000, seed: 1), nil, [1, 2], nil, nil]
        for (number, bytes) in zip(1..., small) {
            if let bytes {
                _ = try await upload.put(number, bytes)
            } else {
                try await upload.putPart(number, blob: blob)
            }
            let part = bytes ?? large
            whole.update(part.span)
        }
        let object = try await upload.complete()
        #expect(object.digest == whole.digest)
        let report = try await store.verify(.full)
        #expect(report.problems.map(\.description) == [])
        try await bucket.deleteObject("large")
        try await store.sweep()
        try await check(store)
        #expect(try await bucket.stat(blob).byteCount == UInt64(large.count))
        try await bucket.deleteBlob(blob)
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await store.close()
    }

    @Test(arguments: [
        [1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3, 2, 1], [2, 4, 6, 8, 1, 3, 5, 7, 9],
    ])
    func `parts in any order become one blob with the digest of all its bytes`(
        _ order: [Int]
    ) async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let layer = try await bucket.put([1, 2, 3]).digest
        let upload = try await bucket.beginMultipartUpload(
            "big", attributes: ObjectAttributes(contentType: "text/x", metadata: ["a": "b"]),
            references: [layer])
        for number in order {
            let part = try await upload.put(number, Self.pieces[number - 1])
            #expect(
                part.number == number && part.byteCount == UInt64(Self.pieces[number - 1].count))
        }
        #expect(try await upload.parts().map(\.number) == Array(1...9))
        #expect(try await upload.parts(after: 3, limit: 2).map(\.number) == [4, 5])
        #expect(try await upload.describe().byteCount == UInt64(Self.whole.count))
        #expect(await code { _ = try await bucket.headObject("big") } == .objectUnknown)
        try await check(store)
        let object = try await upload.complete(
            byteCount: UInt64(Self.whole.count), expecting: Self.digest)
        #expect(object.digest == Self.digest && object.byteCount == UInt64(Self.whole.count))
        #expect(object.contentType == "text/x" && object.metadata == ["a": "b"])
        #expect(try await bucket.references(of: "big") == [layer])
        #expect(try await Self.contents(bucket, "big") == Self.whole)
        #expect(try await bucket.contents(Self.digest) == Self.whole)
        #expect(await code { try await upload.put(1, [1]) } == .uploadUnknown)
        #expect(try await bucket.multipartUploads().uploads.isEmpty)
        try await check(store)
        // The same again, with the list and without: the same answer.
        #expect(try await upload.complete() == object)
        simulated.clock.advance(by: .seconds(25 * 3600))
        _ = try await store.sweep()
        #expect(await code { try await upload.complete() } == .uploadUnknown)
        try await bucket.deleteObject("big")
        _ = try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `a digest of parts that come in sequence is computed without reading them`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("big", algorithm: .sha512)
        for (number, piece) in Self.pieces.enumerated() {
            try await upload.put(number + 1, piece)
        }
        let before = simulated.disk.count(of: .read)
        let object = try await upload.complete()
        #expect(simulated.disk.count(of: .read) == before)
        #expect(object.digest == Digest.sha512(of: Self.whole.span))
        // With a gap that closes, what lay behind it is read once.
        #expect(try await Self.contents(bucket, "big") == Self.whole)
        let warm = simulated.disk.count(of: .read)
        let second = try await bucket.beginMultipartUpload("second")
        for number in [1, 3, 2] {
            try await second.put(number, TestData.random(3 << 20, seed: UInt64(number)))
        }
        try await second.complete()
        let readCount = simulated.disk.count(of: .read) - warm
        let third = try await bucket.put(TestData.random(3 << 20, seed: 3)).digest
        let start = simulated.disk.count(of: .read)
        _ = try await bucket.contents(third)
        // Segments are opened besides.
        #expect(readCount < 2 * (simulated.disk.count(of: .read) - start))
        try await store.close()
    }

    @Test func `no byte is written twice, and known bytes are not written at all`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let bytes = TestData.random(3 << 20, seed: 9)
        try await bucket.put(bytes)
        let before = try await store.statistics().storedByteCount
        let upload = try await bucket.beginMultipartUpload("same")
        // At the borders of chunks, for one MiB is what opaque bytes are cut by.
        for number in 0..<3 {
            try await upload.put(3 - number, Array(bytes[(2 - number) << 20..<(3 - number) << 20]))
        }
        let object = try await upload.complete()
        #expect(object.digest == Digest.sha256(of: bytes.span))
        let after = try await store.statistics().storedByteCount
        #expect(after - before < 8192)
        try await check(store)
        try await store.close()
    }

    @Test func `a part that is sent anew replaces the one before, wherever the digest stands`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("big")
        for number in 1...5 {
            try await upload.put(number, TestData.random(50_000, seed: UInt64(number)))
        }
        let old = try await upload.parts()
        let second = TestData.random(60_000, seed: 99)
        try await upload.put(2, second)
        let new = try await upload.parts()
        #expect(new[1].etag != old[1].etag && new[0] == old[0])
        var expected: [UInt8] = []
        for number in 1...5 {
            expected += number == 2 ? second : TestData.random(50_000, seed: UInt64(number))
        }
        let stale = old.map { MultipartUpload.CompletedPart(number: $0.number, etag: $0.etag) }
        #expect(await code { try await upload.complete(parts: stale) } == .invalidArgument)
        let object = try await upload.complete(
            parts: new.map { .init(number: $0.number, etag: $0.etag) })
        #expect(object.digest == Digest.sha256(of: expected.span))
        try await check(store)
        try await store.close()
    }

    // Found by a reviewer: the part before it was the same, the bytes before that were not.
    @Test func `a part that was begun before an earlier one was sent anew does not go on from it`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("big")
        let pieces = (1...4).map { TestData.random(30_000, seed: UInt64($0)) }
        try await upload.put(1, pieces[0])
        try await upload.put(2, pieces[1])
        let third = pieces[2]
        try await upload.putPart(3) { part in
            try await part.append(third.span)
            try await upload.put(1, pieces[3])
            // The digest overtakes the second part again.
            await upload.settle()
        }
        let expected = pieces[3] + pieces[1] + pieces[2]
        let object = try await upload.complete()
        #expect(object.digest == Contents(array: expected).digest)
        #expect(try await Self.contents(bucket, "big") == expected)
        try await check(store)
        try await store.close()
    }

    @Test func `a completion and an abort at once: one of them takes place, and both say so`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        for round in 0..<40 {
            let upload = try await bucket.beginMultipartUpload("key\(round)")
            try await upload.put(1, TestData.random(20_000, seed: 1))
            async let aborted = code { try await upload.abort() }
            async let completed = code { try await upload.complete() }
            let codes = await [aborted, completed]
            #expect(codes == [nil, .uploadUnknown] || codes == [.uploadUnknown, nil])
            let isThere = await code { _ = try await bucket.headObject("key\(round)") } == nil
            #expect(isThere == (codes[1] == nil))
        }
        try await check(store)
        try await store.close()
    }

    @Test func `a completion names the parts it wants, and says what is wrong with others`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("some")
        var pieces: [Int: [UInt8]] = [:]
        for number in [1, 2, 5, 9, 10_000] {
            pieces[number] = TestData.random(30_000, seed: UInt64(number))
            try await upload.put(number, pieces[number, default: []])
        }
        let parts = try await upload.parts().map {
            MultipartUpload.CompletedPart(number: $0.number, etag: $0.etag)
        }
        let wrong: [[MultipartUpload.CompletedPart]] = [
            [], [parts[1], parts[0]], [parts[0], parts[0]], [.init(number: 3, etag: parts[0].etag)],
            [.init(number: 1, etag: parts[1].etag)], [.init(number: -1, etag: ETag(""))],
            Array(repeating: parts[0], count: 10_001),
        ]
        for list in wrong {
            #expect(await code { try await upload.complete(parts: list) } == .invalidArgument)
        }
        #expect(await code { try await upload.complete(byteCount: 1) } == .invalidArgument)
        let digest = Contents(array: []).digest
        #expect(await code { try await upload.complete(expecting: digest) } == .digestMismatch)
        let chosen = [parts[0], parts[2], parts[4]]
        let object = try await upload.complete(parts: chosen)
        let expected = [1, 5, 10_000].flatMap { pieces[$0, default: []] }
        #expect(object.digest == Digest.sha256(of: expected.span))
        #expect(try await upload.complete(parts: chosen) == object)
        #expect(await code { try await upload.complete(parts: parts) } == .uploadUnknown)
        try await check(store)
        try await bucket.deleteObject("some")
        _ = try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await store.close()
    }

    @Test func `bad numbers, digests and limits are refused, and nothing is kept`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("key")
        for number in [0, 10_001, -1, .max] {
            #expect(await code { try await upload.put(number, [1]) } == .invalidArgument)
        }
        let other = Digest.sha256(of: [2].span)
        #expect(
            await code { try await upload.put(1, [1], expecting: other) }
                == .digestMismatch)
        #expect(await code { _ = try await upload.parts(limit: 0) } == .invalidArgument)
        #expect(await code { _ = try await upload.complete() } == .invalidArgument)
        #expect(try await upload.parts().isEmpty)
        for key in ["", "a\0b", String(repeating: "k", count: 1025)] {
            #expect(await code { _ = try await bucket.beginMultipartUpload(key) } == .keyInvalid)
        }
        let unknown = try #require(MultipartUploadID("00000000-0000-4000-8000-000000000000"))
        let nobody = try bucket.multipartUpload(unknown, of: "key")
        #expect(await code { try await nobody.put(1, [1]) } == .uploadUnknown)
        #expect(await code { try await nobody.complete() } == .uploadUnknown)
        #expect(await code { try await nobody.abort() } == .uploadUnknown)
        // By another key it is another upload.
        let elsewhere = try bucket.multipartUpload(upload.id, of: "other")
        #expect(await code { try await elsewhere.put(1, [1]) } == .uploadUnknown)
        let bytes = TestData.random(3 << 20, seed: 1)
        await #expect(throws: Stop.self) {
            try await upload.putPart(1) { part in
                try await part.append(bytes.span)
                throw Stop()
            }
        }
        #expect(try await upload.parts().isEmpty)
        #expect(try await bucket.uploads().isEmpty)
        _ = try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `a part with the expected digest is kept, also beside the sequence`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("key")
        var expected: [UInt8] = []
        for number in 1...4 {
            let piece = TestData.random(40_000, seed: UInt64(number))
            let digest =
                number == 3 ? Digest.sha512(of: piece.span) : Digest.sha256(of: piece.span)
            try await upload.putPart(number, expecting: digest) { part in
                try await part.append(piece.span.extracting(..<7))
                try await part.append(piece.span.extracting(7...))
            }
            expected += piece
        }
        #expect(try await upload.complete().digest == Digest.sha256(of: expected.span))
        try await check(store)
        try await store.close()
    }

    @Test func `conditions are decided at the completion, and a failed one leaves the upload`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        let first = try await bucket.putObject("key", [1].span)
        let upload = try await bucket.beginMultipartUpload("key")
        try await upload.put(1, TestData.random(90_000, seed: 1))
        #expect(await code { try await upload.complete(if: .ifNoneMatch) } == .preconditionFailed)
        try await check(store)
        let second = try await upload.complete(if: .ifMatch(first.etag))
        #expect(try await bucket.headObject("key") == second)
        // A reference that is missing at the end.
        let missing = try await bucket.beginMultipartUpload(
            "other", references: [Digest.sha256(of: [9].span)])
        try await missing.put(1, TestData.random(90_000, seed: 2))
        #expect(await code { try await missing.complete() } == .blobUnknown)
        try await bucket.put([9])
        try await missing.complete()
        try await check(store)
        try await store.close()
    }

    @Test func `of many completions at once one object comes, and all get the same answer`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        try await bucket.setVersioning(.enabled)
        let upload = try await bucket.beginMultipartUpload("key")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...32 {
                group.addTask {
                    try await upload.put(number, TestData.random(20_000, seed: UInt64(number)))
                }
            }
            try await group.waitForAll()
        }
        let answers = try await withThrowingTaskGroup(of: ObjectDescription.self) { group in
            for _ in 0..<16 { group.addTask { try await upload.complete() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(answers).count == 1)
        let expected = (1...32).flatMap { TestData.random(20_000, seed: UInt64($0)) }
        #expect(answers.first?.digest == Digest.sha256(of: expected.span))
        #expect(try await bucket.objectVersions().versions.count == 1)
        try await check(store)
        try await store.close()
    }

    @Test func `uploads are listed by key, page by page`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        var ids: Set<MultipartUploadID> = []
        for key in ["a", "a", "b/1", "b/2", "c"] {
            let upload = try await bucket.beginMultipartUpload(key)
            try await upload.put(7, [1, 2])
            ids.insert(upload.id)
        }
        let done = try await bucket.beginMultipartUpload("b/0")
        try await done.put(1, [1])
        try await done.complete()
        var found: [MultipartUploadDescription] = []
        var cursor: MultipartCursor?
        repeat {
            let page = try await bucket.multipartUploads(
                from: cursor.flatMap { MultipartCursor($0.description) }, limit: 2)
            #expect(page.uploads.count <= 2)
            found += page.uploads
            cursor = page.next
        } while cursor != nil
        #expect(found.map(\.key) == ["a", "a", "b/1", "b/2", "c"])
        #expect(Set(found.map(\.id)) == ids)
        #expect(found.allSatisfy { $0.partCount == 1 && $0.byteCount == 2 })
        let some = try await bucket.multipartUploads(prefix: "b/", limit: 1000)
        #expect(some.uploads.map(\.key) == ["b/1", "b/2"] && some.next == nil)
        #expect(await code { _ = try await bucket.multipartUploads(limit: 0) } == .invalidArgument)
        let long = String(repeating: "p", count: 1025)
        #expect(
            await code { _ = try await bucket.multipartUploads(prefix: long) } == .invalidArgument)
        #expect(MultipartCursor("zz") == nil)
        try await store.close()
    }

    @Test func `an upload that is aborted or expires leaves nothing behind`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let aborted = try await bucket.beginMultipartUpload("aborted")
        let expired = try await bucket.beginMultipartUpload("expired")
        let kept = try await bucket.beginMultipartUpload("kept")
        for upload in [aborted, expired, kept] {
            for number in 1...3 {
                try await upload.put(number, TestData.random(40_000, seed: UInt64(number)))
            }
        }
        try await aborted.abort()
        #expect(await code { try await aborted.abort() } == .uploadUnknown)
        #expect(await code { try await aborted.put(1, [1]) } == .uploadUnknown)
        #expect(await code { _ = try await aborted.parts() } == .uploadUnknown)
        simulated.clock.advance(by: .seconds(6 * 24 * 3600))
        // A part keeps it alive.
        try await kept.put(4, [1])
        simulated.clock.advance(by: .seconds(2 * 24 * 3600))
        #expect(await code { try await expired.put(1, [1]) } == .uploadUnknown)
        #expect(try await store.reapExpiredUploads() == 1)
        #expect(try await bucket.multipartUploads().uploads.map(\.key) == ["kept"])
        try await check(store)
        #expect(
            await code { try await store.defaultAccount.deleteBucket("objects") }
                == .bucketNotEmpty)
        try await store.defaultAccount.deleteBucket("objects", contents: .delete)
        #expect(await code { try await kept.put(5, [1]) } != nil)
        _ = try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test
    func `an upload goes on after a restart, and after its bucket has moved to another domain`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("key")
        let pieces = (1...4).map { TestData.random(50_000, seed: UInt64($0)) }
        try await upload.put(1, pieces[0])
        try await upload.put(3, pieces[2])
        try await store.close()
        let again = try await simulated.open(seed: 2)
        let reopened = try await again.defaultAccount.bucket("objects")
        let keys = try #require(again.keyService)
        let key = try await keys.createKey()
        try await reopened.setEncryption(
            .customerKey(KeyReference(key.id)), deduplication: .bucket)
        let resumed = try reopened.multipartUpload(upload.id, of: "key")
        try await resumed.put(4, pieces[3])
        try await resumed.put(2, pieces[1])
        let object = try await resumed.complete()
        let bytes = pieces.flatMap { $0 }
        #expect(object.digest == Contents(array: bytes).digest)
        #expect(try await Self.contents(reopened, "key") == bytes)
        try await check(again)
        try await again.close()
    }

    @Test func `a part session that was checkpointed cannot be resumed as an upload`() async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let upload = try await bucket.beginMultipartUpload("key")
        try await upload.put(1, TestData.random(50_000, seed: 1))
        let large = TestData.random(5 << 20, seed: 2)
        try await upload.putPart(2) { part in
            try await part.append(large.span)
            while try await bucket.uploads().isEmpty { try await part.append(large.span) }
            try await Self.checkAfterPowerCut(simulated, bucket)
        }
        try await check(store)
        try await store.close()
    }

    private static func checkAfterPowerCut(
        _ simulated: SimulatedStore, _ bucket: Bucket
    ) async throws {
        let session = try #require(try await bucket.uploads().first)
        #expect(await code { _ = try await bucket.resumeUpload(session.id) } == .uploadBusy)
        let store = try await simulated.afterPowerCut(seed: 3).open(seed: 4)
        let found = try await store.defaultAccount.bucket("objects")
        #expect(await code { _ = try await found.resumeUpload(session.id) } == .uploadUnknown)
        try await check(store)
        try await found.cancelUpload(session.id)
        try await check(store)
        try await store.close()
    }
}
