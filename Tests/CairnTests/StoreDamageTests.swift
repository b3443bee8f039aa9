// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import Foundation
import Testing

/// A store in real files, damaged from outside.
@Suite struct StoreDamageTests {
    @Test func `a store in files is whole after reopening and locked meanwhile`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store"
        let store = try await Store.open(at: path)
        let bucket = try await store.defaultAccount.createBucket("library/real")
        let bytes = TestData.compressible(4_000_000, seed: 50)
        let digest = try await bucket.put(bytes).digest
        let locked = await #expect(throws: StoreError.self) { _ = try await Store.open(at: path) }
        #expect(locked?.code == .storeLocked)
        #expect(locked?.message.contains(String(ProcessInfo.processInfo.processIdentifier)) == true)
        try await store.close()
        let again = try await Store.open(at: path)
        let reopened = try await again.defaultAccount.bucket("library/real")
        #expect(try await reopened.contents(digest) == bytes)
        try await check(again)
        try await again.close()
    }

    @Test func `a passphrase opens its store and another does not`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store"
        try await Store.open(at: path, unlock: .passphrase("correct horse")).close()
        let before = try snapshot(path)
        #expect(
            await code { _ = try await Store.open(at: path, unlock: .passphrase("wrong")) }
                == .wrongPassphrase)
        #expect(try snapshot(path) == before)
        try await Store.open(at: path, unlock: .passphrase("correct horse")).close()
    }

    @Test func `a newer format is refused and left alone`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store"
        try await Store.open(at: path).close()
        var marker = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + "/CAIRN")))
        marker[8] = 2
        try Data(marker).write(to: URL(fileURLWithPath: path + "/CAIRN"))
        let before = try snapshot(path)
        #expect(await code { _ = try await Store.open(at: path) } == .formatTooNew)
        #expect(try snapshot(path) == before)
    }

    @Test(arguments: ["CAIRN", "keyring", "index/CURRENT"])
    func `a missing file is an error and nothing is made anew`(name: String) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store"
        try await Store.open(at: path).close()
        try FileManager.default.removeItem(atPath: path + "/" + name)
        let found = await code { _ = try await Store.open(at: path) }
        #expect(found == .corrupted || found == .io)
        #expect(!FileManager.default.fileExists(atPath: path + "/" + name))
    }

    @Test func `no store is made where none is wanted`() async throws {
        let directory = try TemporaryDirectory()
        var configuration = StoreConfiguration()
        configuration.createIfMissing = false
        let path = directory.path
        #expect(
            await code {
                _ = try await Store.open(at: path + "/absent", configuration: configuration)
            } == .storeNotFound)
        #expect(
            await code {
                _ = try await Store.open(at: path, configuration: configuration)
            } == .storeNotFound)
    }

    @Test func `invariant 2: flipped bits in a segment are never served`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store"
        let bytes = TestData.compressible(300_000, seed: 51)
        let opaque = TestData.random(300_000, seed: 52)
        var store = try await Store.open(at: path)
        let bucket = try await store.defaultAccount.createBucket("flips")
        let digests = [try await bucket.put(bytes).digest, try await bucket.put(opaque).digest]
        try await store.close()
        let segment = URL(fileURLWithPath: path + "/segments/00000001.segment")
        let sound = try [UInt8](Data(contentsOf: segment))
        var generator = SeededGenerator(seed: 53)
        var detectedCount = 0
        for _ in 0..<40 {
            var damaged = sound
            // The first block is the header, checked when the store is opened.
            let position = Int.random(in: 4096..<sound.count, using: &generator)
            damaged[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            try Data(damaged).write(to: segment)
            store = try await Store.open(at: path)
            let again = try await store.defaultAccount.bucket("flips")
            for (digest, original) in zip(digests, [bytes, opaque]) {
                do {
                    #expect(try await again.contents(digest) == original)
                } catch let error as StoreError {
                    #expect(error.code == .corrupted)
                    detectedCount += 1
                }
            }
            let report = try await store.verify(.full)
            if detectedCount > 0 { #expect(report.checkedBlobCount == 2) }
            try await store.close()
        }
        #expect(detectedCount > 20)
    }

    @Test func `nothing of a blob can be read from the files`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store"
        let store = try await Store.open(at: path)
        let bucket = try await store.defaultAccount.createBucket("secret")
        let canary = Array("the quick canary \(UInt64.max) sings at rest".utf8)
        let small = try await bucket.put(canary).digest
        let long = (0..<2000).flatMap { canary + Array(String($0).utf8) }
        let large = try await bucket.put(long).digest
        try await store.close()
        for (_, file) in try snapshot(path) {
            #expect(file.range(of: Data(canary)) == nil)
            for digest in [small, large] {
                #expect(file.range(of: Data(digest.bytes)) == nil)
                #expect(file.range(of: Data(digest.hex.utf8)) == nil)
            }
        }
    }

    // The files that hold the store's state; the lock and RocksDB's log say who had it open.
    private func snapshot(_ path: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        let names = try FileManager.default.subpathsOfDirectory(atPath: path)
        for name in names where name != "lock" && !name.contains("LOG") {
            var isDirectory: ObjCBool = false
            let file = path + "/" + name
            _ = FileManager.default.fileExists(atPath: file, isDirectory: &isDirectory)
            guard !isDirectory.boolValue else { continue }
            files[name] = try Data(contentsOf: URL(fileURLWithPath: file))
        }
        return files
    }
}
