// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct EventTests {
    private static func bucket(
        _ change: (inout SimulatedStore) -> Void = { _ in }
    ) async throws -> (SimulatedStore, Store, Bucket) {
        var simulated = SimulatedStore()
        change(&simulated)
        let store = try await simulated.open()
        return (simulated, store, try await store.defaultAccount.createBucket("objects"))
    }

    @Test func `everything that a bucket commits is told in order, with what it concerns`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket()
        let start = try await bucket.eventCursor()
        #expect(try await bucket.events().events.isEmpty)
        let layer = try await bucket.put(TestData.random(50_000, seed: 1)).digest
        let object = try await bucket.putObject("a", [1].span, references: [layer])
        try await bucket.setTags(["x": "y"], of: "a")
        try await bucket.setVersioning(.enabled)
        let second = try await bucket.putObject("a", [2].span)
        try await bucket.deleteObject("a")
        try await bucket.deleteObject("a", version: object.versionID)
        try await bucket.deleteBlob(layer)
        try await bucket.put([3])
        let leased = try await bucket.putBlob([4].span, lifetime: .leased(.seconds(10))).digest
        simulated.clock.advance(by: .seconds(20))
        try await store.sweep()
        let page = try await bucket.events(after: start)
        #expect(page.isAtEnd)
        #expect(
            page.events.map(\.kind) == [
                .blobAdded, .blobAdded, .objectWritten, .objectUpdated, .settingsChanged,
                .blobAdded, .objectWritten, .objectDeleted, .blobRemoved, .versionDeleted,
                .blobRemoved, .blobAdded, .blobAdded, .blobRemoved,
            ])
        // A blob that has gone since is named by the event of that.
        #expect(page.events[0].digest == nil && page.events[0].byteCount == 50_000)
        #expect(page.events[10].digest == layer && page.events[10].byteCount == 50_000)
        #expect(page.events[2].key == "a" && page.events[2].etag == object.etag)
        #expect(page.events[6].versionID == second.versionID)
        #expect(page.events[6].digest == second.digest && page.events[6].byteCount == 1)
        #expect(page.events[7].digest == nil && page.events[7].etag == nil)
        #expect(page.events[9].versionID == .null && page.events[9].etag == object.etag)
        #expect(page.events[13].cause == .lease && page.events[13].digest == leased)
        #expect(page.events.dropLast().allSatisfy { $0.cause == .call })
        // One after the other, by cursors that went through a text.
        var cursor: EventCursor? = start
        var found: [BucketEvent] = []
        repeat {
            let part = try await bucket.events(
                after: cursor.flatMap { EventCursor($0.description) }, limit: 1)
            found += part.events
            #expect(part.events.last?.cursor ?? cursor == part.next)
            cursor = part.next
            if part.isAtEnd { break }
        } while true
        #expect(found == page.events)
        #expect(try await bucket.eventCursor() == cursor)
        #expect(try await bucket.events(after: cursor).events.isEmpty)
        try await check(store)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        let reopened = try await again.defaultAccount.bucket("objects")
        #expect(try await reopened.events().events == page.events)
        try await again.close()
    }

    @Test func `events are kept up to a size and an age, and a reader learns what it missed`()
        async throws
    {
        let (simulated, store, bucket) = try await Self.bucket {
            $0.configuration.eventByteCount = 10_000
        }
        for number in 0..<500 { try await bucket.putObject("key", [UInt8(number & 1)].span) }
        let page = try await bucket.events()
        #expect(page.events.count > 20 && page.events.count < 100)
        #expect(page.isAtEnd)
        let old = EventCursor(behind: 1)
        #expect(await code { _ = try await bucket.events(after: old) } == .eventsLost)
        let first = try #require(page.events.first).cursor
        #expect(try await bucket.events(after: first).events.count == page.events.count - 1)
        simulated.clock.advance(by: .seconds(8 * 24 * 3600))
        for _ in 0..<100 { try await bucket.setTags(["a": "b"], of: "key") }
        #expect(
            try await bucket.events(limit: 1000).events.allSatisfy { $0.kind == .objectUpdated })
        #expect(await code { _ = try await bucket.events(after: first) } == .eventsLost)
        #expect(await code { _ = try await bucket.events(limit: 0) } == .invalidArgument)
        #expect(EventCursor("zz") == nil && EventCursor("00") == nil)
        try await store.close()
        // A repair makes the index anew: nothing is known of what was before.
        let last = page.next
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 3)
        let reopened = try await again.defaultAccount.bucket("objects")
        #expect(await code { _ = try await reopened.events(after: last) } == .eventsLost)
        try await reopened.putObject("new", [1].span)
        #expect(await code { _ = try await reopened.events(after: last) } == .eventsLost)
        #expect(try await reopened.events().events.map(\.key).contains("new"))
        try await again.close()
    }

    @Test func `a position in a bucket that never had events is a good one`() async throws {
        let (simulated, store, bucket) = try await Self.bucket {
            $0.configuration.eventByteCount = 0
        }
        try await bucket.putObject("old", [1].span)
        let none = try await bucket.eventCursor()
        try await store.close()
        var restarted = simulated
        restarted.configuration.eventByteCount = 1 << 20
        let again = try await restarted.open(seed: 3)
        let reopened = try await again.defaultAccount.bucket("objects")
        let cursor = try await reopened.eventCursor()
        #expect(try await reopened.eventCursor() == cursor)
        try await reopened.putObject("new", [2].span)
        #expect(
            try await reopened.events(after: cursor).events.compactMap(\.key) == ["new"])
        // What happened while none were kept is not told, and that is said.
        #expect(await code { _ = try await reopened.events(after: none) } == .eventsLost)
        try await again.close()
    }

    @Test func `cursors that nobody gave are refused, and never trap`() async throws {
        let (_, store, bucket) = try await Self.bucket()
        try await bucket.putObject("key", [1].span)
        let ours = try await bucket.eventCursor().description.prefix(16)
        for text in [
            "0000000000000000ffffffffffffffff", "ffffffffffffffffffffffffffffffff",
            "00000000000000000000000000000000", ours + "ffffffffffffffff",
            ours + "0000000000000999",
        ] {
            let cursor = try #require(EventCursor(text))
            #expect(await code { _ = try await bucket.events(after: cursor) } == .eventsLost)
        }
        try await store.close()
    }

    @Test func `a reader learns that no events were kept for a while`() async throws {
        var (simulated, store, bucket) = try await Self.bucket()
        try await bucket.putObject("one", [1].span)
        let cursor = try await bucket.eventCursor()
        try await store.close()
        simulated.configuration.eventByteCount = 0
        store = try await simulated.open(seed: 2)
        bucket = try await store.defaultAccount.bucket("objects")
        try await bucket.putObject("two", [2].span)
        try await store.close()
        simulated.configuration.eventByteCount = 1 << 20
        simulated.clock.advance(by: .seconds(1))
        store = try await simulated.open(seed: 3)
        bucket = try await store.defaultAccount.bucket("objects")
        for _ in 0..<10 { try await bucket.putObject("three", [3].span) }
        #expect(await code { _ = try await bucket.events(after: cursor) } == .eventsLost)
        #expect(try await bucket.events().events.allSatisfy { $0.key == nil || $0.key == "three" })
        try await store.close()
    }

    @Test func `a store that keeps no events tells of none`() async throws {
        let (_, store, bucket) = try await Self.bucket { $0.configuration.eventByteCount = 0 }
        try await bucket.putObject("key", [1].span)
        let page = try await bucket.events(after: bucket.eventCursor())
        #expect(page.events.isEmpty && page.isAtEnd)
        try await store.close()
    }

    @Test(arguments: [1, 2, 3])
    func `whoever follows the events has what the bucket has, also after power cuts`(
        _ seed: UInt64
    ) async throws {
        var (simulated, store, bucket) = try await Self.bucket()
        var random = SeededGenerator(seed: seed)
        var mirror: [String: ETag] = [:]
        var blobs: Set<Digest> = []
        var cursor = try await bucket.eventCursor()
        for step in 0..<200 {
            let key = "k\(Int.random(in: 0..<6, using: &random))"
            switch Int.random(in: 0..<12, using: &random) {
            case 0:
                let next = simulated.afterPowerCut(seed: seed + UInt64(step))
                try await store.close()
                simulated = next
                store = try await simulated.open(seed: seed + UInt64(step))
                bucket = try await store.defaultAccount.bucket("objects")
            case 1...3: _ = await code { try await bucket.deleteObject(key) }
            case 4: _ = await code { try await bucket.renameObject(key, to: "k0") }
            default:
                let bytes = [UInt8.random(in: 0..<20, using: &random)]
                try await bucket.putObject(key, bytes.span)
            }
            guard step % 7 == 0 || step == 199 else { continue }
            let page = try await bucket.events(after: cursor)
            cursor = page.next
            for event in page.events {
                switch event.kind {
                case .objectWritten: mirror[event.key ?? ""] = event.etag
                case .objectDeleted: mirror[event.key ?? ""] = nil
                case .blobAdded: if let digest = event.digest { blobs.insert(digest) }
                case .blobRemoved: if let digest = event.digest { blobs.remove(digest) }
                default: Issue.record("an event that nobody caused: \(event)")
                }
            }
            let objects = try await bucket.objects().objects
            #expect(mirror == Dictionary(uniqueKeysWithValues: objects.map { ($0.key, $0.etag) }))
            #expect(blobs == Set(try await bucket.blobs().blobs.map(\.digest)))
        }
        try await store.close()
    }
}
