// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@testable import Cairn

/// How long an answer takes does not tell whether bytes exist that the caller may not read.
@Suite(.serialized) struct ExistenceTimingTests {
    @Test func `a blob that only others have is looked for as long as one that nobody has`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let theirs = try await store.createAccount("theirs").createBucket("blobs")
        let mine = try await store.defaultAccount.createBucket("blobs")
        var existing: [Digest] = []
        var absent: [Digest] = []
        for number in 0..<1500 {
            let bytes = Array("blob \(number)".utf8)
            existing.append(try await theirs.put(bytes).digest)
            absent.append(Digest.sha256(of: Array("nobody has \(number)".utf8).span))
        }
        try await mine.put([1])
        let share = try await Self.shareOfSlower(existing, absent) { digest in
            #expect(await code { _ = try await mine.stat(digest) } == .blobUnknown)
        }
        // A fair coin falls outside of this once in some million times.
        #expect((0.45...0.55).contains(share), "the blobs of others are slower in \(share)")
        try await store.close()
    }

    @Test func `bytes that another domain has are stored as slowly as new ones`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let theirs = try await store.createAccount("theirs").createBucket("blobs")
        let mine = try await store.defaultAccount.createBucket("blobs")
        var existing: [[UInt8]] = []
        var new: [[UInt8]] = []
        for number in 0..<200 {
            existing.append(TestData.random(40_000, seed: UInt64(number)))
            new.append(TestData.random(40_000, seed: UInt64(number + 1000)))
            try await theirs.put(existing[number])
        }
        let before = try await store.engine.chunkCount()
        let share = try await Self.shareOfSlower(existing, new) { try await mine.put($0) }
        #expect((0.37...0.63).contains(share), "the bytes of others are slower in \(share)")
        #expect(try await store.engine.chunkCount() > before + 390)
        try await store.close()
    }

    // How often an item of `first` takes longer than one of `second` (Mann and Whitney's U, as a
    // share of all pairs): one half when the distributions are the same. Taken in turn, so that
    // both see the machine alike.
    private static func shareOfSlower<Item>(
        _ first: [Item], _ second: [Item], _ body: (Item) async throws -> Void
    ) async throws -> Double {
        var times: [(time: Duration, isFirst: Bool)] = []
        for (number, (one, two)) in zip(first, second).enumerated() {
            let order =
                number.isMultiple(of: 2)
                ? [(one, true), (two, false)] : [(two, false), (one, true)]
            for (item, isFirst) in order {
                let start = ContinuousClock.now
                try await body(item)
                times.append((ContinuousClock.now - start, isFirst))
            }
        }
        times.sort { $0.time < $1.time }
        var rankSum = 0
        for (rank, time) in times.enumerated() where time.isFirst { rankSum += rank + 1 }
        let (n, m) = (first.count, second.count)
        return Double(rankSum - n * (n + 1) / 2) / Double(n * m)
    }
}
