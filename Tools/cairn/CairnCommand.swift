// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The command line tool.
@main
struct CairnCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cairn",
        abstract: "Stores blobs by their digest, and serves them as an image registry.",
        discussion: """
            Every command works on the store in --store DIR, else in $CAIRN_STORE, else in \
            ./cairn-data. While `cairn serve` has the store open, the other commands go through it.

            \(Failure.exitCodeTable)
            """,
        version: CairnVersion.current,
        subcommands: [
            InitCommand.self, BucketCommand.self, PutCommand.self, GetCommand.self,
            StatCommand.self, ListCommand.self, RemoveCommand.self, MountCommand.self,
            UploadCommand.self, WhyCommand.self, SweepCommand.self, ScrubCommand.self,
            VerifyCommand.self, BackupCommand.self, RepairCommand.self, StatisticsCommand.self,
            ServeCommand.self,
        ])
}
