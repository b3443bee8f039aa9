// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnSegments
import CairnTestSupport
import CairnTesting
import Foundation
import Synchronization
import Testing

@testable import Cairn

/// A copy of a store in use is a store, with everything that was acknowledged before.
@Suite struct BackupTests {
    private static let configuration: StoreConfiguration = {
        var configuration = StoreConfiguration()
        configuration.segmentByteCount = 8 << 20
        return configuration
    }()

    private static func open(_ path: String, key: String? = nil) async throws -> Store {
        try await Store.open(
            at: path, unlock: .keyFile(path: key), configuration: configuration)
    }

    private static func linkCount(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.referenceCount] as? Int)
    }

    @Test func `a backup under load has all that was acknowledged, and opens as a store`()
        async throws
    {
        let directory = try TemporaryDirectory()
        let store = try await Self.open(directory.path("store"))
        let bucket = try await store.defaultAccount.createBucket("one")
        let acknowledged = Shared<Set<Digest>>([])
        let isDone = Shared(false)
        try await withThrowingTaskGroup { group in
            for writer in 0..<3 as Range<UInt64> {
                group.addTask {
                    var seed = writer * 1000
                    while !isDone.current {
                        seed += 1
                        let size = seed % 3 == 0 ? 2000 : 900_000
                        let blob = try await bucket.put(TestData.random(size, seed: seed))
                        acknowledged.update { _ = $0.insert(blob.digest) }
                        // Something that is deleted and swept while the backup is written.
                        if seed % 4 == 0 {
                            acknowledged.update { _ = $0.remove(blob.digest) }
                            try await bucket.deleteBlob(blob.digest)
                        }
                    }
                }
            }
            group.addTask {
                var eager = CompactionConfiguration()
                eager.deadShareMin = 0.01
                while !isDone.current {
                    try await store.sweep()
                    try await store.compact(eager)
                }
            }
            defer { isDone.update { $0 = true } }
            for number in 1...3 {
                while acknowledged.current.count < 12 * number {
                    try await Task.sleep(for: .milliseconds(5))
                }
                let known = acknowledged.current
                let path = directory.path("backup\(number)")
                let report = try await store.backUp(to: path)
                #expect(!report.includesKeyFile)
                #expect(!FileManager.default.fileExists(atPath: path + "/keyring.key"))
                #expect(await code { _ = try await Self.open(path) } == .keyUnavailable)
                let key = directory.path("store") + "/keyring.key"
                let copy = try await Self.open(path, key: key)
                try await check(copy)
                let found = try await copy.defaultAccount.bucket("one")
                for digest in known {
                    // Deleted since we looked, by a client that had not told us yet.
                    guard acknowledged.current.contains(digest) else { continue }
                    #expect(try await found.contents(digest).digest == digest)
                }
                try await found.put([1, 2, 3])
                try await copy.sweep()
                try await check(copy)
                try await copy.close()
            }
        }
        try await check(store)
        try await store.close()
    }

    @Test func `backups share sealed segments with the store and with each other`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await Self.open(directory.path("store"))
        let bucket = try await store.defaultAccount.createBucket("one")
        for seed in 1...5 as ClosedRange<UInt64> {
            try await bucket.put(TestData.random(3_000_000, seed: seed))
        }
        let first = try await store.backUp(to: directory.path("first"))
        #expect(first.segmentCount == 2)
        #expect(first.linkedByteCount > 8_000_000)
        #expect(first.copiedByteCount < 8_000_000)
        try await bucket.put(TestData.random(3_000_000, seed: 6))
        let second = try await store.backUp(to: directory.path("second"), includesKeyFile: true)
        #expect(second.includesKeyFile)
        let segment = "/segments/00000001.segment"
        for name in ["store", "first", "second"] {
            #expect(try Self.linkCount(directory.path(name) + segment) == 3)
        }
        // What the store does afterwards does not touch the copies.
        for seed in 1...6 as ClosedRange<UInt64> {
            try await bucket.deleteBlob(
                Digest.sha256(of: TestData.random(3_000_000, seed: seed).span))
        }
        try await store.sweep()
        try await store.compact()
        try await store.close()
        let copy = try await Self.open(directory.path("second"))
        #expect(try await copy.statistics().blobCount == 6)
        #expect(try await copy.verifyAudit().problems == [])
        try await check(copy)
        try await copy.close()
    }

    @Test func `only an empty directory takes a backup`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await Self.open(directory.path("store"))
        try await store.backUp(to: directory.path("backup"))
        for path in ["backup", "store"] {
            #expect(
                await code { try await store.backUp(to: directory.path(path)) }
                    == .invalidArgument)
        }
        #expect(await code { try await store.backUp(to: directory.path("no/where")) } == .io)
        try await check(store)
        try await store.close()
        #expect(await code { try await store.backUp(to: directory.path("late")) } == .closed)
    }

    @Test func `a backup without its end is no store`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("one")
        try await bucket.put(TestData.random(100_000, seed: 1))
        for operation in SimulatedOperation.allCases.filter(\.isChange) {
            var number = 1
            while true {
                let target = SimulatedDisk()
                target.fail(operation, at: number, count: nil, .error(.outOfSpace))
                let failed = await code {
                    _ = try await store.backUp(
                        to: target, index: "\(operation)/\(number)", includesKeyFile: true)
                }
                target.heal()
                if failed == nil { break }
                #expect(failed == .outOfSpace)
                // The marker's name comes last; only making it durable can fail behind that.
                let isLast = operation == .syncDirectory
                #expect(isLast || target.contents(of: "CAIRN") == nil, "\(operation) \(number)")
                number += 1
            }
        }
        try await check(store)
        try await store.close()
    }
}
