// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import CairnCore
import CairnKeys

/// Measures what keys of buckets cost.
@main
struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "KeyBenchmarks",
        abstract: "Count the calls of a key provider, and time mounts, commits and rewrapping.",
        subcommands: [CallsCommand.self, MountCommand.self, RewrapCommand.self],
        defaultSubcommand: CallsCommand.self)
}

/// Calls of the provider against commits and against buckets.
struct CallsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calls",
        abstract: "Count the calls that a key provider gets for a number of commits.")

    @OptionGroup var place: Place

    @Option(help: "Buckets, each under a customer key of its own.")
    var buckets = 10

    @Option(help: "Commits in all.")
    var commits = 1_000_000

    @Option(help: "Writers at once.")
    var writers = 64

    @Option(help: "For how many seconds a data key stays open; a day measures the keys alone.")
    var seconds = 86_400

    func run() async throws {
        let provider = try CountingProvider()
        try await place.withStorePath { path in
            var configuration = StoreConfiguration()
            configuration.keyCacheLifetime = .seconds(seconds)
            let store = try await Store.open(
                at: path, keyProvider: provider, configuration: configuration)
            let all = try await makeBuckets(in: store)
            let before = provider.callCount
            let start = ContinuousClock.now
            try await withThrowingTaskGroup(of: Void.self) { [commits, writers] group in
                for writer in 0..<writers {
                    group.addTask {
                        for number in stride(from: writer, to: commits, by: writers) {
                            let bytes = Array("blob \(number)".utf8)
                            try await all[number % all.count].putBlob(bytes.span)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let elapsed = ContinuousClock.now - start
            print("| buckets | commits | seconds | calls of the provider |")
            print("|---|---|---|---|")
            print(
                "| \(buckets) | \(commits) | \(elapsed.components.seconds) "
                    + "| \(provider.callCount - before) |")
            try await store.close()
        }
    }

    private func makeBuckets(in store: Store) async throws -> [Bucket] {
        var all: [Bucket] = []
        for number in 0..<buckets {
            all.append(try await store.defaultAccount.createBucket("bucket-\(number)"))
        }
        return all
    }
}

/// Mounts between buckets under different keys, by size.
struct MountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Time mounts between buckets under different keys, by the size of the blob.")

    @OptionGroup var place: Place

    @Option(help: "Mebibytes of the blobs.")
    var mebibytes = [1, 16, 256]

    @Option(help: "Mounts of each size; medians are printed.")
    var rounds = 101

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            guard let keys = store.keyService else { return }
            var buckets: [Bucket] = []
            for name in ["source", "target"] {
                var configuration = BucketConfiguration()
                configuration.encryption = .customerKey(
                    KeyReference(try await keys.createKey().id))
                configuration.deduplication = .account
                buckets.append(
                    try await store.defaultAccount.createBucket(
                        name, configuration: configuration))
            }
            var random = SystemRandomNumberGenerator()
            print("| MiB | mount, ms | blob of 64 bytes put durably, ms |")
            print("|---|---|---|")
            for size in mebibytes {
                let bytes = (0..<size << 17).flatMap { _ in
                    withUnsafeBytes(of: random.next()) { Array($0) }
                }
                let digest = try await buckets[0].putBlob(bytes.span).digest
                var mounts: [Double] = []
                var puts: [Double] = []
                for round in 0..<rounds {
                    mounts.append(
                        try await milliseconds {
                            try await buckets[1].mountBlob(digest, from: buckets[0])
                        })
                    try await buckets[1].deleteBlob(digest)
                    let small = Array(String(repeating: "\(round) \(size) ", count: 8).utf8)
                    puts.append(try await milliseconds { try await buckets[1].putBlob(small.span) })
                }
                let cells = [mounts, puts].map { $0.quantile(0.5).formatted(3) }
                print("| \(size) | \(cells.joined(separator: " | ")) |")
            }
            try await store.close()
        }
    }
}

/// Rewrapping after a rotation, by the number of buckets.
struct RewrapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rewrap",
        abstract: "Time the rewrapping of all buckets after a rotation of their customer key.")

    @OptionGroup var place: Place

    @Option(help: "Buckets under one customer key.")
    var buckets = 100_000

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            guard let keys = store.keyService else { return }
            let key = KeyReference(try await keys.createKey().id)
            var configuration = BucketConfiguration()
            configuration.encryption = .customerKey(key)
            try await withThrowingTaskGroup(of: Void.self) { [buckets, configuration] group in
                for writer in 0..<64 {
                    group.addTask {
                        for number in stride(from: writer, to: buckets, by: 64) {
                            try await store.defaultAccount.createBucket(
                                "bucket-\(number)", configuration: configuration)
                        }
                    }
                }
                try await group.waitForAll()
            }
            print("| | seconds | keys wrapped anew |")
            print("|---|---|---|")
            for title in ["after a rotation", "again, nothing to do"] {
                if title.hasPrefix("after") { try await keys.rotate(key) }
                let start = ContinuousClock.now
                let report = try await store.rewrapKeys(under: key)
                let seconds = (ContinuousClock.now - start).milliseconds / 1000
                print("| \(title) | \(seconds.formatted(1)) | \(report.rewrappedCount) |")
            }
            try await store.close()
        }
    }
}
