// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import CairnTesting
import Synchronization
import Testing

@testable import Cairn

/// The hard races, in every order that one interruption can make.
///
/// Two operations are run on a fresh store: the first is held up at its n-th look at the index,
/// before or after it, the second runs meanwhile to its end, or until it has to wait for the first,
/// then the first goes on. That for every n, and with the roles exchanged. What changes the index
/// is one transaction after the other, so looks at the index are where operations can meet.
@Suite struct RaceTests {
    /// Two operations and what must hold after both.
    struct Race: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Runs before, undisturbed.
        let prepare: @Sendable (RaceWorld) async throws -> Void
        let first: @Sendable (RaceWorld) async throws -> Void
        let second: @Sendable (RaceWorld) async throws -> Void
        let check: @Sendable (RaceWorld) async throws -> Void
    }

    @Test(arguments: Race.all)
    func `every order of two operations ends well`(_ race: Race) async throws {
        var orderCount = 0
        for isExchanged in [false, true] {
            var number = 1
            while true {
                let wasHeld = try await Self.run(race, isExchanged: isExchanged, holdingAt: number)
                guard wasHeld else { break }
                number += 1
            }
            // The last order is the one without an interruption.
            orderCount += number
        }
        #expect(orderCount > 10, "\(race.testDescription): nothing to hold up")
        print("\(race.testDescription): \(orderCount) orders")
    }

    // False: the first operation has fewer looks at the index.
    private static func run(
        _ race: Race, isExchanged: Bool, holdingAt number: Int
    ) async throws -> Bool {
        let world = try await RaceWorld()
        try await race.prepare(world)
        let (held, other) = isExchanged ? (race.second, race.first) : (race.first, race.second)
        let hold = Hold(at: number)
        world.simulated.index.setObserver { operation, _ in
            switch operation {
            case .get, .getMany, .scan, .snapshot: hold.pass()
            // The committer's: held up, it would hold up everybody.
            case .begin, .commit, .sync: break
            }
        }
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await held(world)
                hold.finishFirst()
            }
            await hold.untilHeldOrFinished()
            group.addTask {
                try await other(world)
                hold.finishSecond()
            }
            await hold.untilSecondIsDoneOrStuck()
            hold.release()
            try await group.waitForAll()
        }
        world.simulated.index.setObserver(nil)
        try await race.check(world)
        try await check(world.store)
        try await world.store.sweep()
        try await check(world.store)
        try await world.store.close()
        return hold.wasReached
    }
}

/// A store with two buckets, and what the operations of a race have to tell each other.
final class RaceWorld: Sendable {
    static let bytes = TestData.compressible(70_000, seed: 90)
    static let digest = Digest.sha256(of: bytes.span)

    let simulated: SimulatedStore
    let store: Store
    let one: Bucket
    let two: Bucket
    let uploadID = Shared<UploadID?>(nil)
    /// How the operations ended: nil is success.
    let codes = Shared<[String: StoreError.Code?]>([:])

    init() async throws {
        var simulated = SimulatedStore(segmentByteCount: 8 << 20)
        // Held threads are no use to others.
        simulated.configuration.workerCount = 4
        self.simulated = simulated
        store = try await simulated.open()
        one = try await store.defaultAccount.createBucket("one")
        two = try await store.defaultAccount.createBucket("two")
    }

    func note(_ name: String, _ body: () async throws -> Void) async {
        let found = await code(of: body)
        codes.update { $0[name] = .some(found) }
    }

    func ended(_ name: String) -> StoreError.Code? { codes.current[name] ?? nil }

    /// Sweeps, and removes every segment from which anything can be moved.
    func reclaim() async throws {
        try await store.sweep()
        try store.engine.segments.seal()
        var configuration = CompactionConfiguration()
        configuration.deadShareMin = 0
        try await store.compact(configuration)
    }

    func expectReadable(in bucket: Bucket) async throws {
        #expect(try await bucket.contents(Self.digest) == Self.bytes)
    }
}

/// Holds up the n-th of the calls that are made before anybody else may run.
private final class Hold: Sendable {
    private struct State {
        var rest: Int
        var isHeld = false
        var isReleased = false
        var isFirstDone = false
        var isSecondDone = false
    }

    /// Far longer than an operation takes that need not wait for the other.
    private static let stuckTime = Duration.milliseconds(isLong ? 1000 : 250)

    private let state: Monitor<State>

    init(at number: Int) { state = Monitor(State(rest: number)) }

    /// Whether there was an n-th call.
    var wasReached: Bool { state.withLock { $0.isHeld } }

    func pass() {
        let holds = state.update { state in
            guard !state.isHeld, !state.isFirstDone else { return false }
            state.rest -= 1
            guard state.rest == 0 else { return false }
            state.isHeld = true
            return true
        }
        guard holds else { return }
        state.wait { $0.isReleased ? () : nil }
    }

    func release() { state.update { $0.isReleased = true } }
    func finishFirst() { state.update { $0.isFirstDone = true } }
    func finishSecond() { state.update { $0.isSecondDone = true } }

    func untilHeldOrFinished() async {
        while !state.withLock({ $0.isHeld || $0.isFirstDone }) { await Self.pause() }
    }

    func untilSecondIsDoneOrStuck() async {
        let clock = ContinuousClock()
        let end = clock.now + Self.stuckTime
        while clock.now < end, !state.withLock({ $0.isSecondDone }) { await Self.pause() }
    }

