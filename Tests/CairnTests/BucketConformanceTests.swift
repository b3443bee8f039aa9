// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct BucketConformanceTests {
    private struct Memory: BucketUnderTest {
        func makeBucket() async throws -> InMemoryBucket { InMemoryBucket() }
    }

    private struct Cairn: BucketUnderTest {
        let store: Store
        func makeBucket() async throws -> Bucket {
            try await store.defaultAccount.createBucket("objects")
        }
    }

    @Test(arguments: BucketConformance.allCases)
    func `a bucket in memory conforms`(_ check: BucketConformance) async throws {
        try await check.run(on: Memory())
    }

    @Test(arguments: BucketConformance.allCases)
    func `a bucket of a store in memory conforms`(_ check: BucketConformance) async throws {
        let store = try await InMemoryStore(clock: ManualClock()).open()
        try await check.run(on: Cairn(store: store))
        try await store.close()
    }

    @Test(arguments: BucketConformance.allCases)
    func `a bucket on a disk conforms`(_ check: BucketConformance) async throws {
        try await withTemporaryDirectory { path in
            let store = try await Store.open(at: path + "/store")
            try await check.run(on: Cairn(store: store))
            try await store.close()
        }
    }

    // A suite that accepts everything would prove nothing.
    private struct Forgetful: BucketUnderTest {
        func makeBucket() async throws -> ForgetfulBucket { ForgetfulBucket() }
    }

    @Test func `a bucket that loses an object is found out`() async throws {
        for check in [BucketConformance.keepsWhatIsWritten, .listsInByteOrder, .createsOnce] {
            await #expect(throws: (any Error).self) { try await check.run(on: Forgetful()) }
        }
    }

    @Test func `a store in memory keeps what was in it`() async throws {
        let memory = InMemoryStore()
        let store = try await memory.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let upload = try await bucket.beginMultipartUpload("key")
        let bytes = TestData.random(100_000, seed: 1)
        try await upload.put(1, bytes)
        let object = try await upload.complete()
        try await store.close()
        let again = try await memory.open()
        let reopened = try await again.defaultAccount.bucket("objects")
        #expect(try await reopened.headObject("key") == object)
        #expect(try await reopened.contents(object.digest) == bytes)
        try await check(again)
        try await again.close()
    }
}

/// Passes everything on to a bucket in memory, and writes no object whatever it is told.
private final class ForgetfulBucket: ObjectBucket {
    private let bucket = InMemoryBucket()
    var name: String { bucket.name }

    func putObject(
        _ key: String, _ bytes: Span<UInt8>, attributes: ObjectAttributes, references: [Digest],
        checksums: ChecksumRequest, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await InMemoryBucket().putObject(
            key, bytes, attributes: attributes, references: references, checksums: checksums,
            if: condition)
    }

    func putObject(
        _ key: String, blob digest: Digest, attributes: ObjectAttributes, references: [Digest],
        if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await bucket.putObject(
            key, blob: digest, attributes: attributes, references: references, if: condition)
    }

    func headObject(
        _ key: String, if condition: ReadCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await bucket.headObject(key, if: condition)
    }

    func openObject(
        _ key: String, if condition: ReadCondition
    ) async throws(StoreError) -> (ObjectDescription, InMemoryBlob) {
        try await bucket.openObject(key, if: condition)
    }

    func references(of key: String) async throws(StoreError) -> [Digest] {
        try await bucket.references(of: key)
    }

    func objects(
        prefix: String, delimiter: String, after: String?, from cursor: ObjectCursor?, limit: Int
    ) async throws(StoreError) -> ObjectPage {
        try await bucket.objects(
            prefix: prefix, delimiter: delimiter, after: after, from: cursor, limit: limit)
    }

    func setTags(
        _ tags: [String: String], of key: String, ifMatch etag: ETag?
    ) async throws(StoreError) -> ObjectDescription {
        try await bucket.setTags(tags, of: key, ifMatch: etag)
    }

    func deleteObject(_ key: String, ifMatch etag: ETag?) async throws(StoreError) {
        try await bucket.deleteObject(key, ifMatch: etag)
    }

    func copyObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await bucket.copyObject(key, to: target, if: condition)
    }

    func renameObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await bucket.renameObject(key, to: target, if: condition)
    }

    func commit(_ batch: ObjectBatch) async throws(BatchError) -> [ObjectDescription?] {
        try await bucket.commit(batch)
    }

    func putBlob(
        _ bytes: Span<UInt8>, expecting expected: Digest?, lifetime: BlobLifetime
    ) async throws(StoreError) -> BlobDescription {
        try await bucket.putBlob(bytes, expecting: expected, lifetime: lifetime)
    }

    func stat(
        _ digest: Digest, leasingFor duration: Duration?
    ) async throws(StoreError) -> BlobDescription {
        try await bucket.stat(digest, leasingFor: duration)
    }

    func openBlob(_ digest: Digest) async throws(StoreError) -> InMemoryBlob {
        try await bucket.openBlob(digest)
    }

    func deleteBlob(_ digest: Digest) async throws(StoreError) {
        try await bucket.deleteBlob(digest)
    }
}
