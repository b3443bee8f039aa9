// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnTestSupport
import CairnTesting
import Foundation
import Testing

@testable import Cairn

@Suite struct UsageTests {
    private static func buckets(
        _ count: Int, of account: Account
    ) async throws -> [Bucket] {
        var buckets: [Bucket] = []
        for number in 0..<count {
            buckets.append(try await account.createBucket("bucket/\(number)"))
        }
        return buckets
    }

    private static func usages(_ buckets: [Bucket]) async throws -> [Usage] {
        var usages: [Usage] = []
        for bucket in buckets { usages.append(try await bucket.usage()) }
        return usages
    }

    @Test func `bytes are unique, owned and shared as buckets come and go`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let buckets = try await Self.buckets(3, of: store.defaultAccount)
        let data = TestData.random(100_001, seed: 1)
        let digest = try await buckets[0].put(data).digest
        try await buckets[0].put(TestData.random(100, seed: 2))
        #expect(try await buckets[0].usage().uniqueByteCount == 100_101)
        #expect(try await buckets[0].usage().fairShareByteCount == 100_101)
        simulated.clock.advance(by: .seconds(1))
        try await buckets[1].mountBlob(digest, from: buckets[0])
        simulated.clock.advance(by: .seconds(1))
        // Uploaded anew: the same bytes.
        try await buckets[2].put(data)
        var usages = try await Self.usages(buckets)
        #expect(usages.map(\.logicalByteCount) == [100_101, 100_001, 100_001])
        #expect(usages.map(\.uniqueByteCount) == [100, 0, 0])
        #expect(usages.map(\.sharedByteCount) == [100_001, 100_001, 100_001])
        #expect(usages.map(\.ownedByteCount) == [100_101, 0, 0])
        #expect(usages.map(\.fairShareByteCount).reduce(0, +) == 100_101)
        #expect(usages.allSatisfy { (33_333...33_434).contains($0.fairShareByteCount) })
        #expect(usages.map(\.storedByteCount).filter { $0 > 0 }.count == 1)
        try await buckets[0].deleteBlob(digest)
        usages = try await Self.usages(buckets)
        #expect(usages.map(\.ownedByteCount) == [100, 100_001, 0])
        #expect(usages.map(\.uniqueByteCount) == [100, 0, 0])
        #expect(usages[1].fairShareByteCount + usages[2].fairShareByteCount == 100_001)
        // The first has brought it, and the others still need it.
        #expect(usages[0].storedByteCount > 100_001)
        #expect(try await store.defaultAccount.garbage() == [:])
        try await buckets[1].deleteBlob(digest)
        #expect(try await buckets[2].usage().uniqueByteCount == 100_001)
        try await buckets[2].deleteBlob(digest)
        usages = try await Self.usages(buckets)
        #expect(usages.map(\.logicalByteCount) == [100, 0, 0])
        #expect(
            try await store.defaultAccount.garbage() == ["bucket/0": usages[0].storedByteCount])
        try await check(store)
        try await store.sweep()
        #expect(try await store.defaultAccount.usage().storedByteCount == 0)
        try await check(store)
        try await store.close()
    }

    @Test func `a blob by two digests counts twice and is stored once`() async throws {
        let store = try await SimulatedStore().open()
        let buckets = try await Self.buckets(2, of: store.defaultAccount)
        let data = TestData.random(50_000, seed: 3)
        try await buckets[0].put(data)
        let session = try await buckets[0].beginUpload(algorithm: .sha512)
        try await session.append(data.span)
        let other = try await session.commit().digest
        var usage = try await buckets[0].usage()
        #expect(usage.logicalByteCount == 100_000 && usage.uniqueByteCount == 50_000)
        #expect(usage.ownedByteCount == 50_000 && usage.fairShareByteCount == 50_000)
        try await buckets[1].mountBlob(other, from: buckets[0])
        try await check(store)
        try await buckets[0].deleteBlob(other)
        usage = try await buckets[0].usage()
        #expect(usage.logicalByteCount == 50_000 && usage.fairShareByteCount == 25_000)
        try await check(store)
        try await store.close()
    }

    @Test func `parts of a blob that very many buckets have stay close to each other`()
        async throws
    {
        let store = try await SimulatedStore().open()
        let count = 150
        let buckets = try await Self.buckets(count, of: store.defaultAccount)
        let byteCount: UInt64 = 1_000_000
        let digest = try await buckets[0].put(TestData.random(Int(byteCount), seed: 4)).digest
        for bucket in buckets.dropFirst() { try await bucket.mountBlob(digest, from: buckets[0]) }
        for leavingCount in [0, 100] {
            for bucket in buckets.prefix(leavingCount) { try await bucket.deleteBlob(digest) }
            let shares = try await Self.usages(Array(buckets.dropFirst(leavingCount)))
                .map(\.fairShareByteCount)
            #expect(shares.reduce(0, +) == byteCount)
            let even = Double(byteCount) / Double(shares.count)
            let (least, most) = (shares.min() ?? 0, shares.max() ?? 0)
            print("\(shares.count) sharers: \(Double(least) / even) to \(Double(most) / even)")
            #expect(Double(most) < 1.5 * even && Double(least) > 0.5 * even)
        }
        try await check(store)
        try await store.close()
    }

    @Test func `a deleted bucket counts nothing at once, and its part goes to others`()
        async throws
    {
        let store = try await SimulatedStore().open()
        let buckets = try await Self.buckets(2, of: store.defaultAccount)
        let shared = try await buckets[0].put(TestData.random(100_000, seed: 5)).digest
        try await buckets[0].put(TestData.random(70_000, seed: 6))
        try await buckets[1].mountBlob(shared, from: buckets[0])
        let upload = try await buckets[0].beginUpload()
        try await upload.append(TestData.random(2_000_000, seed: 7).span)
        try await upload.suspend()
        try await store.defaultAccount.deleteBucket("bucket/0", contents: .delete)
        var usage = try await store.defaultAccount.usage()
        #expect(usage.logicalByteCount == 100_000 && usage.blobCount == 1)
        #expect(usage.inFlightByteCount == 0 && usage.uploadCount == 0)
        #expect(usage.fairShareByteCount == 50_000)
        try await check(store)
        try await store.sweep()
        usage = try await store.defaultAccount.usage()
        #expect(usage == (try await buckets[1].usage()).storing(as: usage))
        #expect(usage.fairShareByteCount == 100_000 && usage.ownedByteCount == 100_000)
        #expect(usage.uniqueByteCount == 100_000)
        #expect(usage.storedByteCount > 100_000)
        try await check(store)
        // With the last chunk that it has brought nothing is left of it.
        try await buckets[1].deleteBlob(shared)
        #expect(try await store.defaultAccount.garbage() == ["": usage.storedByteCount])
        try await store.sweep()
        let owners = try await store.engine.read("looking at owners") {
            (index) throws(IndexError) in
            try index.scan(Tables.owners, from: [], before: nil, limit: 10).count
        }
        #expect(owners == 2)
        try await check(store)
        try await store.close()
    }

    /// Anything that changes what buckets have, in any order, against the recount of the auditor.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `after any history the figures are those of a recount, and add up`(
        _ seed: UInt64
    ) async throws {
        var simulated = SimulatedStore()
        var store = try await simulated.open()
        let pool = ContentPool(seed: seed)
        var generator = SeededGenerator(seed: seed)
        var names: [String] = []
        var created = 0
        for step in 0..<120 {
            let account = store.defaultAccount
            if names.count < 3 || Int.random(in: 0..<25, using: &generator) == 0 {
                created += 1
                names.append("bucket/\(created)")
                try await account.createBucket("bucket/\(created)")
            }
            let name = names[Int.random(in: 0..<names.count, using: &generator)]
            let bucket = try await account.bucket(name)
            let number = Int.random(in: 0..<pool.blobs.count, using: &generator)
            let (blob, digest) = (pool.blobs[number], pool.digests[number])
            switch Int.random(in: 0..<12, using: &generator) {
            case 0...2: try await bucket.put(blob)
            case 3:
                try await bucket.putObject(
                    "key/\(Int.random(in: 0..<5, using: &generator))", blob.span)
            case 4:
                let source = try await account.bucket(
                    names[Int.random(in: 0..<names.count, using: &generator)])
                _ = await code { try await bucket.mountBlob(digest, from: source) }
            case 5, 6: _ = await code { try await bucket.deleteBlob(digest) }
            case 7:
                _ = await code {
                    try await bucket.deleteObject(
                        "key/\(Int.random(in: 0..<5, using: &generator))")
                }
            case 8:
                let session = try await bucket.beginUpload()
                try await session.append(blob.span)
                if step.isMultiple(of: 2) {
                    try await session.suspend()
                } else {
                    try await session.checkpoint()
                    try await session.cancel()
                }
            case 9:
                let upload = try await bucket.beginMultipartUpload("parts")
                try await upload.put(1, blob)
                try await upload.put(2, pool.blobs[0])
                if step.isMultiple(of: 2) { try await upload.complete() }
            case 10:
                if names.count > 3 {
                    try await account.deleteBucket(name, contents: .delete)
                    names.removeAll { $0 == name }
                }
            default:
                if step.isMultiple(of: 3) { try await store.sweep() }
            }
            if step % 40 == 39 {
                simulated = simulated.afterPowerCut(seed: seed + UInt64(step))
                // What was not durable is gone with the old one.
                try await store.close()
                store = try await simulated.open(seed: seed + UInt64(step))
                try await check(store)
            }
        }
        let buckets = try await store.defaultAccount.bucketUsages().map(\.usage)
        let account = try await store.defaultAccount.usage()
        let figures: [KeyPath<Usage, UInt64>] = [
            \.blobCount, \.objectCount, \.olderVersionCount, \.uploadCount, \.logicalByteCount,
            \.uniqueByteCount, \.fairShareByteCount, \.ownedByteCount, \.inFlightByteCount,
        ]
        for figure in figures {
            #expect(buckets.reduce(0) { $0 + $1[keyPath: figure] } == account[keyPath: figure])
        }
        try await check(store)
        try await store.close()
    }

    @Test func `what accounts have, and what is over it, is what the files hold`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("store")
        let store = try await Store.open(at: path)
        let tenant = try await store.createAccount("tenant")
        let text = TestData.compressible(3_000_000, seed: 8)
        let first = try await store.defaultAccount.createBucket("one")
        let digest = try await first.put(text).digest
        try await store.defaultAccount.createBucket("two").mountBlob(digest, from: first)
        let other = try await tenant.createBucket("three")
        try await other.put(TestData.random(5_000_000, seed: 9))
        let gone = try await other.put(TestData.random(2_000_000, seed: 10)).digest
        try await other.deleteBlob(gone)
        let usage = try await store.usage()
        let accounts = [try await store.defaultAccount.usage(), try await tenant.usage()]
        #expect(
            accounts.reduce(0) { $0 + $1.storedByteCount } == usage.total.storedByteCount)
        #expect(
            accounts.reduce(0) { $0 + $1.logicalByteCount } == usage.total.logicalByteCount)
        let garbage = try await tenant.garbage()
        #expect((2_000_000...2_010_000).contains(garbage["three"] ?? 0))
        #expect(try await store.defaultAccount.garbage() == [:])
        #expect(accounts[0].compressionFactor > 1.2)
        #expect(accounts[0].deduplicationFactor > 1.9)
        #expect((0.99...1.01).contains(accounts[1].compressionFactor))
        let files = try #require(FileManager.default.enumerator(atPath: path))
        var byteCount: UInt64 = 0
        while let name = files.nextObject() as? String {
            let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
            guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
            byteCount += (attributes[.size] as? UInt64) ?? 0
        }
        #expect(usage.fileByteCount == byteCount)
        #expect(
            usage.total.storedByteCount + usage.segmentOverheadByteCount + usage.indexByteCount
                + usage.catalogueByteCount + usage.auditByteCount + usage.otherByteCount
                == byteCount)
        #expect(usage.otherByteCount > 0 && usage.auditByteCount > 0)
        try await check(store)
        try await store.close()
    }
}

extension Usage {
    fileprivate func storing(as other: Usage) -> Usage {
        var usage = self
        usage.storedByteCount = other.storedByteCount
        usage.uncompressedByteCount = other.uncompressedByteCount
        return usage
    }
}
