// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import Foundation

/// Multipart uploads of many parts.
struct PartsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parts",
        abstract: "Time an upload of many parts and its completion, and count what is read back.",
        discussion: """
            Every part has other bytes. In sequence the digest of the whole is computed while they \
            arrive, and nothing is read back; in reverse everything is, before the completion.
            """)

    @OptionGroup var place: Place

    @Option(help: "Parts of an upload.")
    var parts = 10_000

    @Option(help: "Kibibytes of a part.")
    var kibibytes = 128

    @Option(help: "Parts that are sent at once.")
    var concurrency = 1

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let bucket = try await store.defaultAccount.createBucket("objects")
            print("| order | parts/s | MB/s | completion, ms | MB read back |")
            print("|---|---|---|---|---|")
            for isReversed in [false, true] {
                let readBefore = try ProcessFigures.readByteCount()
                let upload = try await bucket.beginMultipartUpload("key \(isReversed)")
                let numbers = isReversed ? Array((1...parts).reversed()) : Array(1...parts)
                let sent = try await milliseconds { try await send(numbers, to: upload) }
                let completed = try await milliseconds { try await upload.complete() }
                let megabytes = Double(parts) * Double(kibibytes) * 1024 / 1e6
                let read = try Double(ProcessFigures.readByteCount() - readBefore) / 1e6
                print(
                    "| \(isReversed ? "reverse" : "sequence") "
                        + "| \((Double(parts) / sent * 1000).formatted(0)) "
                        + "| \((megabytes / sent * 1000).formatted(0)) "
                        + "| \(completed.formatted(1)) | \(read.formatted(0)) |")
            }
            try await store.close()
        }
    }

    private func send(_ numbers: [Int], to upload: MultipartUpload) async throws {
        let byteCount = kibibytes << 10
        try await withThrowingTaskGroup(of: Void.self) { [concurrency] group in
            for worker in 0..<concurrency {
                group.addTask {
                    var random = SystemRandomNumberGenerator()
                    var bytes = (0..<byteCount).map { _ in UInt8.random(in: 0...255, using: &random)
                    }
                    for index in stride(from: worker, to: numbers.count, by: concurrency) {
                        // Another number in each page makes another part of it.
                        for offset in stride(from: 0, to: byteCount, by: 4096) {
                            bytes[offset] = UInt8(truncatingIfNeeded: numbers[index])
                            bytes[offset + 1] = UInt8(truncatingIfNeeded: numbers[index] >> 8)
                        }
                        try await upload.putPart(numbers[index], bytes.span)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

/// An object of zeros that is larger than any disk at hand.
struct SparseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sparse",
        abstract: "Store an object of zeros in 10,000 parts, and tell the most memory it took.")

    @OptionGroup var place: Place

    @Option(help: "Mebibytes of the object.")
    var mebibytes = 1 << 20

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let bucket = try await store.defaultAccount.createBucket("objects")
            let upload = try await bucket.beginMultipartUpload("zeros")
            let zeros = [UInt8](repeating: 0, count: 1 << 20)
            let before = try ProcessFigures.peakByteCount()
            let partCount = min(mebibytes, MultipartUpload.partCountMax)
            let sent = try await milliseconds {
                for number in 1...partCount {
                    let count =
                        mebibytes * number / partCount
                        - mebibytes * (number - 1) / partCount
                    try await upload.putPart(number) { part in
                        for _ in 0..<count { try await part.append(zeros.span) }
                    }
                }
            }
            let completed = try await milliseconds { try await upload.complete() }
            let object = try await bucket.headObject("zeros")
            let stored = try await store.statistics().storedByteCount
            print("| MiB | MB/s | completion, ms | peak memory, MB | before, MB | stored, MB |")
            print("|---|---|---|---|---|---|")
            let figures = [
                Double(object.byteCount) / 1e6 / sent * 1000, completed,
                Double(try ProcessFigures.peakByteCount()) / 1e6, Double(before) / 1e6,
                Double(stored) / 1e6,
            ]
            let cells = figures.map { $0.formatted(1) }.joined(separator: " | ")
            print("| \(mebibytes) | \(cells) |")
            try await store.close()
        }
    }
}

/// What the system tells of this process.
private enum ProcessFigures {
    /// Bytes that were read from files, from memory or the disk.
    static func readByteCount() throws -> UInt64 { try field("rchar", of: "/proc/self/io") }

    /// The most memory that was resident.
    static func peakByteCount() throws -> UInt64 {
        try field("VmHWM", of: "/proc/self/status") << 10
    }

    private static func field(_ name: String, of path: String) throws -> UInt64 {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
            let digits = line.drop { !$0.isNumber }.prefix { $0.isNumber }
            if let value = UInt64(digits) { return value }
        }
        throw CocoaError(.fileReadCorruptFile)
    }
}
