// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct ObjectBatchTests {
    private static let large = TestData.random(300_000, seed: 600)

    private static func bucket() async throws -> (SimulatedStore, Store, Bucket) {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    /// The error of a batch that must fail.
    private static func failure(
        _ bucket: Bucket, _ batch: ObjectBatch
    ) async -> (StoreError.Code, Int?)? {
        do throws(BatchError) {
            try await bucket.commit(batch)
            return nil
        } catch {
            return (error.code, error.operation)
        }
    }

    @Test func `operations act one after the other, and all at once for everybody else`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        try await bucket.putObject("old", [1].span, references: [bucket.put([9]).digest])
        let tagged = try await bucket.putObject("tagged", [2].span)
        let session = try await bucket.beginUpload()
        try await session.append(Self.large.span)
        var batch = ObjectBatch()
        batch.require("new", .ifNoneMatch)
        batch.put("layer", session: session)
        let layer = Digest.sha256(of: Self.large.span)
        batch.put(
            "new", [3].span, attributes: ObjectAttributes(contentType: "text/x"),
            references: [layer])
        batch.require("new", .ifExists)
        batch.put("alias", blob: layer, if: .ifNoneMatch)
        batch.setTags(["a": "b"], of: "tagged", if: .ifMatch(tagged.etag))
        batch.delete("layer")
        batch.delete("old", if: .ifExists)
        batch.deleteBlob(Digest.sha256(of: [9].span))
        batch.delete("nothing")
        batch.deleteBlob(Digest.sha256(of: [77].span))
        let results = try await bucket.commit(batch)
        #expect(
            results.map { $0?.key } == [
                nil, "layer", "new", nil, "alias", "tagged", nil, nil, nil, nil, nil,
            ])
        #expect(try await bucket.objects().objects.map(\.key) == ["alias", "new", "tagged"])
        let new = try await bucket.headObject("new")
        #expect(new == results[2])
        #expect(new.contentType == "text/x")
        #expect(try await bucket.references(of: "new") == [layer])
        let (_, blob) = try await bucket.openObject("alias")
        #expect(Contents(array: try await blob.readAll(upTo: 1 << 20)) == Self.large)
        let after = try await bucket.headObject("tagged")
        #expect(after.tags == ["a": "b"] && after.etag == tagged.etag)
        #expect(try await bucket.describe().blobCount == 3)
        #expect(await code { try await session.append([1].span) } == .closed)
        try await check(store)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        let reopened = try await again.defaultAccount.bucket("objects")
        #expect(try await reopened.objects().objects.count == 3)
        try await again.close()
    }

    @Test func `the first operation that cannot take place is named, and nothing takes place`()
        async throws
    {
        let (_, store, bucket) = try await Self.bucket()
        let held = try await bucket.put([5]).digest
        let kept = try await bucket.putObject("kept", [1].span, references: [held])
        let before = try await bucket.describe()
        let absent = Digest.sha256(of: [88].span)
        let failing: [(StoreError.Code, (inout ObjectBatch) -> Void)] = [
            (.preconditionFailed, { $0.put("kept", [2].span, if: .ifNoneMatch) }),
            (.preconditionFailed, { $0.put("kept", [2].span, if: .ifMatch(ETag("x"))) }),
            (.preconditionFailed, { $0.require("first", .ifNoneMatch) }),
            (.preconditionFailed, { $0.delete("none", if: .ifExists) }),
            (.preconditionFailed, { $0.setTags([:], of: "kept", if: .ifMatch(ETag("x"))) }),
            (.objectUnknown, { $0.setTags([:], of: "none") }),
            (.blobUnknown, { $0.put("k", blob: absent) }),
            (.blobUnknown, { $0.put("k", [2].span, references: [absent]) }),
            (.blobUnknown, { $0.setReferences([absent], of: "kept") }),
            (.blobReferenced, { $0.deleteBlob(held) }),
            (.keyInvalid, { $0.put("", [2].span) }),
            (.keyInvalid, { $0.delete(String(repeating: "k", count: 1025)) }),
            (
                .limitExceeded,
                {
                    let metadata = ["a": String(repeating: "b", count: 3000)]
                    $0.put("k", [2].span, attributes: ObjectAttributes(metadata: metadata))
                }
            ),
        ]
        for (number, (expected, operation)) in failing.enumerated() {
            var batch = ObjectBatch()
            batch.put("first", Self.large.span)
            batch.put("other", [6].span)
            batch.require("kept", .ifExists)
            operation(&batch)
            batch.put("last", [7].span)
            let failure = await Self.failure(bucket, batch)
            #expect(failure?.0 == expected, "\(number)")
            #expect(failure?.1 == 3, "\(number)")
            #expect(try await bucket.objects().objects == [kept], "\(number)")
        }
        let after = try await bucket.describe()
        #expect(after == before)
        try await check(store)
        try await store.sweep()
        try await check(store)
        #expect(try await store.statistics().chunkCount == 0)
        try await store.close()
    }

    @Test func `a batch beyond its limits is refused whole`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        var many = ObjectBatch()
        for number in 0..<1001 { many.put("k\(number)", [1].span) }
        #expect(await Self.failure(bucket, many)?.0 == .limitExceeded)
        var heavy = ObjectBatch()
        let body = [UInt8](repeating: 1, count: 11 << 20)
        for number in 0..<3 { heavy.put("k\(number)", body.span) }
        #expect(await Self.failure(bucket, heavy)?.0 == .limitExceeded)
        var referring = ObjectBatch()
        let digest = Digest.sha256(of: [1].span)
        for number in 0..<3 {
            referring.put(
                "k\(number)", [1].span, references: Array(repeating: digest, count: 7000))
        }
        #expect(await Self.failure(bucket, referring)?.0 == .limitExceeded)
        for isUpdateFirst in [false, true] {
            var mixed = ObjectBatch()
            if isUpdateFirst { mixed.setTags([:], of: "k") }
            mixed.put("k", [1].span)
            if !isUpdateFirst { mixed.setTags([:], of: "k") }
            #expect(await Self.failure(bucket, mixed)?.0 == .invalidArgument)
        }
        #expect(try await bucket.objects().objects.isEmpty)
        var most = ObjectBatch()
        for number in 0..<1000 { most.put("k\(number)", [1].span) }
        try await bucket.commit(most)
        #expect(try await bucket.describe().objectCount == 1000)
        #expect(try await bucket.describe().blobCount == 1)
        try await bucket.commit(ObjectBatch())
        try await check(store)
        try await store.close()
    }

    @Test func `updates beside each other are all made`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        let blobs = [try await bucket.put([1]).digest, try await bucket.put([2]).digest]
        let object = try await bucket.putObject("k", [3].span)
        try await withThrowingTaskGroup { group in
            for number in 0..<20 {
                group.addTask {
                    var batch = ObjectBatch()
                    if number.isMultiple(of: 2) {
                        batch.setTags(["n": "\(number)"], of: "k")
                    } else {
                        batch.setReferences([blobs[number / 2 % 2]], of: "k")
                    }
                    batch.put("done/\(number)", [4].span)
                    try await bucket.commit(batch)
                }
            }
            try await group.waitForAll()
        }
        #expect(try await bucket.objects(prefix: "done/").objects.count == 20)
        let after = try await bucket.headObject("k")
        #expect(after.tags.count == 1)
        #expect(after.referenceCount == 1)
        #expect(after.etag != object.etag)
        try await check(store)
        try await store.close()
    }

    // Half of a batch would show as one key without the other.
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func `a power cut leaves all of a batch or nothing of it`(seed: UInt64) async throws {
        let (simulated, store, bucket) = try await Self.bucket()
        let cuts = await withTaskGroup(of: SimulatedStore?.self) { group -> [SimulatedStore] in
            group.addTask {
                for round in 0..<30 {
                    var batch = ObjectBatch()
                    let text = Array("\(round)".utf8)
                    for name in ["a", "b", "c"] { batch.put(name, text.span) }
                    batch.put("big", Self.large.span)
                    _ = try? await bucket.commit(batch)
                    var emptying = ObjectBatch()
                    for name in ["a", "b", "c", "big"] { emptying.delete(name, if: .ifExists) }
                    _ = try? await bucket.commit(emptying)
                }
                return nil
            }
            for cut in 0..<6 {
                group.addTask {
                    for _ in 0..<(cut * 20) { await Task.yield() }
                    return simulated.afterPowerCut(seed: seed * 100 + UInt64(cut))
                }
            }
            return await group.reduce(into: []) { if let cut = $1 { $0.append(cut) } }
        }
        #expect(cuts.count == 6)
        try await store.close()
        for cut in cuts {
            let found = try await cut.open(seed: seed)
            let objects = try await found.defaultAccount.bucket("objects").objects().objects
            #expect([[], ["a", "b", "big", "c"]].contains(objects.map(\.key)))
            #expect(Set(objects.filter { $0.key != "big" }.map(\.digest)).count <= 1)
            try await check(found)
            try await found.close()
        }
    }
}
