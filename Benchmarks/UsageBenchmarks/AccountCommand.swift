// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import CairnCore

/// Usage of an account with many buckets.
struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Time the usage, a page of buckets and the bill of an account with many buckets.",
        discussion: "Each bucket has one blob of its own and one that all of them share.")

    @OptionGroup var place: Place

    @Option(help: "Buckets.")
    var buckets = 100_000

    @Option(help: "Rounds; medians are printed.")
    var rounds = 5

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let account = store.defaultAccount
            let all = try await ReserveCommand.buckets(buckets, of: account, nil)
            let shared = try await all[0].putBlob([UInt8](repeating: 7, count: 20_000).span)
            let mounting = try await milliseconds { try await mount(shared.digest, all) }
            print("mounts: \((Double(all.count) / (mounting / 1000)).formatted(0)) a second")
            let month = CalendarMonth(of: SystemClock().now())
            var times: [[Double]] = [[], [], [], []]
            for _ in 0..<rounds {
                times[0].append(try await milliseconds { try await account.usage() })
                times[1].append(
                    try await milliseconds { try await account.bucketUsages(limit: 1000) })
                times[2].append(try await milliseconds { try await store.usage() })
                times[3].append(try await milliseconds { try await account.bill(month) })
            }
            print("| buckets | account ms | page of 1000 ms | store and files ms | bill ms |")
            print("|---|---|---|---|---|")
            let cells = times.map { $0.quantile(0.5).formatted(2) }
            print("| \(buckets) | \(cells.joined(separator: " | ")) |")
            let counting = try await milliseconds {
                let report = try await store.verify(.structure)
                guard report.isSound else { throw ValidationError("\(report.problems)") }
            }
            print("everything counted anew in \((counting / 1000).formatted(1)) s")
            try await store.close()
        }
    }

    private func mount(_ digest: Digest, _ buckets: [Bucket]) async throws {
        try await concurrently(32, buckets.count) { number in
            let own = Array("own \(number)".utf8)
            try await buckets[number].putBlob(own.span)
            guard number > 0 else { return }
            try await buckets[number].mountBlob(digest, from: buckets[0])
        }
    }
}
