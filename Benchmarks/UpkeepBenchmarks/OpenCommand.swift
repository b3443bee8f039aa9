// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import BenchmarkSupport
import Cairn
import Foundation

/// How long a store takes to open after kill -9, small and large.
struct OpenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Time opening after kill -9 in the middle of uploads.")

    @OptionGroup var place: Place

    @Option(help: "The sizes, in chunks, smallest first.")
    var chunks: [UInt64] = [10_000, 100_000, 1_000_000]

    @Option(help: "Kills for each size; medians are printed.")
    var rounds = 5

    func run() async throws {
        try await place.withStorePath { path in
            print("| chunks | open ms, median | open ms, most |")
            print("|---|---|---|")
            for size in chunks {
                try await fill(path, upTo: size, thenKillAfter: nil)
                var times: [Double] = []
                for _ in 0..<rounds {
                    try await fill(path, upTo: .max, thenKillAfter: .milliseconds(1500))
                    let clock = ContinuousClock()
                    let start = clock.now
                    let store = try await Store.open(at: path)
                    times.append((clock.now - start).milliseconds)
                    try await store.close()
                }
                print(
                    "| \(size) | \(times.quantile(0.5).formatted(1)) "
                        + "| \(times.quantile(1).formatted(1)) |")
            }
        }
    }

    // In another process, so that it can be killed.
    private func fill(
        _ path: String, upTo size: UInt64, thenKillAfter time: Duration?
    ) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["fill", path, "--chunks", "\(size)"]
        try process.run()
        if let time {
            try await Task.sleep(for: time)
            kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
        guard time != nil || process.terminationStatus == 0 else {
            throw ExitCode(process.terminationStatus)
        }
    }
}

/// What the other process does.
struct FillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fill", shouldDisplay: false)

    @Argument var path: String
    @Option var chunks: UInt64

    func run() async throws {
        let store = try await Store.open(at: path)
        let name = "filled"
        let bucket =
            if let found = try? await store.defaultAccount.bucket(name) { found } else {
                try await store.defaultAccount.createBucket(name)
            }
        var filler = Filler(seed: UInt64.random(in: 0 ... .max))
        try await filler.fill(store, bucket, chunkCount: chunks)
        try await store.close()
    }
}
