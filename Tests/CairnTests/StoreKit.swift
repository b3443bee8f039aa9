// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnIndex
import CairnSegments
import CairnTestSupport
import CairnTesting
import Foundation
import Synchronization
import Testing

/// Whether tests that take long are wanted.
let isLong = ProcessInfo.processInfo.environment["CAIRN_LONG_TESTS"] == "1"

/// A store on a simulated disk and an index in memory.
struct SimulatedStore {
    var disk = SimulatedDisk()
    private var slot = IndexSlot(InMemoryIndex(tables: []))
    private var newSlot = IndexSlot(InMemoryIndex(tables: []))
    var clock = ManualClock()
    var configuration = StoreConfiguration()
    var segments = SegmentConfiguration()

    init(segmentByteCount: UInt64 = 16 << 20) {
        segments.segmentByteCount = segmentByteCount
        configuration.workerCount = 2
        configuration.checkpointByteCount = 1 << 20
    }

    func open(seed: UInt64 = 1) async throws -> Store {
        try await Store.open(
            seams(seed), unlock: .keyFile(path: nil), configuration: configuration)
    }

    func repair(seed: UInt64 = 2) async throws -> RepairReport {
        try await Store.repair(
            seams(seed), unlock: .keyFile(path: nil), configuration: configuration)
    }

    /// Forgets the index, as if its files had been removed.
    func loseIndex() { setIndex(InMemoryIndex(tables: [])) }

    /// Puts another index in place of the store's.
    func setIndex(_ index: InMemoryIndex) { slot.replace(with: index) }

    private func seams(_ seed: UInt64) -> StoreSeams {
        let (index, newIndex) = (slot, newSlot)
        return StoreSeams(
            disk: disk,
            openIndex: { (tables, _) throws(IndexError) in try index.open(tables) },
            openNewIndex: { (tables) throws(IndexError) in
                newIndex.replace(with: InMemoryIndex(tables: []))
                return try newIndex.open(tables)
            },
            installNewIndex: { () throws(DiskError) in index.replace(with: newIndex.current) },
            discardNewIndex: {},
            clock: clock, random: SeededRandom(seed: seed), segments: segments)
    }

    /// The index as it is.
    var index: InMemoryIndex { slot.current }

    /// A store that was found on this disk with this index.
    func found(_ disk: SimulatedDisk, _ index: InMemoryIndex) -> SimulatedStore {
        var copy = self
        copy.disk = disk
        copy.slot = IndexSlot(index)
        copy.newSlot = IndexSlot(InMemoryIndex(tables: []))
        return copy
    }

    /// What is left after a power cut now: at least everything that was acknowledged.
    func afterPowerCut(seed: UInt64) -> SimulatedStore {
        while true {
            if let (disk, index) = moment() {
                return found(disk.crash(seed: seed), index.crash(seed: seed))
            }
        }
    }

    /// Disk and index as they are at one moment; nil when there was none, because somebody went on
    /// in between.
    func moment() -> (SimulatedDisk, InMemoryIndex)? {
        let removedCount = disk.count(of: .remove)
        let syncCount = index.syncCount
        // The index first: its synced rows never refer to segments that were synced later.
        let copies = (index: index.copy(), disk: disk.copy())
        // Nor to one that was removed in between; and the catalogue says what the index synced.
        guard disk.count(of: .remove) == removedCount, index.syncCount == syncCount else {
            return nil
        }
        return (copies.disk, copies.index)
    }
}

/// The index that the store has now; copies of a simulated store share it.
private final class IndexSlot: Sendable {
    private let slot: Mutex<InMemoryIndex>

    init(_ index: InMemoryIndex) { slot = Mutex(index) }

    var current: InMemoryIndex { slot.withLock { $0 } }

    func replace(with index: InMemoryIndex) { slot.withLock { $0 = index } }

    func open(_ tables: [IndexTable]) throws(IndexError) -> any Index {
        let reopened = try current.reopened(tables: tables)
        slot.withLock { $0 = reopened }
        return reopened
    }
}

/// What a blob turned out to hold.
///
/// Not an array: of two long arrays that differ an expectation would compute all differences.
struct Contents: Sendable, CustomStringConvertible {
    var array: [UInt8] = []

    var count: Int { array.count }
    var digest: Digest { Digest.sha256(of: array.span) }
    var description: String { "\(count) bytes" }

    static func == (contents: Contents, bytes: [UInt8]) -> Bool { contents.array == bytes }
}

extension Bucket {
    func contents(_ digest: Digest) async throws -> Contents {
        var contents = Contents()
        for try await buffer in try await openBlob(digest).bytes() { contents.array += buffer }
        return contents
    }

    @discardableResult
    func put(_ bytes: [UInt8]) async throws -> BlobDescription {
        try await putBlob(bytes.span)
    }
}

extension MultipartUpload {
    @discardableResult
    func put(
        _ number: Int, _ bytes: [UInt8], expecting digest: Digest? = nil
    ) async throws -> PartDescription {
        try await putPart(number, bytes.span, expecting: digest)
    }
}

/// The code of the error that `body` throws; nil when it throws none. Any other kind of error is
/// a fault of the store.
func code(of body: () async throws -> Void) async -> StoreError.Code? {
    do {
        try await body()
        return nil
    } catch let error as StoreError {
        return error.code
    } catch {
        Issue.record(error)
        return nil
    }
}

func check(_ store: Store) async throws {
    let report = try await store.verify(.full)
    #expect(report.problems.map(\.description) == [])
    #expect(report.isSound)
}

/// Blobs that have much in common, of all kinds of length.
struct ContentPool: Sendable {
    let blobs: [[UInt8]]
    let digests: [Digest]

    init(seed: UInt64) {
        let text = TestData.compressible(1_500_000, seed: seed)
        let noise = TestData.random(1_200_000, seed: seed)
        blobs = [
            Array(text[..<900_000]), Array(text[300_000...]), Array(text[..<1_200_000]),
            noise, Array(noise[..<200_000]), Array(text[..<5000]), Array(text[..<20_000]), [],
        ]
        digests = blobs.map { Digest.sha256(of: $0.span) }
    }
}