    private static func pause() async {
        // Cancelled only when another operation has failed, which is what is reported then.
        do { try await Task.sleep(for: .microseconds(200)) } catch {}
    }
}

extension RaceTests.Race {
    static let all =
        [hitAgainstSweep, commitAgainstCompaction, mountAgainstDelete]
        + [resumeAgainstExpiry, readAgainstReclaim, deleteAgainstDelete, bucketAgainstUpload]

    // The bytes are there when the upload looks, and nobody's when it commits.
    private static let hitAgainstSweep = Self(
        testDescription: "dedup hit against sweep",
        prepare: { try await $0.one.put(RaceWorld.bytes) },
        first: { try await $0.two.put(RaceWorld.bytes) },
        second: { world in
            try await world.one.deleteBlob(RaceWorld.digest)
            try await world.reclaim()
        },
        check: { try await $0.expectReadable(in: $0.two) })

    private static let commitAgainstCompaction = Self(
        testDescription: "commit against compaction",
        prepare: { world in
            try await world.one.put(TestData.compressible(70_000, seed: 91))
            try await world.two.put(RaceWorld.bytes)
        },
        first: { try await $0.one.put(RaceWorld.bytes) },
        second: { try await $0.reclaim() },
        check: { world in
            try await world.expectReadable(in: world.one)
            try await world.expectReadable(in: world.two)
        })

    private static let mountAgainstDelete = Self(
        testDescription: "mount against delete",
        prepare: { try await $0.one.put(RaceWorld.bytes) },
        first: { world in
            await world.note("mount") {
                try await world.two.mountBlob(RaceWorld.digest, from: world.one)
            }
        },
        second: { world in
            try await world.one.deleteBlob(RaceWorld.digest)
            try await world.reclaim()
        },
        check: { world in
            switch world.ended("mount") {
            case nil: try await world.expectReadable(in: world.two)
            case .blobUnknown?:
                let found = await code { _ = try await world.two.stat(RaceWorld.digest) }
                #expect(found == .blobUnknown)
            case let other?: Issue.record("the mount failed with \(other)")
            }
        })

    private static let resumeAgainstExpiry = Self(
        testDescription: "resume against expiry",
        prepare: { world in
            let session = try await world.one.beginUpload()
            try await session.append(RaceWorld.bytes.span.extracting(..<50_000))
            try await session.suspend()
            world.uploadID.update { $0 = session.id }
            world.simulated.clock.advance(by: .seconds(24 * 3600 + 1))
        },
        first: { world in
            await world.note("resume") {
                let session = try await world.one.resumeUpload(try #require(world.uploadID.current))
                try await session.append(RaceWorld.bytes.span.extracting(50_000...))
                try await session.commit(expecting: RaceWorld.digest)
            }
        },
        second: { world in
            try await world.store.reapExpiredUploads()
            try await world.reclaim()
        },
        check: { world in
            switch world.ended("resume") {
            case nil: try await world.expectReadable(in: world.one)
            case .uploadUnknown?, .uploadExpired?, .uploadBusy?:
                #expect(try await world.one.describe().blobCount == 0)
            case let other?: Issue.record("the upload failed with \(other)")
            }
            try await world.store.reapExpiredUploads()
            #expect(try await world.one.uploads().isEmpty)
        })

    private static let readAgainstReclaim = Self(
        testDescription: "read against delete, sweep and compaction",
        prepare: { try await $0.one.put(RaceWorld.bytes) },
        first: { world in
            await world.note("read") { try await world.expectReadable(in: world.one) }
        },
        second: { world in
            try await world.one.deleteBlob(RaceWorld.digest)
            try await world.reclaim()
        },
        check: { world in
            let read = world.ended("read")
            #expect(read == nil || read == .blobUnknown)
        })

    private static let deleteAgainstDelete = Self(
        testDescription: "delete against delete",
        prepare: { world in
            try await world.one.put(RaceWorld.bytes)
            try await world.two.put(RaceWorld.bytes)
        },
        first: { world in
            await world.note("first") { try await world.one.deleteBlob(RaceWorld.digest) }
            try await world.two.deleteBlob(RaceWorld.digest)
        },
        second: { world in
            await world.note("second") { try await world.one.deleteBlob(RaceWorld.digest) }
            try await world.reclaim()
        },
        check: { world in
            let ends = [world.ended("first"), world.ended("second")]
            #expect(ends.count { $0 == nil } == 1)
            #expect(ends.contains(.blobUnknown))
            try await world.store.sweep()
            #expect(try await world.store.statistics().chunkCount == 0)
        })

    private static let bucketAgainstUpload = Self(
        testDescription: "deleting a bucket against an upload into it",
        prepare: { try await $0.two.put(RaceWorld.bytes) },
        first: { world in
            await world.note("upload") {
                let session = try await world.one.beginUpload()
                try await session.append(RaceWorld.bytes.span)
                try await session.commit(expecting: RaceWorld.digest)
            }
        },
        second: { world in
            try await world.store.defaultAccount.deleteBucket("one", contents: .delete)
            try await world.reclaim()
        },
        check: { world in
            let end = world.ended("upload")
            #expect([nil, .bucketUnknown, .uploadUnknown].contains(end))
            try await world.expectReadable(in: world.two)
            let gone = await code { _ = try await world.store.defaultAccount.bucket("one") }
            #expect(gone == .bucketUnknown)
            try await world.two.deleteBlob(RaceWorld.digest)
            try await world.store.sweep()
            #expect(try await world.store.statistics().chunkCount == 0)
        })
}
