// Part of Cairn, a content-addressed blob store.

internal import Cairn
internal import CairnCore

extension BucketConformance {
    func checkReferences(_ bucket: some ObjectBucket) async throws {
        let layer = try await bucket.putBlob([9].span).digest
        let object = try await bucket.putObject("key", [1].span, references: [layer, layer])
        try expect(try await bucket.references(of: "key"), [layer], "the references")
        for digest in [layer, object.digest] {
            try await expect(.blobReferenced, "to delete what an object has") {
                try await bucket.deleteBlob(digest)
            }
        }
        let missing = Digest.sha256(of: [77].span)
        try await expect(.blobUnknown, "a reference to nothing") {
            _ = try await bucket.putObject("other", [1].span, references: [missing])
        }
        try await expect(.blobUnknown, "a body that is not there") {
            _ = try await bucket.putObject(
                "other", blob: missing, attributes: ObjectAttributes(), references: [], if: .none)
        }
        let second = try await bucket.putObject(
            "second", blob: object.digest, attributes: ObjectAttributes(), references: [], if: .none
        )
        try expect(second.digest, object.digest, "the body")
        try await bucket.deleteObject("key")
        _ = try await bucket.stat(object.digest)
        try await bucket.deleteObject("second")
        try await expect(.blobUnknown, "the body of deleted objects") {
            _ = try await bucket.stat(object.digest)
        }
        try await bucket.deleteBlob(layer)
    }

    func checkBatchAtomicity(_ bucket: some ObjectBucket) async throws {
        let old = try await put(bucket, "old")
        for failing in 0..<6 {
            var batch = ObjectBatch()
            batch.put("new", [2].span)
            batch.delete("old")
            let code: StoreError.Code
            switch failing {
            case 0:
                batch.require("old", .ifExists)
                code = .preconditionFailed
            case 1:
                batch.put("new", [3].span, if: .ifNoneMatch)
                code = .preconditionFailed
            case 2:
                batch.put("third", [3].span, references: [Digest.sha256(of: [77].span)])
                code = .blobUnknown
            case 3:
                batch.setTags([:], of: "nothing")
                code = .objectUnknown
            case 4:
                batch.deleteBlob(Digest.sha256(of: [2].span))
                code = .blobReferenced
            default:
                batch.leaseBlob(Digest.sha256(of: [77].span), for: .seconds(1))
                code = .blobUnknown
            }
            do throws(BatchError) {
                _ = try await bucket.commit(batch)
                throw BatchError(StoreError(.invalidArgument, "it took place"), operation: nil)
            } catch {
                try expect(error.code, code, "the code of failure \(failing)")
                try expect(error.operation, 2, "the operation of failure \(failing)")
            }
            try expect(try await bucket.objects().objects, [old], "objects after a failure")
            try await expect(.blobUnknown, "a body of a failed batch") {
                _ = try await bucket.stat(Digest.sha256(of: [2].span))
            }
        }
        var large = ObjectBatch()
        for number in 0...ObjectBatch.operationCountMax { large.delete("k\(number)") }
        do throws(BatchError) {
            _ = try await bucket.commit(large)
            throw BatchError(StoreError(.invalidArgument, "it took place"), operation: nil)
        } catch {
            try expect(error.code, .limitExceeded, "a batch that is too large")
        }
    }

    func checkBatchOrder(_ bucket: some ObjectBucket) async throws {
        let kept = try await put(bucket, "kept")
        let layer = try await bucket.putBlob([9].span).digest
        var batch = ObjectBatch()
        batch.require("new", .ifNoneMatch)
        batch.put("new", [2].span, references: [layer])
        batch.require("new", .ifExists)
        batch.put("alias", blob: Digest.sha256(of: [2].span))
        batch.leaseBlob(Digest.sha256(of: [2].span), for: .seconds(3600))
        batch.setTags(["a": "b"], of: "kept", if: .ifMatch(kept.etag))
        batch.delete("new")
        batch.deleteBlob(layer)
        batch.delete("nothing")
        batch.deleteBlob(Digest.sha256(of: [78].span))
        let results = try await bucket.commit(batch)
        try expect(
            results.map { $0?.key },
            [nil, "new", nil, "alias", nil, "kept", nil, nil, nil, nil], "the results")
        try expect(try await keys(bucket), ["alias", "kept"], "the keys")
        try expect(try await bucket.headObject("kept").tags, ["a": "b"], "the tags")
        try await expect(.blobUnknown, "a blob that was deleted") {
            _ = try await bucket.stat(layer)
        }
        try await bucket.deleteObject("alias")
        // It was leased.
        _ = try await bucket.stat(Digest.sha256(of: [2].span))
    }

    func checkBlobs(_ bucket: some ObjectBucket) async throws {
        let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 * 13 >> 4) }  // any pattern
        let digest = Digest.sha256(of: bytes.span)
        try await expect(.blobUnknown, "a blob that is not there") {
            _ = try await bucket.openBlob(digest)
        }
        try await expect(.digestMismatch, "other bytes than expected") {
            _ = try await bucket.putBlob([1].span, expecting: digest)
        }
        let blob = try await bucket.putBlob(bytes.span, expecting: digest)
        try expect(blob.digest, digest, "the digest")
        try expect(try await bucket.putBlob(bytes.span).digest, digest, "the digest of the same")
        let long = try await bucket.putBlob(bytes.span, expecting: Digest.sha512(of: bytes.span))
        try await expect(.invalidArgument, "a lease of no time") {
            _ = try await bucket.stat(digest, leasingFor: .zero)
        }
        for digest in [digest, long.digest] {
            let found = try await bucket.openBlob(digest).readAll(upTo: 1 << 20)
            try expect(found == bytes, "the bytes are others")
            try await bucket.deleteBlob(digest)
            try await expect(.blobUnknown, "a deleted blob") { _ = try await bucket.stat(digest) }
        }
        try await expect(.blobUnknown, "to delete it again") { try await bucket.deleteBlob(digest) }
    }
}
