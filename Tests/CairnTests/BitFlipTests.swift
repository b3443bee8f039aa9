// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import CairnTesting
import Foundation
import Testing

@testable import Cairn

/// A bit that flips anywhere is an error with a name, or makes no difference; never other bytes.
@Suite struct BitFlipTests {
    private static let blobs = [
        TestData.compressible(40_000, seed: 70), TestData.random(17_000, seed: 71), [1, 2, 3],
    ]
    private static let digests = blobs.map { Digest.sha256(of: $0.span) }

    /// Reads everything; answers how many blobs could not be read.
    private static func read(_ bucket: Bucket, _ place: String) async throws -> Int {
        var failureCount = 0
        for (blob, digest) in zip(blobs, digests) {
            do {
                let isSame = try await bucket.contents(digest) == blob
                #expect(isSame, "other bytes: \(place)")
            } catch let error as StoreError {
                #expect(error.code == .corrupted, "\(place)")
                failureCount += 1
            }
        }
        return failureCount
    }

    // Every byte that a blob is read from, and every byte of header, footer and padding besides.
    @Test(.timeLimit(.minutes(isLong ? 240 : 15)))
    func `every flipped bit of a segment is found and none is served`() async throws {
        let simulated = SimulatedStore(segmentByteCount: 8 << 20)
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        for blob in Self.blobs { try await bucket.put(blob) }
        try store.engine.segments.seal()
        let path = "segments/00000001.segment"
        let sound = try #require(simulated.disk.contents(of: path))
        #expect(try await Self.read(bucket, "untouched") == 0)
        var flipCount = 0
        // A prime, so that all residues are met, and all bits.
        for offset in stride(from: 0, to: sound.count, by: isLong ? 1 : 23) {
            for bit in isLong ? Array(0..<8) : [flipCount % 8] {
                var flipped = sound
                flipped[offset] ^= 1 << UInt8(bit)
                simulated.disk.setContents(of: path, to: flipped)
                let place = "byte \(offset), bit \(bit)"
                let report = try store.engine.segments.scan(SegmentNumber(1)) { _, _ in }
                // The summary of a segment that is open is known; its edges are read at opening.
                let isEdge = offset < 4096 || offset >= sound.count - 4096
                let isFound =
                    try !report.damage.isEmpty || (isEdge && isDamagedEdge(flipped, simulated))
                #expect(isFound, "\(place)")
                _ = try await Self.read(bucket, place)
                flipCount += 1
            }
        }
        simulated.disk.setContents(of: path, to: sound)
        print("flipped \(flipCount) bits of a segment of \(sound.count) bytes")
        try await store.close()
    }

    // A store of segments that opens afresh finds a damaged header or footer, and recovers it.
    private func isDamagedEdge(
        _ bytes: [UInt8], _ simulated: SimulatedStore
    ) throws -> Bool {
        let disk = SimulatedDisk()
        try disk.createDirectory("segments")
        disk.setContents(of: "segments/00000001.segment", to: bytes)
        let storeID = try StoreFormat.decodeMarker(#require(simulated.disk.contents(of: "CAIRN")))
        let changeCount = disk.changeCount
        do {
            let segments = try LocalSegmentStore.open(disk: disk, storeID: storeID)
            let summary = try segments.segments()
            // Recovered anew: it was written to, or had nothing left that is whole.
            let isRecovered = disk.count(of: .write) + disk.count(of: .truncate) > 0
            try segments.close()
            return isRecovered || summary.isEmpty || disk.changeCount > changeCount + 4
        } catch {
            return true
        }
    }

    @Test(.timeLimit(.minutes(isLong ? 240 : 15)), arguments: [true, false])
    func `a flipped bit of the index is found, and a repair brings everything back`(
        _ isClosed: Bool
    ) async throws {
        let directory = try TemporaryDirectory()
        let origin = directory.path("origin")
        let store = try await Store.open(at: origin)
        let bucket = try await store.defaultAccount.createBucket("one")
        for blob in Self.blobs { try await bucket.put(blob) }
        // Either as closing leaves it, or with everything in RocksDB's log.
        if isClosed { try await store.close() } else { try store.engine.catalogue.sync() }
        let copy = directory.path("copy")
        try Self.copyTree(origin, to: copy)
        if !isClosed { try await store.close() }
        let index = try FileManager.default.contentsOfDirectory(atPath: copy + "/index").sorted()
        var generator = SeededGenerator(seed: 72)
        var counts = (flipped: 0, refused: 0, unread: 0, repaired: 0)
        for round in 0..<(isLong ? 3000 : 60) {
            let name = index[round % index.count]
            let tried = directory.path("tried")
            try Self.copyTree(copy, to: tried)
            let file = URL(fileURLWithPath: tried + "/index/" + name)
            var bytes = try [UInt8](Data(contentsOf: file))
            guard !bytes.isEmpty else {
                try FileManager.default.removeItem(atPath: tried)
                continue
            }
            let offset = Int.random(in: bytes.indices, using: &generator)
            bytes[offset] ^= 1 << UInt8(round % 8)
            try Data(bytes).write(to: file)
            counts.flipped += 1
            let place = "\(name), byte \(offset), bit \(round % 8)"
            var isWhole = false
            do {
                let store = try await Store.open(at: tried)
                do {
                    let bucket = try await store.defaultAccount.bucket("one")
                    isWhole = try await Self.read(bucket, place) == 0
                } catch let error as StoreError {
                    // Never "there is no such blob" or bucket: it was acknowledged.
                    #expect(error.code == .corrupted, "\(place)")
                }
                if !isWhole { counts.unread += 1 }
                _ = await code { try await store.close() }
            } catch let error as StoreError {
                #expect(
                    [.corrupted, .io, .formatTooNew].contains(error.code), "\(place): \(error)")
                counts.refused += 1
            }
            if !isWhole {
                let report = try await Store.repair(at: tried)
                // Of a store that was killed nobody can say for certain, and nothing is missing.
                #expect(report.isComplete || !isClosed, "\(place)")
                #expect(report.lostBlobs.isEmpty, "\(place)")
                let store = try await Store.open(at: tried)
                let bucket = try await store.defaultAccount.bucket("one")
                #expect(try await Self.read(bucket, place) == 0)
                try await check(store)
                try await store.close()
                counts.repaired += 1
            }
            try FileManager.default.removeItem(atPath: tried)
        }
        print("flipped bits of the index: \(counts)")
    }

    private static func copyTree(_ source: String, to target: String) throws {
        try FileManager.default.copyItem(atPath: source, toPath: target)
        // Copying follows the process's mask; these are the store's own.
        let paths = [(target, 0o700), (target + "/keyring.key", 0o600)]
        for (path, mode) in paths {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        }
    }
}
