// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser

/// The commands on upload sessions.
struct UploadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upload",
        abstract: "List and cancel upload sessions.",
        subcommands: [])
}
