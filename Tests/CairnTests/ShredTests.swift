// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnKeys
import CairnTestSupport
import Foundation
import Testing

@testable import Cairn

/// What is left of a bucket whose keys were destroyed: searched for in every file of the store.
@Suite struct ShredTests {
    private static let shared = TestData.compressible(2_000_000, seed: 60)
    private static let own = TestData.compressible(1_000_000, seed: 61)

    @Test func `nothing of a shredded bucket is left, and others read what they share`()
        async throws
    {
        let directory = try TemporaryDirectory()
        var store = try await Store.open(at: directory.path)
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        let bucket = try await store.bucket("secret", under: key)
        let neighbour = try await store.bucket("neighbour", under: key)
        let small = try await bucket.put(Array("a canary that no file may show".utf8)).digest
        let digest = try await bucket.put(Self.shared).digest
        let own = try await bucket.put(Self.own).digest
        try await neighbour.put(Self.shared)
        try await bucket.putObject("key-of-an-object", Array("body".utf8).span)
        let session = try await bucket.beginUpload()
        try await session.append(Self.own.span)
        try await session.suspend()
        // Of all generations, and in files as well as in the log.
        try await bucket.rotateDataKey()
        try await store.compactIndex()
        try await store.engine.foldCatalogue()
        try await store.defaultAccount.bucket("secret").put([1, 2, 3])
        let needles = try await self.needles(of: bucket, in: store)
        let before = try Self.files(in: directory.path)
        #expect(needles.count > 10)
        for (name, bytes) in needles {
            #expect(!Self.holders(of: bytes, in: before).isEmpty, "no file has \(name)")
        }

        let reader = try await bucket.openBlob(digest)
        let receipt = try await store.defaultAccount.shredBucket("secret")
        #expect(receipt.bucketID == bucket.id)
        #expect(receipt.customerKey?.text == key.text)
        #expect(receipt.generationCount == 2)
        #expect(receipt.keyCount == 3)
        #expect(receipt.blobCount == 5)
        #expect(receipt.olderIndexes.isEmpty)
        let after = try Self.files(in: directory.path)
        for (name, bytes) in needles {
            let holders = Self.holders(of: bytes, in: after)
            #expect(holders.isEmpty, "\(name) is in \(holders)")
        }
        for found in [digest, own, small] {
            #expect(await code { _ = try await bucket.contents(found) } == .bucketUnknown)
        }
        #expect(await code { _ = try await reader.readAll(upTo: 1 << 30) } == .bucketUnknown)
        #expect(
            await code { _ = try await store.defaultAccount.shredBucket("secret") }
                == .bucketUnknown)
        #expect(try await neighbour.contents(digest) == Self.shared)
        try await store.sweep()
        try await check(store)
        try await store.close()
        store = try await Store.open(at: directory.path)
        #expect(
            try await store.defaultAccount.bucket("neighbour").contents(digest) == Self.shared)
        #expect(try await store.verifyAudit(containing: receipt.auditHead).isSound)
        #expect(try await store.auditEntries().contains { $0.action == "ShredBucket" })
        try await store.close()
    }

    @Test func `no file has a key, a secret hash or a digest in the clear`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await Store.open(at: directory.path)
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        let bucket = try await store.bucket("clear", under: key)
        let digest = try await bucket.put(Self.own).digest
        let small = try await bucket.put(Array("a canary that no file may show".utf8)).digest
        try await store.compactIndex()
        try await bucket.put([1, 2, 3])
        let open = try await bucket.keys()
        let found = try #require(
            try await store.engine.find(digest, in: bucket.bucketID, open))
        let root = try #require(found.1.root)
        let needles = [
            ("the store key", store.engine.storeKey.bytes),
            ("the data key", open.dataKey.bytes),
            ("the hash of the root", root.entry.hash.octets.bytes),
            ("a digest", digest.bytes),
            ("the digest of a small blob", small.bytes),
            ("a small blob", Array("a canary that".utf8)),
            ("a blob", Array(Self.own[500_000..<500_032])),
        ]
        let files = try Self.files(in: directory.path)
        for (name, bytes) in needles {
            #expect(bytes.count > 12)
            let holders = Self.holders(of: bytes, in: files)
            #expect(holders.isEmpty, "\(name) is in \(holders)")
        }
        // The search finds what is there.
        let segment = try #require(found.0.rootID)
        #expect(!Self.holders(of: segment.octets.bytes, in: files).isEmpty)
        try await store.close()
    }

    @Test func `a purge also removes what deleted buckets left`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await Store.open(at: directory.path)
        let bucket = try await store.defaultAccount.createBucket("deleted")
        try await bucket.put(Self.own)
        try await bucket.put([1, 2, 3])
        let needles = try await self.needles(of: bucket, in: store)
        try await store.defaultAccount.deleteBucket("deleted", contents: .delete)
        try await store.purgeDeletedKeys()
        let files = try Self.files(in: directory.path)
        for (name, bytes) in needles {
            let holders = Self.holders(of: bytes, in: files)
            #expect(holders.isEmpty, "\(name) is in \(holders)")
        }
        try await check(store)
        try await store.close()
    }

    // MARK: -

    // What must not be found: wrapped keys, sealed capabilities and small blobs, sealed rows, and
    // what is in the clear of plaintexts and secrets in any case.
    private func needles(
        of bucket: Bucket, in store: Store
    ) async throws -> [(name: String, bytes: [UInt8])] {
        var needles: [(String, [UInt8])] = []
        for (slot, row) in try await store.keyRows() where row.ownerID == bucket.bucketID.octets {
            // Compression of a file may cut it: the ciphertext inside cannot be compressed.
            needles.append(("the key in slot \(slot)", Array(row.wrapped.suffix(60).prefix(40))))
        }
        let prefix = bucket.bucketID.octets.bytes
        for table in [Tables.links, Tables.smallBlobs, Tables.objects, Tables.uploads] {
            let rows = try await store.engine.read("searching") { (index) throws(IndexError) in
                try index.scan(table, prefix: prefix, limit: 100)
            }
            for (number, row) in rows.enumerated() {
                needles.append(("\(table.name) \(number)", Array(row.value.suffix(40).prefix(32))))
            }
        }
        let sealed = try await store.engine.bucketRow(bucket.bucketID).sealed
        needles.append(("the bucket's row", Array(sealed.suffix(40))))
        return needles
    }

    // As of one moment: the index replaces files of its own accord.
    private static func files(in directory: String) throws -> [(name: String, bytes: Data)] {
        while true {
            let names = try names(in: directory)
            let files = names.compactMap { name -> (name: String, bytes: Data)? in
                guard let bytes = FileManager.default.contents(atPath: directory + "/" + name)
                else { return nil }
                return (name, bytes)
            }
            if files.map(\.name) == names, try self.names(in: directory) == names { return files }
        }
    }

    private static func names(in directory: String) throws -> [String] {
        let all = try #require(FileManager.default.enumerator(atPath: directory)).allObjects
        return all.compactMap { $0 as? String }.filter { name in
            var isDirectory: ObjCBool = false
            let path = directory + "/" + name
            let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            return exists && !isDirectory.boolValue
        }.sorted()
    }

    private static func holders(
        of bytes: [UInt8], in files: [(name: String, bytes: Data)]
    ) -> [String] {
        files.filter { $0.bytes.range(of: Data(bytes)) != nil }.map(\.name)
    }
}

extension Store {
    /// Writes all rows of the index into files.
    fileprivate func compactIndex() async throws {
        let index = try #require(engine.index as? RocksDBIndex)
        try await engine.pool.run { (_) throws(IndexError) in try index.compact() }
    }
}
