// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import Cairn
import CairnCore
import Foundation

/// One thing to measure, in a process of its own.
enum Phase: String, ExpressibleByArgument {
    case ingest, reingest, read
    case puts64, puts2
    case files64, files2

    var title: String {
        switch self {
        case .ingest: "ingest"
        case .reingest: "ingest of stored bytes"
        case .read: "read back"
        case .puts64: "64 KiB blobs"
        case .puts2: "2 KiB blobs"
        case .files64: "64 KiB files"
        case .files2: "2 KiB files"
        }
    }
}

/// Runs a phase and prints what it cost.
struct PhaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "phase", shouldDisplay: false)

    @Argument var phase: Phase
    @Option var store: String
    @Option var source: String
    @Option var count: Int
    @Option var writers: Int

    func run() async throws {
        let cost =
            switch phase {
            case .ingest, .reingest, .read, .puts64, .puts2: try await runInStore()
            case .files64: try runInFiles(64 << 10)
            case .files2: try runInFiles(2 << 10)
            }
        print(String(decoding: try JSONEncoder().encode(cost), as: UTF8.self))
    }

    private func runInStore() async throws -> Cost {
        let store = try await Store.open(at: store)
        let account = store.defaultAccount
        var cost: Cost
        switch phase {
        case .ingest:
            let bucket = try await account.createBucket("first")
            cost = try await measure { try await ingest(into: bucket) }
            cost.storedByteCount = try await store.statistics().storedByteCount
        case .reingest:
            let bucket = try await account.createBucket("second")
            cost = try await measure { try await ingest(into: bucket) }
        case .read:
            let bucket = try await account.bucket("first")
            guard let blob = try await bucket.blobs().blobs.first else {
                throw ChildFailure(description: "there is no blob to read back")
            }
            cost = try await measure { try await read(blob, of: bucket) }
        default:
            let bucket = try await account.createBucket("first")
            let byteCount = phase == .puts64 ? 64 << 10 : 2 << 10
            cost = try await measure { try await put(byteCount, into: bucket) }
        }
        try await store.close()
        return cost
    }

    private func measure(_ body: () async throws -> Void) async throws -> Cost {
        let before = Child.usage(RUSAGE_SELF)
        let start = ContinuousClock.now
        try await body()
        let wall = (ContinuousClock.now - start).seconds
        let after = Child.usage(RUSAGE_SELF)
        return Cost(
            wallSeconds: wall, cpuSeconds: after.cpuSeconds - before.cpuSeconds,
            peakByteCount: after.peakByteCount, idleByteCount: before.peakByteCount)
    }

    // MARK: - Blobs

    private func ingest(into bucket: Bucket) async throws {
        let file = open(source, O_RDONLY)
        guard file >= 0 else { throw ChildFailure(description: "cannot open \(source)") }
        defer { close(file) }
        let session = try await bucket.beginUpload()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            guard count > 0 else { break }
            try await session.append(buffer.span.extracting(..<count))
        }
        try await session.commit()
    }

    private func read(_ blob: BlobDescription, of bucket: Bucket) async throws {
        var byteCount: UInt64 = 0
        for try await buffer in try await bucket.openBlob(blob.digest).bytes() {
            byteCount += UInt64(buffer.count)
        }
        guard byteCount == blob.byteCount else {
            throw ChildFailure(description: "\(byteCount) bytes came back")
        }
    }

    // MARK: - Commits

    private func put(_ byteCount: Int, into bucket: Bucket) async throws {
        try await withThrowingTaskGroup { group in
            for writer in 0..<writers {
                group.addTask { [count, writers] in
                    var body = Body(byteCount)
                    for number in stride(from: writer, to: count, by: writers) {
                        body.stamp(number)
                        try await bucket.putBlob(body.bytes.span)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// What a store without Cairn has to do for the same promise.
    private func runInFiles(_ byteCount: Int) throws -> Cost {
        try FileManager.default.createDirectory(
            atPath: store, withIntermediateDirectories: true)
        let before = Child.usage(RUSAGE_SELF)
        let start = ContinuousClock.now
        let done = DispatchSemaphore(value: 0)
        for writer in 0..<writers {
            let thread = Thread { [store, count, writers] in
                var body = Body(byteCount)
                for number in stride(from: writer, to: count, by: writers) {
                    body.stamp(number)
                    DurableFile.write(body.bytes, to: store, name: "\(number)")
                }
                done.signal()
            }
            thread.start()
        }
        for _ in 0..<writers { done.wait() }
        return Cost(
            wallSeconds: (ContinuousClock.now - start).seconds,
            cpuSeconds: Child.usage(RUSAGE_SELF).cpuSeconds - before.cpuSeconds)
    }
}

/// A blob that no other is equal to.
private struct Body {
    var bytes: [UInt8]

    init(_ byteCount: Int) {
        var generator = SplitMix64(state: 7)
        bytes = generator.random(byteCount)
    }

    mutating func stamp(_ number: Int) {
        withUnsafeBytes(of: UInt64(number)) { stamp in
            for (index, byte) in stamp.enumerated() { bytes[index] = byte }
        }
    }
}

/// A file that is there for good once it is there: written, synced, renamed, directory synced.
private enum DurableFile {
    static func write(_ bytes: [UInt8], to directory: String, name: String) {
        let temporary = "\(directory)/\(name).new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        check(file >= 0)
        check(Glibc.write(file, bytes, bytes.count) == bytes.count)
        check(fsync(file) == 0)
        close(file)
        check(rename(temporary, "\(directory)/\(name)") == 0)
        let parent = open(directory, O_RDONLY | O_DIRECTORY)
        check(fsync(parent) == 0)
        close(parent)
    }

    private static func check(_ isDone: Bool) {
        precondition(isDone, "a file of the comparison could not be written")
    }
}
