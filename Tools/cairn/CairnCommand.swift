// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer
internal import Glibc

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
            ObjectCommand.self, UploadCommand.self, WhyCommand.self, SweepCommand.self,
            ScrubCommand.self, VerifyCommand.self, BackupCommand.self, RepairCommand.self,
            QuotaCommand.self, UsageCommand.self, BillCommand.self, TopCommand.self,
            StatisticsCommand.self, KeyCommand.self, AuditCommand.self, ServeCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            leave(EXIT_SUCCESS)
        } catch {
            let code = exitCode(for: error).rawValue
            let text = fullMessage(for: error)
            let output: Descriptor =
                code == EXIT_SUCCESS ? .standardOutput : .standardError
            // Where it is closed, the exit code still tells.
            if !text.isEmpty { try? output.write(Array("\(text)\n".utf8)) }
            leave(code)
        }
    }

    /// Ends the process without running exit handlers: those destroy what the background threads
    /// of RocksDB may still use. Stores are closed by then.
    private static func leave(_ code: Int32) -> Never {
        fflush(nil)
        _exit(code)
    }
}
