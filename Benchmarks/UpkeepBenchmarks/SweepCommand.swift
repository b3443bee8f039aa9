// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn

/// Sweep time against garbage, and against the size of the store.
struct SweepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Time sweeps of the same garbage in stores of growing size, and of more garbage.")

    @OptionGroup var place: Place

    @Option(help: "The sizes, in chunks, smallest first.")
    var chunks: [UInt64] = [10_000, 100_000, 1_000_000]

    @Option(help: "Blobs of 8 MiB that are deleted before a sweep.")
    var garbage: [Int] = [2, 8, 32]

    @Option(help: "Sweeps of each kind; medians are printed.")
    var rounds = 5

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let bucket = try await store.defaultAccount.createBucket("live")
            let doomed = try await store.defaultAccount.createBucket("doomed")
            var filler = Filler(seed: 1)
            print("| chunks in the store | blobs deleted | chunks freed | sweep ms | us / chunk |")
            print("|---|---|---|---|---|")
            for size in chunks {
                try await filler.fill(store, bucket, chunkCount: size)
                for count in garbage {
                    var times: [Double] = []
                    var freed: UInt64 = 0
                    for _ in 0..<rounds {
                        for _ in 0..<count {
                            let blob = try await doomed.putBlob(filler.bytes(8 << 20).span)
                            try await doomed.deleteBlob(blob.digest)
                        }
                        let clock = ContinuousClock()
                        let start = clock.now
                        freed = try await store.sweep().chunkCount
                        times.append((clock.now - start).milliseconds)
                    }
                    let median = times.quantile(0.5)
                    let each = median * 1000 / Double(freed)
                    print(
                        "| \(size) | \(count) | \(freed) | \(median.formatted(1)) "
                            + "| \(each.formatted(2)) |")
                }
            }
            try await store.close()
        }
    }
}
