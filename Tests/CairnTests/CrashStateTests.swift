// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnSegments
import CairnTestSupport
import CairnTesting
import Foundation
import Synchronization
import Testing

@testable import Cairn

/// Every state in which a power cut can leave a store that does a little of everything.
///
/// A workload is stopped before each single change of the disk and before and after each commit
/// and sync of the index. For each of these moments several disks are made that a restarted machine
/// might find: with nothing lost, with everything lost that was not synced, and with each unsynced
/// change dropped, kept or torn by a seed. Whatever was acknowledged at that moment must be there,
/// whatever was deleted must be gone, and all invariants must hold.
@Suite struct CrashStateTests {
    /// How many different states a run looks at, at least: `CAIRN_CRASH_STATES`, or by default a
    /// number for a minute.
    private static let stateCountMin: Int = {
        let text = ProcessInfo.processInfo.environment["CAIRN_CRASH_STATES"]
        return text.flatMap(Int.init) ?? (isLong ? 100_000 : 1000)
    }()
    private static let seedsPerMoment: UInt64 = isLong ? 10 : 3

    @Test(.timeLimit(.minutes(isLong ? 600 : 15)))
    func `no crash state has lost or resurrected anything`() async throws {
        var seen: Set<Digest> = []
        var workloadSeed: UInt64 = 0
        while seen.count < Self.stateCountMin {
            workloadSeed += 1
            let workload = CrashWorkload(seed: workloadSeed)
            let moments = try await workload.run()
            #expect(moments.count > 50)
            let wanted = Self.stateCountMin - seen.count
            try await Self.explore(workload, moments, upTo: wanted, &seen)
        }
        print("explored \(seen.count) crash states of \(workloadSeed) workloads")
    }

    // All moments, spread over the run when there are more states than wanted.
    private static func explore(
        _ workload: CrashWorkload, _ moments: [CrashWorkload.Moment], upTo count: Int,
        _ seen: inout Set<Digest>
    ) async throws {
        var states: [(CrashWorkload.Moment, SimulatedCrash, UInt64)] = []
        for (number, moment) in moments.enumerated() {
            let seed = workload.seed << 32 | UInt64(number) << 8
            states.append((moment, .keepAll, seed))
            states.append((moment, .dropAll, seed + 1))
            for extra in 0..<seedsPerMoment {
                states.append((moment, .random(seed: seed + 2 + extra), seed + 2 + extra))
            }
        }
        let stride = max(1, states.count / max(1, count))
        let chosen = states.indices.filter { $0.isMultiple(of: stride) }.map { states[$0] }
        var known = seen
        try await withThrowingTaskGroup(of: Digest?.self) { group in
            var rest = chosen[...]
            func next() {
                guard let (moment, crash, seed) = rest.popFirst() else { return }
                group.addTask { try await workload.check(moment, crash, seed: seed) }
            }
            for _ in 0..<2 { next() }
            for try await digest in group {
                if let digest { known.insert(digest) }
                next()
            }
        }
        seen = known
    }
}

/// Some of everything, done in the order that a seed decides, and watched.
private final class CrashWorkload: Sendable {
    /// A moment at which the power may go.
    struct Moment: Sendable {
        var disk: SimulatedDisk
        var index: InMemoryIndex
        /// By bucket and blob: whether it must be there. What is under way is not here.
        var settled: [Key: Bool]
    }

    struct Key: Hashable, Sendable {
        var bucket: Int
        var blob: Int
    }

    let seed: UInt64
    private let simulated: SimulatedStore
    private let blobs: [[UInt8]]
    private let digests: [Digest]
    private let settled = Shared<[Key: Bool]>([:])
    private let moments = Shared<[Moment]>([])

    init(seed: UInt64) {
        self.seed = seed
        var simulated = SimulatedStore(segmentByteCount: 512 << 10)
        // Small, so that segments end in the middle of things and states are soon looked at.
        simulated.segments.bufferByteCount = 128 << 10
        simulated.segments.reservedByteCountMin = 64 << 10
        simulated.segments.reservedByteCountMax = 64 << 10
        self.simulated = simulated
        let text = TestData.compressible(90_000, seed: seed)
        let noise = TestData.random(60_000, seed: seed)
        blobs = [
            Array(text[..<60_000]), Array(text[30_000...]), noise, Array(noise[..<20_000]),
            Array(text[..<3000]), [],
        ]
        digests = blobs.map { Digest.sha256(of: $0.span) }
    }

