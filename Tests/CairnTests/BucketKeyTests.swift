// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnKeys
import CairnTestSupport
import Synchronization
import Testing

@testable import Cairn

/// Keys of buckets: whom they share chunks with, and what changes of keys leave as it was.
@Suite struct BucketKeyTests {
    private static let bytes = TestData.compressible(2_000_000, seed: 50)
    private static let digest = Digest.sha256(of: bytes.span)

    // MARK: - Domains

    @Test func `who shares chunks with whom`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let one = KeyReference(try await keys.createKey(alias: "alias/one").id)
        let two = KeyReference(try await keys.createKey(alias: "alias/two").id)
        // Each row: a bucket, and whether it finds the chunks of one before.
        try await expectChunks(store.defaultAccount.createBucket("default-1"), areNew: true)
        try await expectChunks(store.defaultAccount.createBucket("default-2"), areNew: false)
        try await expectChunks(store.bucket("one-1", under: one), areNew: true)
        try await expectChunks(
            store.bucket("one-2", under: KeyReference("alias/one")), areNew: false)
        try await expectChunks(store.bucket("two-1", under: two), areNew: true)
        try await expectChunks(
            store.bucket("shared-1", under: one, deduplication: .account), areNew: true)
        try await expectChunks(
            store.bucket("shared-2", under: two, deduplication: .account), areNew: false)
        try await expectChunks(
            store.bucket("shared-3", under: .default, deduplication: .account), areNew: false)
        try await expectChunks(
            store.bucket("alone-1", under: one, deduplication: .bucket), areNew: true)
        try await expectChunks(
            store.bucket("alone-2", under: one, deduplication: .bucket), areNew: true)
        try await check(store)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        for description in try await again.defaultAccount.buckets() {
            let bucket = try await again.defaultAccount.bucket(description.name)
            #expect(try await bucket.contents(Self.digest) == Self.bytes)
        }
        #expect(
            try await again.defaultAccount.bucket("shared-2").describe().encryption
                == .customerKey(two))
        #expect(
            try await again.defaultAccount.bucket("alone-1").describe().deduplication == .bucket)
        // A repair knows them all.
        try await again.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let repaired = try await simulated.open(seed: 3)
        try await check(repaired)
        try await repaired.close()
    }

    private func expectChunks(_ bucket: Bucket, areNew: Bool) async throws {
        let before = try await bucket.engine.chunkCount()
        #expect(try await bucket.put(Self.bytes).digest == Self.digest)
        let after = try await bucket.engine.chunkCount()
        #expect((after > before) == areNew, "\(bucket.name): \(after - before) new chunks")
    }

    @Test func `a mount stays within a domain, and small blobs go anywhere`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let one = KeyReference(try await keys.createKey().id)
        let two = KeyReference(try await keys.createKey().id)
        let source = try await store.bucket("source", under: one)
        let sibling = try await store.bucket("sibling", under: one)
        let stranger = try await store.bucket("stranger", under: two)
        let small = try await source.put([1, 2, 3]).digest
        try await source.put(Self.bytes)
        try await sibling.mountBlob(Self.digest, from: source)
        #expect(try await sibling.contents(Self.digest) == Self.bytes)
        #expect(
            await code { try await stranger.mountBlob(Self.digest, from: source) }
                == .domainMismatch)
        #expect(await code { _ = try await stranger.stat(Self.digest) } == .blobUnknown)
        try await stranger.mountBlob(small, from: source)
        #expect(try await stranger.contents(small) == [1, 2, 3])
        // Between different keys, where both asked for it.
        let left = try await store.bucket("left", under: one, deduplication: .account)
        let right = try await store.bucket("right", under: two, deduplication: .account)
        try await left.put(Self.bytes)
        let before = try await store.engine.chunkCount()
        try await right.mountBlob(Self.digest, from: left)
        #expect(try await store.engine.chunkCount() == before)
        try await store.defaultAccount.deleteBucket("left", contents: .delete)
        try await keys.disable(one)
        #expect(try await right.contents(Self.digest) == Self.bytes)
        try await store.close()
    }

    // MARK: - Changes

    @Test func `a new generation seals what is new and leaves what is there`() async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let account = store.defaultAccount
        let first = try await account.createBucket("turning")
        try await first.put(Self.bytes)
        let small = try await first.put([1]).digest
        let session = try await first.beginUpload()
        try await session.append(Self.bytes.span.extracting(..<1_200_000))
        try await session.suspend()
        #expect(try await first.rotateDataKey() == 2)
        let second = try await account.bucket("turning")
        #expect(second.row.dataKeySlot != first.row.dataKeySlot)
        let later = try await second.put([2]).digest
        // A handle from before follows.
        let late = try await first.put([3]).digest
        for bucket in [first, second] {
            #expect(try await bucket.contents(Self.digest) == Self.bytes)
            #expect(try await bucket.contents(small) == [1])
            #expect(try await bucket.contents(later) == [2])
            #expect(try await bucket.contents(late) == [3])
        }
        try await store.close()
        store = try await simulated.open(seed: 2)
        let again = try await store.defaultAccount.bucket("turning")
        #expect(try await again.describe().keyGeneration == 2)
        let resumed = try await again.resumeUpload(session.id)
        try await resumed.append(Self.bytes.span.extracting(1_200_000...))
        #expect(try await resumed.commit().digest == Self.digest)
        try await check(store)
        try await store.close()
    }

    @Test func `a bucket moves to another customer key and needs the old one no more`()
        async throws
    {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        var keys = try #require(store.keyService)
        let one = KeyReference(try await keys.createKey().id)
        let two = KeyReference(try await keys.createKey().id)
        var bucket = try await store.bucket("moving", under: one)
        try await bucket.put(Self.bytes)
        let small = try await bucket.put([1]).digest
        try await bucket.rotateDataKey()
        bucket = try await store.defaultAccount.bucket("moving")
        let session = try await bucket.beginUpload()
        try await session.append(Self.bytes.span.extracting(..<1_200_000))
        try await session.suspend()
        let neighbour = try await store.bucket("neighbour", under: two)
        try await bucket.setEncryption(.customerKey(two))
        try await keys.scheduleDeletion(of: one, afterDays: 7)
        simulated.clock.advance(by: .seconds(3600))
        // The handle from before follows.
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        bucket = try await store.defaultAccount.bucket("moving")
        #expect(try await bucket.describe().encryption == .customerKey(two))
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        #expect(try await bucket.contents(small) == [1])
        let resumed = try await bucket.resumeUpload(session.id)
        try await resumed.append(Self.bytes.span.extracting(1_200_000...))
        #expect(try await resumed.commit().digest == Self.digest)
        // New blobs are shared with those under the same key.
        let new = TestData.compressible(500_000, seed: 51)
        try await neighbour.put(new)
        let count = try await store.engine.chunkCount()
        try await bucket.put(new)
        #expect(try await store.engine.chunkCount() == count)
        try await store.close()
        simulated.clock.advance(by: .seconds(8 * 86_400))
        store = try await simulated.open(seed: 2)
        keys = try #require(store.keyService)
        #expect(await code { _ = try await keys.describe(one) } == .keyUnknown)
        bucket = try await store.defaultAccount.bucket("moving")
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        try await check(store)
        // And back to the default, alone, and to the default's domain.
        try await bucket.setEncryption(.storeManaged, deduplication: .bucket)
        try await store.defaultAccount.bucket("moving").put(TestData.random(400_000, seed: 5))
        try await bucket.setEncryption(.storeManaged, deduplication: .key)
        bucket = try await store.defaultAccount.bucket("moving")
        #expect(try await bucket.describe().encryption == .storeManaged)
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
        try await check(store)
        try await store.defaultAccount.deleteBucket("moving", contents: .delete)
        #expect(try await store.keyRowCount(of: bucket.bucketID) == 0)
        try await store.close()
    }

    @Test func `moving to and fro does not grow`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let one = KeyReference(try await keys.createKey().id)
        let two = KeyReference(try await keys.createKey().id)
        let bucket = try await store.bucket("to-and-fro", under: one)
        try await bucket.put(Self.bytes)
        for round in 0..<10 {
            try await bucket.setEncryption(.customerKey(round.isMultiple(of: 2) ? two : one))
        }
        #expect(try await store.keyRowCount(of: bucket.bucketID) == 4)
        let last = try await store.defaultAccount.bucket("to-and-fro")
        #expect(last.row.formerDomains.count == 2)
        #expect(try await last.contents(Self.digest) == Self.bytes)
        try await store.close()
    }

    @Test func `after a rewrapping no key is under older material, however often it was killed`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        for number in 0..<40 {
            try await store.bucket("b\(number)", under: key)
            try await store.defaultAccount.createBucket("d\(number)")
        }
        let digest = try await store.defaultAccount.bucket("b7").put(Self.bytes).digest
        try await keys.rotate(key)
        try await keys.rotate(.default)
        let one = try await store.defaultAccount.bucket("b7").rewrap()
        #expect(one == 2)
        // The task is cancelled after the first page.
        let task = Task {
            try await store.rewrapKeys(under: key) { _ in withUnsafeCurrentTask { $0?.cancel() } }
        }
        _ = await task.result
        let report = try await store.rewrapKeys(under: key)
        #expect(report.bucketCount == 40)
        try await expectCurrent(store, under: key)
        try await store.rewrapKeys()
        try await expectCurrent(store, under: key)
        try await expectCurrent(store, under: .default)
        #expect(try await store.rewrapKeys().rewrappedCount == 0)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        #expect(try await again.defaultAccount.bucket("b7").contents(digest) == Self.bytes)
        try await check(again)
        try await again.close()
    }

    // Every key that a customer key has wrapped is wrapped with its newest material.
    private func expectCurrent(_ store: Store, under key: KeyReference) async throws {
        let id = try #require(try await store.keyService?.describe(key).id)
        var count = 0
        for (slot, row) in try await store.keyRows() where Keyring.keyID(of: row.wrapped) == id {
            let isCurrent = try await store.engine.keys.isCurrent(row, under: id)
            #expect(isCurrent, "slot \(slot)")
            count += 1
        }
        #expect(count > 40)
    }

    @Test func `concurrent changes of a bucket all happen`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        let bucket = try await store.defaultAccount.createBucket("busy")
        let digest = try await bucket.put(Self.bytes).digest
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask { try await bucket.rotateDataKey() }
                group.addTask {
                    try await bucket.setEncryption(
                        number.isMultiple(of: 2) ? .customerKey(key) : .storeManaged)
                }
                group.addTask { try await bucket.rewrap() }
                group.addTask {
                    try await store.defaultAccount.bucket("busy").put([UInt8(number)])
                }
            }
            try await group.waitForAll()
        }
        let last = try await store.defaultAccount.bucket("busy")
        #expect(try await last.describe().keyGeneration == 9)
        #expect(try await last.contents(digest) == Self.bytes)
        #expect(try await last.describe().blobCount == 9)
        try await check(store)
        try await store.close()
    }

    @Test func `a key is never written over`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("first")
        let digest = try await bucket.put(Self.bytes).digest
        try await store.engine.transact { (transaction) throws(StoreError) in
            try transaction.put(
                Tables.meta, MetaKey.nextKeySlot, RowKey.bigEndian(bucket.row.dataKeySlot))
        }
        #expect(
            await code { try await store.defaultAccount.createBucket("second") } == .corrupted)
        store.flushKeys()
        #expect(try await bucket.contents(digest) == Self.bytes)
        try await store.close()
        // A repair counts anew.
        simulated.loseIndex()
        _ = try await simulated.repair()
        let repaired = try await simulated.open(seed: 3)
        try await repaired.defaultAccount.createBucket("second")
        #expect(
            try await repaired.defaultAccount.bucket("first").contents(digest) == Self.bytes)
        try await check(repaired)
        try await repaired.close()
    }

    // MARK: - Older copies

    @Test func `an older data key or row that is put back is found`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("replayed")
        try await bucket.put([1])
        let old = try await store.engine.bucketRow(bucket.bucketID)
        try await bucket.rotateDataKey()
        let new = try await store.engine.bucketRow(bucket.bucketID)
        let oldKey = try await store.engine.keys.row(old.row.dataKeySlot)
        let newKey = try await store.engine.keys.row(new.row.dataKeySlot)
        // The old key in the place of the new one: what is sealed must not be sealed by it.
        try await store.putKey(oldKey, in: new.row.dataKeySlot)
        store.flushKeys()
        let last = try await store.defaultAccount.bucket("replayed")
        #expect(await code { try await last.put([2]) } == .corrupted)
        try await store.putKey(newKey, in: new.row.dataKeySlot)
        store.flushKeys()
        try await last.put([2])
        // The old row in the place of the new one.
        try await store.engine.transact { (transaction) throws(StoreError) in
            try transaction.put(
                Tables.buckets, bucket.bucketID.octets.bytes, old.sealed)
        }
        #expect(try await store.verify(.structure).problemCount == 1)
        try await store.close()
    }

    @Test func `links of two buckets that are exchanged do not open`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        let one = try await store.bucket("one", under: key, deduplication: .account)
        let two = try await store.bucket("two", under: .default, deduplication: .account)
        for bucket in [one, two] {
            try await bucket.put(Self.bytes)
            try await bucket.put([1])
        }
        for digest in [Self.digest, Digest.sha256(of: [1].span)] {
            let names = [
                RowKey.link(one.bucketID, try await one.keys().linkName(of: digest)),
                RowKey.link(two.bucketID, try await two.keys().linkName(of: digest)),
            ]
            for table in [Tables.links, Tables.smallBlobs] {
                try await store.exchange(table, names[0], names[1])
            }
            #expect(await code { _ = try await one.contents(digest) } == .corrupted)
            #expect(await code { _ = try await two.contents(digest) } == .corrupted)
            for table in [Tables.links, Tables.smallBlobs] {
                try await store.exchange(table, names[0], names[1])
            }
            _ = try await one.contents(digest)
        }
        try await store.close()
    }
}

