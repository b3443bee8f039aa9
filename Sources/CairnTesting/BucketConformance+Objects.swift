// Part of Cairn, a content-addressed blob store.

internal import Cairn
internal import CairnCore

extension BucketConformance {
    func checkWriting(_ bucket: some ObjectBucket) async throws {
        var attributes = ObjectAttributes(
            contentType: "text/plain", metadata: ["name": "value"], tags: ["tag": "yes"])
        attributes.cacheControl = "no-store"
        for count in [0, 1, 20_000, 200_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 31 >> 3) }  // any pattern
            let object = try await put(bucket, "key", bytes, attributes)
            try expect(object.byteCount, UInt64(count), "the length")
            try expect(object.digest, Digest.sha256(of: bytes.span), "the digest")
            try expect(object.attributes, attributes, "the attributes")
            try expect(try await bucket.headObject("key"), object, "the description")
            try expect(try await contents(bucket, "key") == bytes, "the body is another one")
            try expect(try await bucket.objects().objects, [object], "the list")
            let described = try await bucket.stat(object.digest)
            try expect(described.byteCount, object.byteCount, "the length of the blob")
        }
        try await bucket.deleteObject("key")
        try await expect(.objectUnknown, "a deleted object") {
            _ = try await bucket.headObject("key")
        }
        try await expect(.objectUnknown, "to delete it again") {
            try await bucket.deleteObject("key")
        }
        try await expect(.objectUnknown, "to open it") { _ = try await bucket.openObject("key") }
        try expect(try await keys(bucket), [], "the list")
    }

    func checkETags(_ bucket: some ObjectBucket) async throws {
        let first = try await put(bucket, "key")
        try expect(try await put(bucket, "key").etag, first.etag, "the tag of the same")
        try expect(try await put(bucket, "key", [2]).etag != first.etag, "another body")
        let typed = ObjectAttributes(contentType: "text/x")
        try expect(try await put(bucket, "key", [1], typed).etag != first.etag, "another type")
        let layer = try await bucket.putBlob([9].span).digest
        let referring = try await bucket.putObject("key", [1].span, references: [layer])
        try expect(referring.etag != first.etag, "another reference")
        let tagged = try await bucket.setTags(["a": "b"], of: "key", ifMatch: referring.etag)
        try expect(tagged.etag, referring.etag, "the tag after other tags")
        try expect(try await bucket.headObject("key").tags, ["a": "b"], "the tags")
        try await expect(.preconditionFailed, "tags under another tag") {
            _ = try await bucket.setTags([:], of: "key", ifMatch: first.etag)
        }
        try await expect(.objectUnknown, "tags of no object") {
            _ = try await bucket.setTags([:], of: "other", ifMatch: nil)
        }
    }

    func checkCreation(_ bucket: some ObjectBucket) async throws {
        let count = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<64 {
                group.addTask {
                    do {
                        let bytes = [UInt8(number)]
                        _ = try await bucket.putObject("key", bytes.span, if: .ifNoneMatch)
                        return true
                    } catch {
                        return false
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        try expect(count, 1, "creations that took place")
    }

    func checkWriteConditions(_ bucket: some ObjectBucket) async throws {
        try await expect(.preconditionFailed, "if-exists without an object") {
            _ = try await put(bucket, "key", if: .ifExists)
        }
        let first = try await put(bucket, "key", if: .ifNoneMatch)
        try await expect(.preconditionFailed, "if-none-match") {
            _ = try await put(bucket, "key", if: .ifNoneMatch)
        }
        let second = try await put(bucket, "key", [2], if: .ifMatch(first.etag))
        for condition in [WriteCondition.ifMatch(first.etag), .ifMatch(ETag("no tag"))] {
            try await expect(.preconditionFailed, "if-match of another state") {
                _ = try await put(bucket, "key", [3], if: condition)
            }
        }
        _ = try await put(bucket, "key", [2], if: .ifExists)
        try await expect(.preconditionFailed, "to delete another state") {
            try await bucket.deleteObject("key", ifMatch: first.etag)
        }
        try await bucket.deleteObject("key", ifMatch: second.etag)
        try expect(try await keys(bucket), [], "the list")
    }

    func checkReadConditions(_ bucket: some ObjectBucket) async throws {
        let object = try await put(bucket, "key")
        let other = ETag("another")
        let (before, after) = (
            object.modifiedAt - .seconds(10), object.modifiedAt + .seconds(10)
        )
        let passing = [
            ReadCondition(ifMatch: [other, object.etag]), ReadCondition(ifNoneMatch: [other]),
            ReadCondition(ifModifiedSince: before), ReadCondition(ifUnmodifiedSince: after),
            // Where tags are given, the times beside them do not count (RFC 9110 13.2.2).
            ReadCondition(ifMatch: [object.etag], ifUnmodifiedSince: before),
            ReadCondition(ifNoneMatch: [other], ifModifiedSince: after),
        ]
        for condition in passing { _ = try await bucket.headObject("key", if: condition) }
        for condition in [
            ReadCondition(ifMatch: [other]), ReadCondition(ifUnmodifiedSince: before),
        ] {
            try await expect(.preconditionFailed, "\(condition)") {
                _ = try await bucket.openObject("key", if: condition)
            }
        }
        for condition in [
            ReadCondition(ifNoneMatch: [object.etag]), ReadCondition(ifModifiedSince: after),
        ] {
            try await expect(.notModified, "\(condition)") {
                _ = try await bucket.headObject("key", if: condition)
            }
        }
    }

    func checkCopies(_ bucket: some ObjectBucket) async throws {
        let layer = try await bucket.putBlob([9].span).digest
        let attributes = ObjectAttributes(contentType: "text/x", metadata: ["a": "b"])
        let bytes: [UInt8] = [1, 2, 3]
        let object = try await bucket.putObject(
            "key", bytes.span, attributes: attributes, references: [layer])
        let copy = try await bucket.copyObject("key", to: "copy", if: .ifNoneMatch)
        try expect(copy.digest, object.digest, "the digest of a copy")
        try expect(copy.attributes, object.attributes, "the attributes of a copy")
        try expect(try await bucket.references(of: "copy"), [layer], "the references of a copy")
        try await expect(.preconditionFailed, "a copy onto an object") {
            _ = try await bucket.copyObject("key", to: "copy", if: .ifNoneMatch)
        }
        let moved = try await bucket.renameObject("key", to: "moved", if: .none)
        try expect(moved.modifiedAt, object.modifiedAt, "the time of a renamed object")
        try expect(moved.etag, object.etag, "the tag of a renamed object")
        try expect(try await keys(bucket), ["copy", "moved"], "the keys")
        try await expect(.objectUnknown, "to rename it again") {
            _ = try await bucket.renameObject("key", to: "other", if: .none)
        }
        _ = try await bucket.renameObject("moved", to: "moved", if: .none)
        _ = try await bucket.renameObject("moved", to: "copy", if: .ifExists)
        try expect(try await keys(bucket), ["copy"], "the keys")
        try expect(try await contents(bucket, "copy"), bytes, "the body")
    }

    func checkParts(_ bucket: some ObjectBucket) async throws {
        let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 * 7 >> 2) }  // any pattern
        _ = try await put(bucket, "key", bytes)
        let (_, body) = try await bucket.openObject("key")
        for range: Range<UInt64>? in [
            nil, 0..<1, 69_999..<70_000, 100..<65_000, 5..<5, 60_000..<80_000,
        ] {
            var found: [UInt8] = []
            for try await buffer in body.bytes(in: range) {
                try expect(!buffer.isEmpty, "a buffer is empty")
                found += buffer
            }
            let part = range?.clamped(to: 0..<70_000) ?? 0..<70_000
            let expected = Array(bytes[Int(part.lowerBound)..<Int(part.upperBound)])
            try expect(found == expected, "the bytes of \(part) are others")
        }
        try await expect(.limitExceeded, "more than the reader takes") {
            _ = try await body.readAll(upTo: 69_999)
        }
    }

    func checkBounds(_ bucket: some ObjectBucket) async throws {
        for key in ["", "a\0b", String(repeating: "k", count: 1025)] {
            try await expect(.keyInvalid, "a key of \(key.utf8.count) bytes") {
                _ = try await put(bucket, key)
            }
            try await expect(.keyInvalid, "to delete such a key") {
                try await bucket.deleteObject(key)
            }
        }
        _ = try await put(bucket, String(repeating: "k", count: 1024))
        let many = Dictionary(uniqueKeysWithValues: (0..<11).map { ("t\($0)", "") })
        let long = String(repeating: "m", count: 2049)
        for attributes in [
            ObjectAttributes(tags: many), ObjectAttributes(metadata: ["": long]),
            ObjectAttributes(contentType: String(repeating: "c", count: 256)),
        ] {
            try await expect(.limitExceeded, "too much of attributes") {
                _ = try await put(bucket, "key", [1], attributes)
            }
        }
        try await expect(.invalidArgument, "a control character") {
            _ = try await put(bucket, "key", [1], ObjectAttributes(metadata: ["a": "b\r\nc"]))
        }
        for limit in [0, -1, 1001] {
            try await expect(.invalidArgument, "a page of \(limit)") {
                _ = try await bucket.objects(limit: limit)
            }
        }
        try await expect(.invalidArgument, "a long prefix") {
            _ = try await bucket.objects(prefix: String(repeating: "p", count: 1025))
        }
        try expect(try await keys(bucket).count, 1, "objects")
    }
}
