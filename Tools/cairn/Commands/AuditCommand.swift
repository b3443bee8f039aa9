// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// The commands on the audit log.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show and check the record of what was done with keys.",
        subcommands: [List.self, Verify.self])

    /// Lists entries.
    struct List: StoreCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls",
            abstract: "List the audit log: NUMBER TIME ACTION OUTCOME KEY CONTEXT DETAIL.",
            discussion: "With --json, one document on each line, the oldest first.")

        @OptionGroup var options: StoreOptions

        @Option(help: ArgumentHelp("Only entries behind this one.", valueName: "number"))
        var after: UInt64 = 0

        func perform() async throws {
            try await withAccess { access in
                var last = after
                while true {
                    let page = try await access.auditEntries(after: last, limit: Pages.countMax)
                    for entry in page {
                        try options.json ? Output.json(entry) : Output.line(entry.line)
                    }
                    guard page.count == Pages.countMax, let end = page.last else { return }
                    last = end.sequence
                }
            }
        }
    }

    /// Checks the log.
    struct Verify: StoreCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that the audit log is complete and unchanged, and print its end.",
            discussion: """
                Each entry authenticates those before it. Note the end that is printed somewhere \
                else: given as --head later, it shows whether the log was cut off or replaced.
                """)

        @OptionGroup var options: StoreOptions

        @Option(
            help: ArgumentHelp(
                "An end that was printed before and must be in the log.", valueName: "number:code"))
        var head: String?

        func perform() async throws {
            let report = try await withAccess { try await $0.verifyAudit(head: head) }
            if options.json {
                try Output.json(report)
            } else {
                for problem in report.problems { try Output.line(problem) }
                try Output.line("\(report.entryCount) entries, end \(report.head)")
            }
            guard report.isSound else {
                throw CommandFailure(
                    code: "unsound", message: "the audit log was changed or is incomplete")
            }
        }
    }
}

extension AuditEntryInfo {
    fileprivate var line: String {
        // Written by callers: nothing in it ends the line or speaks to the terminal.
        (["\(sequence)", time, action, outcome, key ?? "-", context ?? "-"]
            .joined(separator: " ") + (detail.map { " \($0)" } ?? "")
            + (principal.map { " for \($0)" } ?? ""))
            .unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : String($0) }
            .joined()
    }
}
