// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import Foundation

/// Ingest, to be compared with another version of the library, or looked at with a profiler.
struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Ingest unique random data, and print wall and processor time.")

    @OptionGroup var place: Place

    @Option(help: "Bytes of a blob.")
    var bytes = 64 << 20

    @Option(help: "Blobs.")
    var blobs = 16

    @Option(help: "Writers at once.")
    var writers = 1

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let bucket = try await store.defaultAccount.createBucket("ingest")
            var generator = SystemRandomNumberGenerator()
            var data = [UInt8](repeating: 0, count: bytes)
            for index in stride(from: 0, to: bytes - 7, by: 8) {
                withUnsafeBytes(of: generator.next()) { word in
                    for offset in 0..<8 { data[index + offset] = word[offset] }
                }
            }
            let before = Self.processorSeconds
            let time = try await milliseconds { try await ingest(data, into: bucket) }
            let byteCount = Double(bytes * blobs)
            print(
                "\((byteCount / 1e6 / (time / 1000)).formatted(0)) MB/s, "
                    + "\((Double(blobs) / (time / 1000)).formatted(0)) blobs/s, processor "
                    + "\(((Self.processorSeconds - before) * 1e9 / byteCount).formatted(3)) ns/byte"
            )
            try await store.close()
        }
    }

    private func ingest(_ data: [UInt8], into bucket: Bucket) async throws {
        try await withThrowingTaskGroup(of: Void.self) { [blobs, writers] group in
            for writer in 0..<writers {
                group.addTask {
                    var data = data
                    for number in stride(from: writer, to: blobs, by: writers) {
                        // Another word in each MiB makes each chunk another one.
                        for offset in stride(from: 0, to: data.count, by: 1 << 20) {
                            for byte in 0..<Swift.min(4, data.count - offset) {
                                data[offset + byte] = UInt8(number >> (8 * byte) & 0xFF)
                            }
                        }
                        try await bucket.putBlob(data.span)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(0, &usage)  // RUSAGE_SELF, whose type differs between C libraries
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}
