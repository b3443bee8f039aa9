// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn

/// What commits wait for while the store is swept, compacted and scrubbed.
struct LatencyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latency",
        abstract: "Latency of durable puts without and with maintenance, in alternating rounds.")

    @OptionGroup var place: Place

    @Option(help: "Rounds of each kind; medians are printed.")
    var rounds = 5

    @Option(help: "Seconds of a round.")
    var seconds = 4

    @Option(help: "Concurrent writers.")
    var writers = 8

    @Option(help: "Bytes of a blob.")
    var blobBytes = 64 << 10

    @Option(help: "Chunks in the store beforehand.")
    var chunks: UInt64 = 50_000

    @Option(help: "Bytes per second that compaction and scrub may read; the server's default.")
    var byteRate: UInt64 = 64 << 20

    func run() async throws {
        try await place.withStorePath { path in
            let store = try await Store.open(at: path)
            let live = try await store.defaultAccount.createBucket("live")
            var filler = Filler(seed: 1)
            try await filler.fill(store, live, chunkCount: chunks)
            var figures: [Bool: [[Double]]] = [:]
            for round in 0..<2 * rounds {
                let isBusy = round % 2 == 1
                figures[isBusy, default: []].append(
                    try await measure(store, isBusy: isBusy, seed: UInt64(round)))
            }
            try await store.close()
            print("| | puts / s | p50 ms | p99 ms | p99.9 ms |")
            print("|---|---|---|---|---|")
            for (isBusy, name) in [(false, "alone"), (true, "beside maintenance")] {
                let all = figures[isBusy] ?? []
                let rate = all.map { Double($0.count) / Double(seconds) }.quantile(0.5)
                let cells = [0.5, 0.99, 0.999].map { share in
                    all.map { $0.quantile(share) }.quantile(0.5).formatted(2)
                }
                print("| \(name) | \(rate.formatted(0)) | \(cells.joined(separator: " | ")) |")
            }
            let ratios = zip(figures[true] ?? [], figures[false] ?? []).map {
                $0.quantile(0.99) / $1.quantile(0.99)
            }
            print("\np99 beside maintenance / alone: \(ratios.quantile(0.5).formatted(2))")
        }
    }

    /// Every writer stores a blob, then deletes the one before: there is always garbage.
    private func measure(_ store: Store, isBusy: Bool, seed: UInt64) async throws -> [Double] {
        let bucket = try await store.defaultAccount.createBucket("round-\(seed)")
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds)
        let times = try await withThrowingTaskGroup(of: [Double].self) { group in
            for writer in 0..<writers {
                let (byteCount, seed) = (blobBytes, seed * 1000 + UInt64(writer))
                group.addTask {
                    try await Self.put(byteCount, into: bucket, until: end, seed: seed)
                }
            }
            let byteRate = byteRate
            let upkeep = Task {
                while isBusy, !Task.isCancelled {
                    try await Self.maintain(store, byteRate: byteRate)
                }
            }
            var times: [Double] = []
            for try await some in group { times += some }
            upkeep.cancel()
            // Cancelled in the middle, unless it has failed before.
            do { try await upkeep.value } catch let error as StoreError {
                guard error.code == .cancelled else { throw error }
            }
            return times
        }
        try await store.defaultAccount.deleteBucket("round-\(seed)", contents: .delete)
        // The next round begins without what this one has left.
        try await store.sweep()
        try await store.compact()
        return times
    }

    private static func put(
        _ byteCount: Int, into bucket: Bucket, until end: ContinuousClock.Instant, seed: UInt64
    ) async throws -> [Double] {
        let clock = ContinuousClock()
        var filler = Filler(seed: seed << 20)
        var times: [Double] = []
        var last: BlobDescription?
        while clock.now < end {
            let bytes = filler.bytes(byteCount)
            let start = clock.now
            let blob = try await bucket.putBlob(bytes.span)
            times.append((clock.now - start).milliseconds)
            if let last { try await bucket.deleteBlob(last.digest) }
            last = blob
        }
        return times
    }

    private static func maintain(_ store: Store, byteRate: UInt64) async throws {
        var compaction = CompactionConfiguration()
        compaction.byteRateMax = byteRate
        var scrub = ScrubConfiguration()
        scrub.byteRateMax = byteRate
        scrub.byteCountMax = byteRate
        try await store.sweep()
        try await store.compact(compaction)
        try await store.scrub(scrub)
    }
}
