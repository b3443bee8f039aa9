// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import CairnCore

/// Pages of lists, by the number of objects in the bucket.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Time pages of lists, small and large, while the bucket grows.")

    @OptionGroup var place: Place

    @Option(help: "The numbers of objects, smallest first.")
    var objects = [1000, 10_000, 100_000, 1_000_000]

    @Option(help: "Pages of each kind; medians are printed.")
    var rounds = 31

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let bucket = try await store.defaultAccount.createBucket("objects")
            let body = try await bucket.putBlob([1, 2, 3].span).digest
            print(
                "| objects | 1000 keys, ms | 100 keys, ms | 10 keys, ms | 100 common prefixes, ms |"
            )
            print("|---|---|---|---|---|")
            var count = 0
            for size in objects {
                try await fill(bucket, body, count..<size)
                count = max(count, size)
                var cells: [String] = []
                for limit in [1000, 100, 10] {
                    cells.append(
                        try await median { round in
                            // Anywhere in the first half, where whole pages are.
                            let start = size < 4000 ? nil : "k/\(1000 + round * 37 % 498)"
                            let page = try await bucket.objects(after: start, limit: limit)
                            guard page.objects.count == limit else { throw ExitCode.failure }
                        })
                }
                cells.append(
                    try await median { _ in
                        _ = try await bucket.objects(prefix: "k/", delimiter: "/", limit: 100)
                    })
                print("| \(size) | \(cells.joined(separator: " | ")) |")
            }
            try await store.close()
        }
    }

    private func median(_ body: (Int) async throws -> Void) async throws -> String {
        var times: [Double] = []
        for round in 0..<rounds {
            times.append(try await milliseconds { try await body(round) })
        }
        return times.quantile(0.5).formatted(2)
    }

    // 997 common prefixes.
    private static func key(_ number: Int) -> String { "k/\(1000 + number % 997)/\(number)" }

    private func fill(_ bucket: Bucket, _ body: Digest, _ numbers: Range<Int>) async throws {
        var first = numbers.lowerBound
        while first < numbers.upperBound {
            let end = min(first + ObjectBatch.operationCountMax, numbers.upperBound)
            var batch = ObjectBatch()
            for number in first..<end { batch.put(Self.key(number), blob: body) }
            try await bucket.commit(batch)
            first = end
        }
    }
}
