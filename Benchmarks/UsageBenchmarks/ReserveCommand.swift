// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn

/// Reservations under quotas.
struct ReserveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reserve",
        abstract: "Count reservations a second, of one bucket and over many.",
        discussion: """
            Buckets and their account have quotas. A reservation is one more byte for an open \
            upload session; a commit is a blob of 100 bytes, durable.
            """)

    @OptionGroup var place: Place

    @Option(help: "Buckets of the second measurement.")
    var buckets = 1000

    @Option(help: "Reservations of a round.")
    var reservations = 1_000_000

    @Option(help: "Commits of a round.")
    var commits = 4000

    @Option(help: "Upload sessions at once.")
    var sessions = 16

    @Option(help: "Rounds; medians are printed.")
    var rounds = 5

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let quota = Quota(byteCount: 1 << 50, blobCount: 1 << 40)
            try await store.defaultAccount.setQuota(quota)
            let all = try await Self.buckets(buckets, of: store.defaultAccount, quota)
            print("| buckets | reservations/s | durable commits/s |")
            print("|---|---|---|")
            for count in [1, buckets] {
                var rates: [[Double]] = [[], []]
                for round in 0..<rounds {
                    rates[0].append(try await reserve(Array(all.prefix(count))))
                    rates[1].append(try await commit(Array(all.prefix(count)), round))
                }
                let cells = rates.map { $0.quantile(0.5).formatted(0) }
                print("| \(count) | \(cells.joined(separator: " | ")) |")
            }
            try await store.close()
        }
    }

    /// Buckets, made many at once.
    static func buckets(
        _ count: Int, of account: Account, _ quota: Quota?
    ) async throws -> [Bucket] {
        try await concurrently(32, count) { number in
            let bucket = try await account.createBucket("bucket/\(number)")
            if let quota { try await bucket.setQuota(quota) }
        }
        var buckets: [Bucket] = []
        for number in 0..<count {
            buckets.append(try await account.bucket("bucket/\(number)"))
        }
        return buckets
    }

    private func reserve(_ buckets: [Bucket]) async throws -> Double {
        var open: [UploadSession] = []
        for number in 0..<Swift.max(sessions, Swift.min(buckets.count, 1000)) {
            open.append(try await buckets[number % buckets.count].beginUpload())
        }
        let each = reservations / open.count
        let time = try await milliseconds {
            try await withThrowingTaskGroup(of: Void.self) { [sessions, open] group in
                for worker in 0..<sessions {
                    group.addTask {
                        for number in 1...each {
                            for session in stride(from: worker, to: open.count, by: sessions) {
                                try open[session].reserve(UInt64(number))
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        for session in open { try await session.cancel() }
        return Double(each * open.count) / (time / 1000)
    }

    private func commit(_ buckets: [Bucket], _ round: Int) async throws -> Double {
        let time = try await milliseconds {
            try await concurrently(64, commits) { number in
                let name = Array("\(round)-\(number)-\(buckets.count)".utf8)
                let body = name + [UInt8](repeating: 0, count: 80)
                try await buckets[number % buckets.count].putBlob(body.span)
            }
        }
        return Double(commits) / (time / 1000)
    }
}
