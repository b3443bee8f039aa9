// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnKeys
import CairnSegments
import CairnTestSupport
import CairnTesting
import Synchronization
import Testing

@testable import Cairn

/// Customer keys as an embedder and an operator govern them.
@Suite struct KeyServiceTests {
    private static let large = TestData.compressible(3_000_000, seed: 40)

    @Test func `disabling a key stops everything under it at once, and enabling it all goes on`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey(alias: "alias/team").id)
        let bucket = try await store.bucket("locked", under: key)
        let other = try await store.defaultAccount.createBucket("open")
        let digest = try await bucket.put(Self.large).digest
        let small = try await bucket.put([1, 2, 3]).digest
        try await other.put([4])
        let object = try await bucket.putObject("object", [6].span)
        let reader = try await bucket.openBlob(digest)
        var bytes = reader.bytes().makeAsyncIterator()
        _ = try await bytes.next()
        let session = try await bucket.beginUpload()
        try await session.append(Self.large.span.extracting(..<1_500_000))

        try await keys.disable(key)
        #expect(await code { _ = try await bytes.next() } == .keyDisabled)
        #expect(await code { _ = try await bucket.contents(small) } == .keyDisabled)
        #expect(await code { try await bucket.put([5]) } == .keyDisabled)
        #expect(await code { _ = try await bucket.stat(digest) } == .keyDisabled)
        #expect(await code { _ = try await bucket.blobs() } == .keyDisabled)
        #expect(await code { _ = try await bucket.objects() } == .keyDisabled)
        #expect(await code { _ = try await bucket.openObject("object") } == .keyDisabled)
        #expect(await code { try await bucket.putObject("new", [7].span) } == .keyDisabled)
        for key in ["object", "new"] {
            #expect(
                await code { try await bucket.putObject(key, [7].span, if: .ifNoneMatch) }
                    == .keyDisabled)
        }
        #expect(await code { try await bucket.deleteObject("object") } == .keyDisabled)
        #expect(
            await code { try await bucket.deleteObject("object", version: .null) } == .keyDisabled)
        #expect(await code { try await bucket.setTags([:], of: "object") } == .keyDisabled)
        #expect(await code { try await bucket.copyObject("object", to: "new") } == .keyDisabled)
        #expect(await code { try await bucket.setVersioning(.enabled) } == .keyDisabled)
        #expect(await code { _ = try await bucket.objectVersions() } == .keyDisabled)
        var batch = ObjectBatch()
        batch.delete("object")
        do throws(BatchError) {
            try await bucket.commit(batch)
            Issue.record("a batch was committed under a disabled key")
        } catch {
            #expect(error.code == .keyDisabled)
        }
        #expect(await code { _ = try await reader.readAll(upTo: 1 << 30) } == .keyDisabled)
        var part = [UInt8](repeating: 0, count: 10)
        #expect(
            await code {
                var span = part.mutableSpan
                _ = try reader.read(into: &span, at: 5)
            } == .keyDisabled)
        let rest = Self.large.span.extracting(1_500_000...)
        #expect(await code { try await session.append(rest) } == .keyDisabled)
        #expect(await code { try await session.checkpoint() } == .keyDisabled)
        #expect(await code { try await session.commit() } == .keyDisabled)
        #expect(await code { _ = try await store.bucket("no", under: key) } == .keyDisabled)
        // Others are not concerned, nor is the store's own work.
        #expect(try await other.contents(Digest.sha256(of: [4].span)) == [4])
        let report = try await store.verify()
        #expect(report.isSound)
        #expect(report.lockedBucketCount == 1)
        try await store.sweep()

        try await keys.enable(key)
        try await session.append(rest)
        #expect(try await session.commit().digest == digest)
        #expect(try await bucket.contents(digest) == Self.large)
        #expect(try await reader.readAll(upTo: 1 << 30).count == Self.large.count)
        #expect(try await bucket.contents(small) == [1, 2, 3])
        #expect(try await bucket.headObject("object") == object)
        try await check(store)
        try await store.close()
    }

    @Test func `what was done to keys is there after a restart and a power cut`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(
            try await keys.createKey(
                alias: "alias/a", description: "of team a", tags: ["team": "a"]
            ).id)
        try await keys.createAlias("alias/b", for: key)
        try await keys.enableRotation(of: key, periodDays: 90)
        try await keys.rotate(key)
        let grant = try await keys.createGrant(of: key, to: "alice", operations: [.decrypt])
        try await keys.disable(key)
        // Everything was durable when the calls returned.
        let cut = simulated.afterPowerCut(seed: 3)
        let again = try await cut.open(seed: 2)
        let found = try #require(again.keyService)
        let description = try await found.describe(try KeyReference("alias/b"))
        #expect(description.id.text == key.text)
        #expect(description.aliases == ["alias/a", "alias/b"])
        #expect(description.state == .disabled)
        #expect(description.rotationPeriodDays == 90)
        #expect(description.tags == ["team": "a"])
        #expect(description.description == "of team a")
        #expect(try await found.versions(of: key).count == 2)
        #expect(try await found.grants(of: key) == [grant])
        #expect(try await found.keys().count == 2)
        try await again.close()
        try await store.close()
    }

    @Test func `the schedule rotates and destroys what is due, also when a store is opened`()
        async throws
    {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        var keys = try #require(store.keyService)
        let rotated = KeyReference(try await keys.createKey().id)
        let doomed = KeyReference(try await keys.createKey(alias: "alias/doomed").id)
        let bucket = try await store.bucket("gone", under: doomed)
        let digest = try await bucket.put([1, 2, 3]).digest
        try await keys.enableRotation(of: rotated, periodDays: 90)
        let date = try await keys.scheduleDeletion(of: doomed, afterDays: 7)
        #expect(date == simulated.clock.now() + .seconds(7 * 86_400))
        #expect(await code { _ = try await bucket.contents(digest) } == .keyDisabled)
        simulated.clock.advance(by: .seconds(7 * 86_400))
        #expect(try await keys.runSchedule().map(\.text) == [doomed.text])
        #expect(await code { _ = try await bucket.contents(digest) } == .keyUnknown)
        #expect(await code { _ = try await keys.describe(doomed) } == .keyUnknown)
        simulated.clock.advance(by: .seconds(83 * 86_400))
        try await store.close()
        store = try await simulated.open(seed: 2)
        keys = try #require(store.keyService)
        #expect(try await keys.versions(of: rotated).map(\.origin) == [.creation, .automatic])
        #expect(try await store.verify().lockedBucketCount == 1)
        // What nobody can read any more can still be removed.
        try await store.defaultAccount.deleteBucket("gone", contents: .delete)
        try await store.sweep()
        try await check(store)
        try await store.close()
    }

    @Test func `an older copy of the keyring is refused`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let old = try simulated.disk.readAll(StoreFormat.keyring, upTo: 1 << 20)
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        try await keys.disable(key)
        let new = try simulated.disk.readAll(StoreFormat.keyring, upTo: 1 << 20)
        try await store.close()
        try simulated.disk.replace(StoreFormat.keyring, with: old.span)
        #expect(await code { _ = try await simulated.open(seed: 2) } == .corrupted)
        try simulated.disk.replace(StoreFormat.keyring, with: new.span)
        try await simulated.open(seed: 3).close()
    }

    @Test(arguments: [SimulatedOperation.write, .sync, .rename])
    func `a change that cannot be written does not take effect`(
        _ call: SimulatedOperation
    ) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        var number = 1
        while true {
            simulated.disk.fail(
                call, at: simulated.disk.count(of: call) + number, count: 1, .error(.outOfSpace))
            let failed = await code { try await keys.disable(key) }
            simulated.disk.heal()
            let state = try await keys.describe(key).state
            if failed == nil { break }
            #expect(failed == .outOfSpace)
            #expect(state == .enabled)
            number += 1
            if number > 20 { break }
        }
        #expect(number > 1)
        #expect(number < 20)
        #expect(try await keys.describe(key).state == .disabled)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        #expect(try await again.keyService?.describe(key).state == .disabled)
        try await again.close()
    }

    @Test func `a ciphertext tells its key and the version of its material`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let id = try await keys.createKey(alias: "alias/team").id
        #expect(await code { try await keys.createKey(alias: "alias/team") } == .aliasExists)
        let key = KeyReference(id)
        let context = try EncryptionContext(["a": "b"])
        var descriptions: [CiphertextDescription] = []
        for _ in 0..<2 {
            for _ in 0..<2 {
                let wrapped = try await keys.provider.generateDataKeyWithoutPlaintext(
                    under: key, context: context)
                descriptions.append(try keys.describeCiphertext(wrapped))
            }
            try await keys.rotate(key)
        }
        #expect(descriptions.map(\.keyID) == [id, id, id, id])
        #expect(descriptions.map(\.version) == [1, 1, 2, 2])
        #expect(descriptions[0] == descriptions[1])
        #expect(descriptions[1].materialID != descriptions[2].materialID)
        #expect(descriptions.allSatisfy { $0.materialID.utf8.count == 64 })
        let other = try await SimulatedStore().open(seed: 9)
        let foreign = try await #require(other.keyService).provider
            .generateDataKeyWithoutPlaintext(under: .default, context: context)
        #expect(await code { _ = try keys.describeCiphertext(foreign) } == .keyUnknown)
        #expect(await code { _ = try keys.describeCiphertext([1, 2]) } == .corrupted)
        try await other.close()
        try await store.close()
    }

    @Test func `the store's own key stays usable`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        #expect(await code { try await keys.disable(.default) } == .invalidArgument)
        #expect(await code { try await keys.scheduleDeletion(of: .default) } == .invalidArgument)
        #expect(
            await code { try await keys.deleteAlias(KeyReference.defaultAlias) }
                == .invalidArgument)
        let unknown = try KeyReference("alias/unknown")
        #expect(await code { try await keys.enable(unknown) } == .keyUnknown)
        #expect(await code { _ = try await store.bucket("bb", under: unknown) } == .keyUnknown)
        #expect(await code { _ = try await keys.keys(limit: 0) } == .invalidArgument)
        // Whoever names it means what everybody else has.
        let bucket = try await store.bucket("named", under: .default)
        #expect(try await bucket.describe().encryption == .storeManaged)
        try await keys.rotate(.default)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        try await again.rewrapKeys()
        try await check(again)
        try await again.close()
    }

    @Test func `a principal may do what its grants allow, and each use is recorded`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        let context = try EncryptionContext(["repository": "app"])
        let alice = try keys.provider(for: "alice")
        await #expect(throws: KeyError(.accessDenied, "")) {
            _ = try await alice.generateDataKey(under: key, context: context)
        }
        let grant = try await keys.createGrant(
            of: key, to: "alice", operations: [.generateDataKey, .decrypt],
            constraint: .contextEquals(context))
        let dataKey = try await alice.generateDataKey(under: key, context: context)
        _ = try await alice.decrypt(dataKey.wrapped, context: context)
        try await keys.revokeGrant(grant.id, of: key)
        await #expect(throws: KeyError(.accessDenied, "")) {
            _ = try await alice.decrypt(dataKey.wrapped, context: context)
        }
        let entries = try await store.auditEntries().filter { $0.principal == "alice" }
        #expect(
            entries.map(\.action) == ["GenerateDataKey", "GenerateDataKey", "Decrypt", "Decrypt"])
        #expect(entries.map(\.outcome) == ["accessDenied", "ok", "ok", "accessDenied"])
        #expect(entries.allSatisfy { $0.key == key.text && $0.context == context })
        try await store.close()
    }

    @Test func `the last use of a key is known, also after a restart and a kill`() async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let keys = try #require(store.keyService)
        let key = KeyReference(try await keys.createKey().id)
        #expect(try await keys.lastUse(of: key) == nil)
        let created = simulated.clock.now()
        try await store.bucket("used", under: key)
        #expect(
            try await keys.lastUse(of: key)
                == KeyUse(operation: "GenerateDataKey", time: created))
        simulated.clock.advance(by: .seconds(1000))
        let read = simulated.clock.now()
        _ = try await store.defaultAccount.bucket("used").blobs()
        _ = try await store.defaultAccount.bucket("used").keys()
        // Nothing was noted since: the log tells.
        let index = simulated.index.copy()
        let killed = try await simulated.found(simulated.disk.crash(.keepAll), index).open(seed: 4)
        #expect(
            try await killed.keyService?.lastUse(of: key)
                == KeyUse(operation: "Decrypt", time: read))
        try await killed.close()
        try await store.close()
        store = try await simulated.open(seed: 2)
        #expect(
            try await store.keyService?.lastUse(of: key)
                == KeyUse(operation: "Decrypt", time: read))
        try await store.close()
    }
}

extension Store {
    /// A bucket under a customer key.
    @discardableResult
    func bucket(
        _ name: String, under key: KeyReference, deduplication: Deduplication = .key
    ) async throws -> Bucket {
        var configuration = BucketConfiguration()
        configuration.encryption = .customerKey(key)
        configuration.deduplication = deduplication
        return try await defaultAccount.createBucket(name, configuration: configuration)
    }
}