/// A provider elsewhere, which the store's own keyring stands for.
@Suite struct ExternalProviderTests {
    @Test func `a key disabled elsewhere takes effect within the stated time, or when asked`()
        async throws
    {
        let clock = ManualClock()
        let provider = RemoteKeys(try Self.keyring(clock))
        let directory = try TemporaryDirectory()
        var configuration = StoreConfiguration()
        configuration.keyCacheLifetime = .milliseconds(200)
        let store = try await Store.open(
            at: directory.path, keyProvider: provider, configuration: configuration)
        #expect(store.keyService == nil)
        let bucket = try await store.bucket("remote", under: KeyReference("alias/remote"))
        let digest = try await bucket.put([1, 2, 3]).digest
        try provider.change { try $0.settingKey(KeyReference("alias/remote"), isEnabled: false) }
        store.flushKeys()
        #expect(await code { _ = try await bucket.contents(digest) } == .keyDisabled)
        try provider.change { try $0.settingKey(KeyReference("alias/remote"), isEnabled: true) }
        #expect(try await bucket.contents(digest) == [1, 2, 3])
        try provider.change { try $0.settingKey(KeyReference("alias/remote"), isEnabled: false) }
        try await Task.sleep(for: .milliseconds(300))
        #expect(await code { _ = try await bucket.contents(digest) } == .keyDisabled)
        try provider.change { try $0.settingKey(KeyReference("alias/remote"), isEnabled: true) }
        try await store.close()
        let again = try await Store.open(at: directory.path, keyProvider: provider)
        #expect(
            try await again.defaultAccount.bucket("remote").contents(digest) == [1, 2, 3])
        try await again.close()
        // Not with another's keys.
        let stranger = RemoteKeys(try Self.keyring(clock))
        #expect(
            await code {
                _ = try await Store.open(at: directory.path, keyProvider: stranger)
            } == .keyUnknown)
    }

    @Test func `commits cost no calls of the provider`() async throws {
        let provider = RemoteKeys(try Self.keyring(ManualClock()))
        let directory = try TemporaryDirectory()
        var configuration = StoreConfiguration()
        configuration.keyCacheLifetime = .seconds(86_400)
        let store = try await Store.open(
            at: directory.path, keyProvider: provider, configuration: configuration)
        let bucket = try await store.defaultAccount.createBucket("counted")
        let before = provider.callCount
        // All at once, also for the first: the index key, the data key and the domain are opened.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<200 { group.addTask { try await bucket.put([UInt8(number)]) } }
            try await group.waitForAll()
        }
        #expect(provider.callCount == before + 3)
        try await bucket.rotateDataKey()
        try await store.defaultAccount.bucket("counted").put([0, 0, 7])
        // One to make the new generation's key, one to open it.
        #expect(provider.callCount == before + 5)
        try await store.close()
    }

    private static func keyring(_ clock: ManualClock) throws -> Keyring {
        try Keyring.create(
            protection: .keyFile(.random(byteCount: 32, from: SystemRandom())),
            random: SystemRandom(), clock: clock
        ).addingKey(alias: "alias/remote")
    }
}

