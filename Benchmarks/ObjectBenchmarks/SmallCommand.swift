// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import Foundation

/// Small objects against plain files.
struct SmallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "small",
        abstract: "Count small objects put and got a second, against files written as durably.",
        discussion: """
            A file is written under another name, synced and renamed, and its directory synced. \
            Reads find everything in memory, of files and of objects. Every round takes turns.
            """)

    @OptionGroup var place: Place

    @Option(help: "Bytes of an object.")
    var bytes = 4096

    @Option(help: "Objects of a round and kind.")
    var objects = 2000

    @Option(help: "Rounds; medians are printed.")
    var rounds = 5

    @Option(help: "How many at once.")
    var concurrency = [1, 16]

    func run() async throws {
        try await place.withStorePath { path in
            let files = try Files(path + "/files")
            let store = try await Store.open(at: path + "/store")
            let bucket = try await store.defaultAccount.createBucket("objects")
            print("| at once | put objects/s | put files/s | get objects/s | get files/s |")
            print("|---|---|---|---|---|")
            for width in concurrency {
                var rates: [[Double]] = Array(repeating: [], count: 4)
                for round in 0..<rounds {
                    let name = { @Sendable (number: Int) in "\(width)-\(round)-\(number)" }
                    let body = { @Sendable [bytes] (number: Int) in
                        Array(
                            String(repeating: name(number) + " ", count: bytes).utf8.prefix(bytes))
                    }
                    rates[0].append(
                        try await rate(width) {
                            try await bucket.putObject(name($0), body($0).span)
                        })
                    rates[1].append(
                        try await rate(width) { try await files.put(name($0), body($0)) })
                    rates[2].append(
                        try await rate(width) { [bytes] in
                            let (_, blob) = try await bucket.openObject(name($0))
                            _ = try await blob.readAll(upTo: bytes)
                        })
                    rates[3].append(try await rate(width) { _ = try await files.get(name($0)) })
                }
                let cells = rates.map { $0.quantile(0.5).formatted(0) }
                print("| \(width) | \(cells.joined(separator: " | ")) |")
            }
            try await store.close()
        }
    }

    private func rate(
        _ width: Int, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws -> Double {
        let time = try await milliseconds { try await concurrently(width, objects, body) }
        return Double(objects) / (time / 1000)
    }
}

/// Plain files in one directory, on threads that may block.
private struct Files: Sendable {
    let directory: String
    private let queue = DispatchQueue(label: "files", attributes: .concurrent)

    init(_ directory: String) throws {
        self.directory = directory
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
    }

    func put(_ name: String, _ bytes: [UInt8]) async throws {
        let path = directory + "/" + name
        try await run {
            let file = open(path + ".new", O_WRONLY | O_CREAT | O_EXCL, 0o600)
            let folder = open(directory, O_RDONLY | O_DIRECTORY)
            defer { for descriptor in [file, folder] where descriptor >= 0 { close(descriptor) } }
            guard file >= 0, folder >= 0, write(file, bytes, bytes.count) == bytes.count,
                fsync(file) == 0, rename(path + ".new", path) == 0, fsync(folder) == 0
            else { throw CocoaError(.fileWriteUnknown) }
        }
    }

    func get(_ name: String) async throws -> [UInt8] {
        let path = directory + "/" + name
        return try await run {
            let file = open(path, O_RDONLY)
            guard file >= 0 else { throw CocoaError(.fileReadUnknown) }
            defer { close(file) }
            var status = stat()
            fstat(file, &status)
            var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
            guard read(file, &bytes, bytes.count) == bytes.count else {
                throw CocoaError(.fileReadUnknown)
            }
            return bytes
        }
    }

    private func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { waiter in
            queue.async { waiter.resume(with: Result(catching: body)) }
        }
    }
}
