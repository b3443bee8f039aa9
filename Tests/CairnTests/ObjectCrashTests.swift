// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Foundation
import Synchronization
import Testing

/// Power cuts and crowds in the middle of work on objects.
@Suite struct ObjectCrashTests {
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `acknowledged parts survive any power cut, and the upload goes on from them`(
        seed: UInt64
    ) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open(seed: seed)
        let bucket = try await store.defaultAccount.createBucket("crash")
        let upload = try await bucket.beginMultipartUpload("key")
        let pieces = (0..<12).map {
            TestData.random(40_000 * ($0 % 4), seed: seed << 8 | UInt64($0))
        }
        let acknowledged = Shared<[Int: ETag]>([:])
        let writers = (0..<3).map { writer in
            Task {
                for number in stride(from: writer + 1, through: 12, by: 3) {
                    let part = try await upload.put(number, pieces[number - 1])
                    acknowledged.withLock { $0[number] = part.etag }
                }
            }
        }
        while acknowledged.withLock({ $0.count }) < Int(seed) { await Task.yield() }
        let sure = acknowledged.withLock { $0 }
        let after = simulated.afterPowerCut(seed: seed)
        for writer in writers { try await writer.value }
        try await store.close()
        let reopened = try await after.open(seed: seed + 100)
        let again = try await reopened.defaultAccount.bucket("crash")
        let resumed = try again.multipartUpload(upload.id, of: "key")
        let found = try await resumed.parts()
        for (number, etag) in sure {
            #expect(found.contains { $0.number == number && $0.etag == etag })
        }
        try await check(reopened)
        for number in 1...12 where !found.contains(where: { $0.number == number }) {
            try await resumed.put(number, pieces[number - 1])
        }
        let object = try await resumed.complete()
        #expect(object.digest == Contents(array: pieces.flatMap { $0 }).digest)
        try await check(reopened)
        try await reopened.close()
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `a completion is whole or not at all, wherever the power goes`(seed: UInt64) async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open(seed: seed)
        let bucket = try await store.defaultAccount.createBucket("crash")
        let upload = try await bucket.beginMultipartUpload("key")
        let pieces = (0..<4).map { TestData.random(30_000, seed: seed << 8 | UInt64($0)) }
        for (index, piece) in pieces.enumerated() { try await upload.put(index + 1, piece) }
        let completion = Task { try await upload.complete() }
        for _ in 0..<seed * 3 { await Task.yield() }
        let after = simulated.afterPowerCut(seed: seed)
        let object = try await completion.value
        try await store.close()
        let reopened = try await after.open(seed: seed + 100)
        let again = try await reopened.defaultAccount.bucket("crash")
        try await check(reopened)
        let resumed = try again.multipartUpload(upload.id, of: "key")
        // Both who was done and who was not gets the same object.
        #expect(try await resumed.complete().digest == object.digest)
        #expect(try await again.headObject("key").digest == object.digest)
        try await check(reopened)
        try await reopened.close()
    }

    @Test func `ten thousand calls at once are all answered, and what they say is so`() async throws
    {
        try await withTemporaryDirectory { path in
            let store = try await Store.open(at: path + "/store")
            let bucket = try await store.defaultAccount.createBucket("crowd")
            let shared = try await bucket.put(TestData.random(100_000, seed: 1)).digest
            let written = Shared<Set<String>>([])
            let unexpected = Shared<[String]>([])
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<10_000 {
                    group.addTask {
                        let key = "k\(number % 500)"
                        let bytes = [UInt8](repeating: UInt8(number & 0xFF), count: number % 700)
                        do {
                            switch number % 5 {
                            case 0, 1:
                                try await bucket.putObject(
                                    key, bytes.span, references: number % 10 == 0 ? [shared] : [])
                                _ = written.withLock { $0.insert(key) }
                            case 2: _ = try await bucket.objects(prefix: "k1", limit: 50)
                            case 3: _ = try await bucket.openObject(key)
                            default: try await bucket.copyObject(key, to: "copy\(number % 100)")
                            }
                        } catch let error as StoreError where error.code == .objectUnknown {
                            // Nobody has written it yet.
                        } catch {
                            unexpected.withLock { $0.append("\(error)") }
                        }
                    }
                }
            }
            #expect(unexpected.withLock { $0 } == [])
            let found = try await bucket.objects(prefix: "k").objects.map(\.key)
            #expect(Set(found) == written.withLock { $0 })
            try await check(store)
            try await store.close()
        }
    }
}

/// A value that several tasks change.
private final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<R: Sendable>(_ body: (inout Value) -> R) -> R {
        value.withLock { value in body(&value) }
    }
}
