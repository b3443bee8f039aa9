// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Foundation
import Testing

@testable import Cairn

/// Somebody with access to the store's files exchanges what is intact in itself.
@Suite struct StoreTamperTests {
    /// A key is only good for what it was made for, whatever slot it lies in.
    @Test func `exchanged keys are refused`() async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let one = try await store.defaultAccount.createBucket("one")
        let two = try await store.createAccount("other").createBucket("two")
        let digest = try await one.put([1, 2, 3]).digest
        try await two.put([1, 2, 3])
        let pairs = [
            (one.row.dataKeySlot, two.row.dataKeySlot),
            (one.row.indexKeySlot, two.row.indexKeySlot),
            (one.row.domain.slot, two.row.domain.slot),
            (one.row.dataKeySlot, one.row.indexKeySlot),
        ]
        for (first, second) in pairs {
            try await exchangeKeys(first, second, in: store)
            try await store.close()
            store = try await simulated.open(seed: 2)
            let bucket = try await store.defaultAccount.bucket("one")
            #expect(await code { _ = try await bucket.contents(digest) } == .corrupted)
            #expect(await code { try await bucket.put([4, 5, 6]) } == .corrupted)
            let report = try await store.verify(.structure)
            #expect(!report.isSound)
            try await exchangeKeys(first, second, in: store)
            try await store.close()
            store = try await simulated.open(seed: 3)
            let again = try await store.defaultAccount.bucket("one")
            #expect(try await again.contents(digest) == [1, 2, 3])
        }
        try await check(store)
        try await store.close()
    }

    private func exchangeKeys(_ first: UInt32, _ second: UInt32, in store: Store) async throws {
        try await store.engine.transact { (transaction) throws(StoreError) in
            let (one, two) = (RowKey.keySlot(first), RowKey.keySlot(second))
            guard let left = try transaction.get(Tables.keys, one),
                let right = try transaction.get(Tables.keys, two)
            else { throw StoreError(.corrupted, "no such key") }
            try transaction.put(Tables.keys, one, right)
            try transaction.put(Tables.keys, two, left)
        }
    }

    @Test func `rows with keys of a wrong length are reported and do no harm`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("rows")
        try await bucket.put([1])
        let id = bucket.bucketID.octets.bytes
        try await store.engine.transact { (transaction) throws(StoreError) in
            for table in [Tables.links, Tables.uploads] {
                try transaction.put(table, id + [1, 2, 3], [1])
            }
            try transaction.put(Tables.buckets, [1, 2, 3], [1])
            try transaction.put(
                Tables.chunks, [UInt8](repeating: 7, count: 32),
                [UInt8](repeating: 0xFF, count: 21))
        }
        let report = try await store.verify(.structure)
        #expect(report.problemCount >= 4)
        #expect(await code { _ = try await bucket.blobs() } == .corrupted)
        #expect(await code { _ = try await bucket.uploads() } == .corrupted)
        try await store.close()
    }

    @Test func `an account that was made anew is not that of an old handle`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let old = try await store.createAccount("tenant")
        try await store.deleteAccount("tenant")
        let new = try await store.createAccount("tenant")
        #expect(await code { _ = try await old.createBucket("lost") } == .accountUnknown)
        try await new.createBucket("kept")
        #expect(await code { try await store.deleteAccount("tenant") } == .accountNotEmpty)
        try await check(store)
        try await store.close()
    }

    @Test func `a lost marker is damage, also beside what a creation left`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("store")
        let store = try await Store.open(at: path)
        let bucket = try await store.defaultAccount.createBucket("kept")
        let bytes = TestData.random(200_000, seed: 1)
        let digest = try await bucket.put(bytes).digest
        try await store.close()
        let (marker, leftover) = (path + "/CAIRN", path + "/CAIRN.creating")
        try FileManager.default.copyItem(atPath: marker, toPath: leftover)
        let keyring = try Data(contentsOf: URL(fileURLWithPath: path + "/keyring"))
        try FileManager.default.moveItem(atPath: marker, toPath: path + "/away")
        #expect(await code { _ = try await Store.open(at: path) } == .corrupted)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path + "/keyring")) == keyring)
        try FileManager.default.moveItem(atPath: path + "/away", toPath: marker)
        let again = try await Store.open(at: path)
        #expect(!FileManager.default.fileExists(atPath: leftover))
        #expect(try await again.defaultAccount.bucket("kept").contents(digest) == bytes)
        try await again.close()
    }

    @Test func `a reader that failed stays at the end`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("store")
        var store = try await Store.open(at: path)
        let bytes = TestData.random(8 << 20, seed: 2)
        let bucket = try await store.defaultAccount.createBucket("reader")
        let digest = try await bucket.put(bytes).digest
        try await store.close()
        let segment = URL(fileURLWithPath: path + "/segments/00000001.segment")
        var damaged = try Data(contentsOf: segment)
        damaged[4_000_000] ^= 1
        try damaged.write(to: segment)
        store = try await Store.open(at: path)
        let blob = try await store.defaultAccount.bucket("reader").openBlob(digest)
        var iterator = blob.bytes().makeAsyncIterator()
        var received: [UInt8] = []
        let failure = await code {
            while let buffer = try await iterator.next() { received += buffer }
        }
        #expect(failure == .corrupted)
        #expect(received == Array(bytes[..<received.count]))
        #expect(try await iterator.next() == nil)
        try await store.close()
    }
}