/// Counts calls, and can be changed behind the store's back.
final class RemoteKeys: ForwardingKeyProvider {
    private let keyring: Mutex<Keyring>
    private let count = Atomic(0)

    init(_ keyring: Keyring) { self.keyring = Mutex(keyring) }

    var callCount: Int { count.load(ordering: .relaxed) }

    func change(_ body: (Keyring) throws -> Keyring) throws {
        try keyring.withLock { $0 = try body($0) }
    }

    var base: any KeyProvider {
        count.add(1, ordering: .relaxed)
        return keyring.withLock { $0 }
    }
}

extension Engine {
    func chunkCount() async throws(StoreError) -> Int64 {
        try await read("counting chunks") { (index) throws(IndexError) in
            try index.count(Tables.meta, MetaKey.chunkCount)
        }
    }
}

extension Store {
    /// All wrapped keys by slot.
    func keyRows() async throws -> [(UInt32, KeyRow)] {
        let rows = try await engine.read("reading keys") { (index) throws(IndexError) in
            try index.scan(Tables.keys, from: [], before: nil, limit: 1_000_000)
        }
        return try rows.map { row in
            (row.key.reduce(0) { $0 << 8 | UInt32($1) }, try KeyRow(decoding: row.value))
        }
    }

    func keyRowCount(of bucket: BucketID) async throws -> Int {
        try await keyRows().count { $0.1.ownerID == bucket.octets }
    }

    func putKey(_ key: KeyRow, in slot: UInt32) async throws {
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.put(Tables.keys, RowKey.keySlot(slot), key.encoded())
        }
    }

    /// Exchanges two rows; one that is not there stays where it is not.
    func exchange(_ table: IndexTable, _ one: [UInt8], _ two: [UInt8]) async throws {
        try await engine.transact { (transaction) throws(StoreError) in
            let (left, right) = (try transaction.get(table, one), try transaction.get(table, two))
            if let right { try transaction.put(table, one, right) }
            if let left { try transaction.put(table, two, left) }
        }
    }
}
