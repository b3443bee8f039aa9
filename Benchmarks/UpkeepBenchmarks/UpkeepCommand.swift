// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import Foundation

/// Measures what keeps a store in order, and what that costs those who use it.
@main
struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "UpkeepBenchmarks",
        abstract: "Measure sweeps, opening after a kill, and commits beside maintenance.",
        subcommands: [SweepCommand.self, OpenCommand.self, LatencyCommand.self, FillCommand.self],
        defaultSubcommand: LatencyCommand.self)
}

/// What all measurements share.
struct Place: ParsableArguments {
    @Option(help: "Where to work.")
    var directory = NSTemporaryDirectory()

    /// Calls `body` with a path where nothing is yet; removes what it has put there.
    func withStorePath<R>(_ body: (String) async throws -> R) async throws -> R {
        let path = "\(directory)/cairn-upkeep-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await body(path)
    }
}

extension Duration {
    var milliseconds: Double {
        Double(components.seconds) * 1000 + Double(components.attoseconds) / 1e15
    }
}

extension Double {
    func formatted(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

extension [Double] {
    /// The value below which a share of all lies; 0.5 is the median.
    func quantile(_ share: Double) -> Double {
        guard !isEmpty else { return .nan }
        return sorted()[Swift.min(count - 1, Int(Double(count) * share))]
    }
}
