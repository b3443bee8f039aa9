// Part of Cairn, a content-addressed blob store.

import ArgumentParser

/// Measures quotas and usage.
@main
struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "UsageBenchmarks",
        abstract: "Count reservations and commits a second, and time usage and bills.",
        subcommands: [ReserveCommand.self, AccountCommand.self, IngestCommand.self],
        defaultSubcommand: ReserveCommand.self)
}
