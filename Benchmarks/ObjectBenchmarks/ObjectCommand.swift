// Part of Cairn, a content-addressed blob store.

import ArgumentParser

/// Measures the object view of buckets.
@main
struct ObjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ObjectBenchmarks",
        abstract: "Time lists, copies, multipart uploads, and small objects against plain files.",
        subcommands: [
            ListCommand.self, CopyCommand.self, SmallCommand.self, PartsCommand.self,
            SparseCommand.self,
        ],
        defaultSubcommand: ListCommand.self)
}
