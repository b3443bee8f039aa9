// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct ChecksumTests {
    private static let all = Set(ChecksumAlgorithm.allCases)

    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    /// Of "123456789": the check values of the catalogue of parametrised CRC algorithms
    /// (reveng: CRC-32/ISCSI and CRC-64/NVME); the others as coreutils compute them.
    private static let published: [String] = [
        "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        "sha512:d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
            + "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
        "crc32c:e3069283", "crc64nvme:ae8b14860a799888", "md5:25f9e794323b453885f5181f1b624d0b",
    ]

    @Test func `the checksums of published bytes are those that were published`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let bytes = Array("123456789".utf8)
        let object = try await bucket.putObject(
            "key", bytes.span, checksums: ChecksumRequest(Self.all))
        #expect(object.checksums.map(\.description) == Self.published)
        #expect(try await bucket.headObject("key").checksums == object.checksums)
        #expect(try await bucket.copyObject("key", to: "copy").checksums == object.checksums)
        try await bucket.setTags(["a": "b"], of: "key")
        try await bucket.setLegalHold(true, of: "key")
        #expect(try await bucket.headObject("key").checksums == object.checksums)
        #expect(try await bucket.putObject("none", bytes.span).checksums.isEmpty)
        try await check(store)
        try await store.close()
    }

    @Test(arguments: [0, 1, 16 << 10, (16 << 10) + 1, 3_500_000])
    func `checksums are the same for one stream, for resumed sessions and for parts in any order`(
        _ count: Int
    ) async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let bytes = TestData.random(count, seed: UInt64(count))
        let whole = try await bucket.putObject(
            "whole", bytes.span, checksums: ChecksumRequest(Self.all))
        #expect(whole.checksums.count == Self.all.count)
        let session = try await bucket.beginUpload(checksums: Self.all)
        try await session.append(bytes.span.extracting(..<(count / 3)))
        try await session.suspend()
        try await store.close()
        let again = try await simulated.open(seed: 2)
        let reopened = try await again.defaultAccount.bucket("objects")
        let resumed = try await reopened.resumeUpload(session.id)
        try await resumed.append(bytes.span.extracting((count / 3)...))
        let object = try await resumed.commit(toObject: "resumed", checksums: whole.checksums)
        #expect(object.checksums == whole.checksums)
        let upload = try await reopened.beginMultipartUpload("parts", checksums: Self.all)
        for number in [2, 1, 4, 3] {
            let range = count * (number - 1) / 4..<count * number / 4
            try await upload.put(number, Array(bytes[range]))
        }
        let parts = try await upload.complete(checksums: whole.checksums)
        #expect(parts.checksums == whole.checksums && parts.digest == whole.digest)
        try await check(again)
        try await again.close()
    }

    @Test func `bytes with other checksums than expected are not written`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let right = try await bucket.putObject(
            "right", [1, 2, 3].span, checksums: ChecksumRequest(Self.all)
        ).checksums
        for checksum in right {
            var bytes = checksum.bytes
            bytes[0] ^= 1
            let wrong = try #require(Checksum(checksum.algorithm, bytes))
            #expect(
                await code {
                    try await bucket.putObject(
                        "key", [1, 2, 3].span, checksums: .expecting([wrong]))
                } == .digestMismatch)
            try await bucket.putObject("ok", [1, 2, 3].span, checksums: .expecting([checksum]))
            let upload = try await bucket.beginMultipartUpload(
                "key", checksums: [checksum.algorithm])
            try await upload.put(1, [1, 2, 3])
            #expect(await code { try await upload.complete(checksums: [wrong]) } == .digestMismatch)
            try await upload.abort()
        }
        let session = try await bucket.beginUpload(checksums: [.md5])
        #expect(
            await code { try await session.commit(toObject: "key", checksums: right) }
                == .invalidArgument)
        try await session.cancel()
        // Found by a reviewer: the session was of no use afterwards.
        let bytes = TestData.random(1_300_000, seed: 1)
        let large = try await bucket.beginUpload(checksums: [.md5])
        try await large.append(bytes.span.extracting(..<1_200_000))
        // Of other bytes; not asked for.
        for (wrong, expected) in [
            (right[4], StoreError.Code.digestMismatch), (right[1], .invalidArgument),
        ] {
            #expect(
                await code { try await large.commit(toObject: "key", checksums: [wrong]) }
                    == expected)
        }
        try await large.append(bytes.span.extracting(1_200_000...))
        let object = try await large.commit(toObject: "large")
        #expect(object.digest == Contents(array: bytes).digest && object.checksums.count == 1)
        // A session in a batch keeps what it was asked for.
        let batched = try await bucket.beginUpload(checksums: [.crc32c])
        try await batched.append(bytes.span)
        var batch = ObjectBatch()
        batch.put("batched", session: batched)
        try await bucket.commit(batch)
        #expect(try await bucket.headObject("batched").checksums.map(\.algorithm) == [.crc32c])
        #expect(await code { _ = try await bucket.headObject("key") } == .objectUnknown)
        #expect(Checksum(.crc32c, [1]) == nil && Checksum("crc32c:00") == nil)
        #expect(Checksum("what:00") == nil && Checksum("md5") == nil)
        #expect(Checksum(right[2].description) == right[2])
        try await check(store)
        try await store.close()
    }
}
