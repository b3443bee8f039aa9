// Part of Cairn, a content-addressed blob store.

import ArgumentParser

/// Measures what keeps a store in order, and what that costs those who use it.
@main
struct Root: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "UpkeepBenchmarks",
        abstract: "Measure sweeps, opening after a kill, and commits beside maintenance.",
        subcommands: [SweepCommand.self, OpenCommand.self, LatencyCommand.self, FillCommand.self],
        defaultSubcommand: LatencyCommand.self)
}