    /// Does the work; answers the moments at which it could have been cut off.
    func run() async throws -> [Moment] {
        let store = try await simulated.open(seed: seed)
        let buckets = [
            try await store.defaultAccount.createBucket("one"),
            try await store.defaultAccount.createBucket("two"),
        ]
        settled.update { settled in
            for bucket in 0..<2 {
                for blob in blobs.indices {
                    settled[Key(bucket: bucket, blob: blob)] = false
                }
            }
        }
        simulated.disk.setObserver { [self] _ in note() }
        simulated.index.setObserver { [self] operation, _ in
            if operation == .commit || operation == .sync { note() }
        }
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<24 {
            let bucket = Int.random(in: 0..<2, using: &generator)
            let blob = Int.random(in: blobs.indices, using: &generator)
            let kind = Int.random(in: 0..<12, using: &generator)
            try await step(kind, Key(bucket: bucket, blob: blob), buckets, store)
        }
        simulated.disk.setObserver(nil)
        simulated.index.setObserver(nil)
        try await store.close()
        return moments.current
    }

    /// Opens what a power cut at a moment left and compares.
    ///
    /// - Returns: what tells the state from others.
    func check(_ moment: Moment, _ crash: SimulatedCrash, seed: UInt64) async throws -> Digest? {
        let found = simulated.found(moment.disk.crash(crash), moment.index.crash(seed: seed))
        let fingerprint = Self.fingerprint(found)
        let store = try await found.open(seed: seed)
        try await expect(moment.settled, in: store, seed: seed)
        let hasCatalogue = store.engine.catalogue.isComplete
        try await store.close()
        // And without the index, unless the power cut took the end of the catalogue.
        guard hasCatalogue, seed % 8 == 0 else { return fingerprint }
        found.loseIndex()
        let report = try await found.repair(seed: seed)
        #expect(report.isComplete && report.lostBlobs.isEmpty, "seed \(seed)")
        let repaired = try await found.open(seed: seed)
        try await expect(moment.settled, in: repaired, seed: seed)
        try await repaired.close()
        return fingerprint
    }

    private func expect(
        _ settled: [Key: Bool], in store: Store, seed: UInt64
    ) async throws {
        for (key, isPresent) in settled {
            let bucket = try await store.defaultAccount.bucket(key.bucket == 0 ? "one" : "two")
            let digest = digests[key.blob]
            if isPresent {
                #expect(try await bucket.contents(digest) == blobs[key.blob], "seed \(seed)")
            } else {
                let absent = await code { _ = try await bucket.stat(digest) }
                #expect(absent == .blobUnknown, "seed \(seed)")
            }
        }
        let report = try await store.verify(.full)
        #expect(report.problems.map(\.description) == [], "seed \(seed)")
    }

    // MARK: -

    // What is settled first: it must be there in whatever comes after.
    private func note() {
        let known = settled.current
        guard let (disk, index) = simulated.moment() else { return }
        moments.update { $0.append(Moment(disk: disk, index: index, settled: known)) }
    }

    private static func fingerprint(_ found: SimulatedStore) -> Digest {
        var sha = SHA256()
        for (path, bytes) in found.disk.files() {
            sha.update(Array(path.utf8).span)
            sha.update(bytes.span)
        }
        for table in Tables.all {
            // Rows differ whenever the number of commits does.
            let rows = (try? found.index.scan(table, prefix: [], limit: 100_000)) ?? []
            for row in rows {
                sha.update(row.key.span)
                sha.update(row.value.span)
            }
        }
        return sha.digest
    }

    private func step(
        _ kind: Int, _ key: Key, _ buckets: [Bucket], _ store: Store
    ) async throws {
        let bucket = buckets[key.bucket]
        switch kind {
        case 0...3: try await changing(key, to: true) { try await bucket.put(self.blobs[key.blob]) }
        case 4: try await upload(key, bucket)
        case 5, 6:
            guard settled.current[key] == true else { return }
            try await changing(key, to: false) {
                try await bucket.deleteBlob(self.digests[key.blob])
            }
        case 7:
            let source = Key(bucket: 1 - key.bucket, blob: key.blob)
            guard settled.current[source] == true else { return }
            try await changing(key, to: true) {
                try await bucket.mountBlob(self.digests[key.blob], from: buckets[source.bucket])
            }
        case 8: try await store.sweep()
        case 9:
            try store.engine.segments.seal()
            var configuration = CompactionConfiguration()
            configuration.deadShareMin = 0
            try await store.compact(configuration)
        case 10: try await store.engine.foldCatalogue()
        default: try await store.scrub()
        }
    }

    private func upload(_ key: Key, _ bucket: Bucket) async throws {
        let bytes = blobs[key.blob]
        let session = try await bucket.beginUpload()
        try await session.append(bytes.span.extracting(..<(bytes.count / 2)))
        try await session.suspend()
        let resumed = try await bucket.resumeUpload(session.id)
        try await resumed.append(bytes.span.extracting((bytes.count / 2)...))
        try await changing(key, to: true) {
            try await resumed.commit(expecting: self.digests[key.blob])
        }
    }

    private func changing<R>(
        _ key: Key, to isPresent: Bool, _ body: () async throws -> R
    ) async throws {
        settled.update { $0[key] = nil }
        _ = try await body()
        settled.update { $0[key] = isPresent }
    }
}
