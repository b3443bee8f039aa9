// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnSegments
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

/// Whether a store that is asked knows that it takes no writes.
@Suite struct WritableTests {
    private static func ask(_ store: Store) async -> StoreError.Code? {
        await code { try await store.checkWritable() }
    }

    @Test func `a store in order takes writes, and is asked without a write or a sync`()
        async throws
    {
        var simulated = SimulatedStore()
        simulated.configuration.checkpointByteCount = 64 << 20
        let store = try await simulated.open()
        let session = try await store.defaultAccount.createBucket("asked").beginUpload()
        let bytes = TestData.random(1_500_000, seed: 1)
        try await session.append(bytes.span)
        // Waits until the first of them lie in a segment, where nobody has synced them.
        try await session.append(bytes.span.extracting(..<1), at: 0)
        let changes = SimulatedOperation.allCases.filter(\.isChange)
        let before = changes.map { simulated.disk.count(of: $0) }
        #expect(await Self.ask(store) == nil)
        #expect(changes.map { simulated.disk.count(of: $0) } == before)
        try await session.cancel()
        try await store.close()
        #expect(await Self.ask(store) == .closed)
    }

    @Test func `a disk with less room than is reserved is not writable until there is more`()
        async throws
    {
        var simulated = SimulatedStore()
        simulated.configuration.reservedByteCount = 1 << 20
        let store = try await simulated.open()
        #expect(await Self.ask(store) == nil)
        let used = simulated.disk.files().reduce(0) { $0 + UInt64($1.bytes.count) }
        simulated.disk.setCapacity(used + 1000)
        #expect(try simulated.disk.freeByteCount() < 1 << 20)
        #expect(await Self.ask(store) == .outOfSpace)
        simulated.disk.setCapacity(nil)
        #expect(await Self.ask(store) == nil)
        try await store.close()
    }

    @Test(arguments: [DiskError.Code.io, .readOnly])
    func `segments that failed once stay unwritable`(_ fault: DiskError.Code) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("asked")
        try await bucket.put(TestData.random(100_000, seed: 2))
        let next = simulated.disk.count(of: .write) + 1
        simulated.disk.fail(.write, at: next, count: nil, .error(fault))
        let refused = await code { try await bucket.put(TestData.random(3_000_000, seed: 3)) }
        simulated.disk.heal()
        #expect(await Self.ask(store) == refused)
        #expect(refused == (fault == .io ? .io : .readOnly))
        _ = await code { try await store.close() }
    }

    @Test func `an index that failed once stays unwritable`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("asked")
        simulated.index.setFault { $0 == .sync ? IndexError(.io, "planned") : nil }
        #expect(await code { try await bucket.put([1]) } == .io)
        simulated.index.setFault(nil)
        #expect(await Self.ask(store) == .io)
        _ = await code { try await store.close() }
    }

    @Test(.enabled(if: SmallFileSystem.isAvailable, "only root can mount file systems"))
    func `a real disk that is full is not writable until there is room`() async throws {
        try await SmallFileSystem.with(.tmpfs, mebibytes: 200) { fileSystem in
            var configuration = StoreConfiguration()
            configuration.reservedByteCount = 1 << 20
            let store = try await Store.open(
                at: fileSystem.path + "/store", configuration: configuration)
            #expect(await Self.ask(store) == nil)
            try await fileSystem.fill()
            #expect(await Self.ask(store) == .outOfSpace)
            try fileSystem.free()
            #expect(await Self.ask(store) == nil)
            try await store.close()
        }
    }
}
