// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import Testing

@Suite struct ObjectAttributeTests {
    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    @Test func `all that is said of an object comes back, also after a restart`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        var attributes = ObjectAttributes(
            contentType: String(repeating: "t", count: 255),
            metadata: ["x": String(repeating: "m", count: 2047)])
        for number in 0..<10 {
            let name = String(repeating: "ö", count: 127) + "\(number)"
            attributes.tags[name] = String(repeating: "😀", count: 256)
        }
        let header = String(repeating: "h", count: 1024)
        attributes.cacheControl = header
        attributes.contentDisposition = header
        attributes.contentEncoding = ""
        attributes.contentLanguage = "de, en"
        attributes.expires = "Thu, 01 Jan 2099 00:00:00 GMT"
        let object = try await bucket.putObject("key", [1].span, attributes: attributes)
        #expect(object.attributes == attributes)
        try await store.close()
        let reopened = try await simulated.open()
        let again = try await reopened.defaultAccount.bucket("objects")
        #expect(try await again.headObject("key") == object)
        #expect(try await again.objects().objects == [object])
        try await reopened.close()
    }

    private static let tooMuch: [(String, ObjectAttributes, StoreError.Code)] = {
        func attributes(_ change: (inout ObjectAttributes) -> Void) -> ObjectAttributes {
            var attributes = ObjectAttributes()
            change(&attributes)
            return attributes
        }
        func text(_ count: Int) -> String { String(repeating: "x", count: count) }
        return [
            ("type", attributes { $0.contentType = text(256) }, .limitExceeded),
            ("type", attributes { $0.contentType = "a\r\nb: c" }, .invalidArgument),
            ("header", attributes { $0.cacheControl = text(1025) }, .limitExceeded),
            ("header", attributes { $0.contentDisposition = "a\nb" }, .invalidArgument),
            ("header", attributes { $0.expires = "\u{7F}" }, .invalidArgument),
            ("metadata", attributes { $0.metadata = ["a": text(2048)] }, .limitExceeded),
            ("metadata", attributes { $0.metadata = ["": "a"] }, .invalidArgument),
            ("metadata", attributes { $0.metadata = ["a\r": "b"] }, .invalidArgument),
            ("metadata", attributes { $0.metadata = ["a": "\0"] }, .invalidArgument),
            (
                "tags",
                attributes { for n in 0..<11 { $0.tags["\(n)"] = "" } }, .limitExceeded
            ),
            ("tag", attributes { $0.tags = [text(129): ""] }, .limitExceeded),
            ("tag", attributes { $0.tags = ["": "a"] }, .limitExceeded),
            ("tag", attributes { $0.tags = ["a": text(257)] }, .limitExceeded),
        ]
    }()

    @Test(arguments: tooMuch.indices)
    func `attributes beyond their limits are refused, and nothing is written`(
        index: Int
    ) async throws {
        let (what, attributes, expected) = Self.tooMuch[index]
        let (_, store, bucket) = try await Self.bucket()
        let blob = try await bucket.put([2])
        let codes = [
            await code { try await bucket.putObject("key", [1].span, attributes: attributes) },
            await code {
                try await bucket.putObject("key", blob: blob.digest, attributes: attributes)
            },
            await code {
                let session = try await bucket.beginUpload()
                try await session.append([1].span)
                try await session.commit(toObject: "key", attributes: attributes)
            },
        ]
        #expect(codes == [expected, expected, expected], "\(what)")
        #expect(try await bucket.objects().objects.isEmpty)
        #expect(try await bucket.describe().blobCount == 1)
        try await store.close()
    }

    @Test func `tags change, and nothing else does`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let blob = try await bucket.put(TestData.random(30_000, seed: 1)).digest
        let object = try await bucket.putObject(
            "key", [1].span, attributes: ObjectAttributes(tags: ["a": "1"]), references: [blob])
        simulated.clock.advance(by: .seconds(60))
        let tagged = try await bucket.setTags(["b": "2"], of: "key")
        #expect(tagged.tags == ["b": "2"])
        #expect(tagged.etag == object.etag)
        #expect(tagged.modifiedAt == object.modifiedAt)
        #expect(try await bucket.headObject("key") == tagged)
        #expect(try await bucket.references(of: "key") == [blob])
        #expect(
            await code { try await bucket.setTags([:], of: "key", ifMatch: ETag("x")) }
                == .preconditionFailed)
        #expect(await code { try await bucket.setTags([:], of: "no") } == .objectUnknown)
        #expect(
            await code { try await bucket.setTags(["": ""], of: "key") } == .limitExceeded)
        #expect(try await bucket.headObject("key") == tagged)
        #expect(try await bucket.setTags([:], of: "key", ifMatch: object.etag).tags == [:])
        try await check(store)
        try await store.close()
    }

    @Test func `a write with other references has another tag, a write of the same has not`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        let blob = try await bucket.put([7]).digest
        let plain = try await bucket.putObject("key", [1].span)
        let same = try await bucket.putObject("other", [1].span)
        #expect(same.etag == plain.etag)
        let referring = try await bucket.putObject("key", [1].span, references: [blob])
        #expect(referring.etag != plain.etag)
        let described = try await bucket.putObject(
            "key", [1].span, attributes: ObjectAttributes(metadata: ["a": ""]))
        #expect(described.etag != plain.etag)
        #expect(try await bucket.references(of: "key") == [])
        try await bucket.deleteBlob(blob)
        try await check(store)
        try await store.close()
    }

    // RFC 9110 13.2.2, and 8.8.2: times count seconds.
    @Test func `reads are answered on the conditions given`() async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        simulated.clock.advance(by: .milliseconds(300))
        let object = try await bucket.putObject("key", [1].span)
        let second = object.modifiedAt - .milliseconds(250)
        let (earlier, later) = (second - .seconds(1), object.modifiedAt + .seconds(1))
        let other = ETag("other")
        let cases: [(ReadCondition, StoreError.Code?)] = [
            (.none, nil),
            (ReadCondition(ifMatch: [other, object.etag]), nil),
            (ReadCondition(ifMatch: [other]), .preconditionFailed),
            (ReadCondition(ifMatch: []), .preconditionFailed),
            (ReadCondition(ifNoneMatch: [other]), nil),
            (ReadCondition(ifNoneMatch: [other, object.etag]), .notModified),
            (ReadCondition(ifModifiedSince: earlier), nil),
            (ReadCondition(ifModifiedSince: second), .notModified),
            (ReadCondition(ifModifiedSince: later), .notModified),
            (ReadCondition(ifUnmodifiedSince: earlier), .preconditionFailed),
            (ReadCondition(ifUnmodifiedSince: second), nil),
            (ReadCondition(ifMatch: [object.etag], ifUnmodifiedSince: earlier), nil),
            (ReadCondition(ifNoneMatch: [other], ifModifiedSince: later), nil),
            (ReadCondition(ifMatch: [other], ifNoneMatch: [object.etag]), .preconditionFailed),
        ]
        for (condition, expected) in cases {
            let codes = [
                await code { _ = try await bucket.headObject("key", if: condition) },
                await code { _ = try await bucket.openObject("key", if: condition) },
            ]
            #expect(codes == [expected, expected], "\(condition)")
        }
        try await store.close()
    }
}
