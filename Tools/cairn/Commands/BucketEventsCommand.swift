// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Prints what a bucket has committed.
struct BucketEventsCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print what a bucket has committed, in order: TIME KIND KEY-OR-DIGEST.",
        discussion: """
            With --json each event is one document, whose `cursor` goes into --after to go on \
            behind it. Exit code 4: some events behind that position are not kept any more: \
            begin anew without --after, then list the bucket.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Option(
        help: ArgumentHelp(
            "Only what follows this event (default: all that is kept).", valueName: "cursor"))
    var after: String?

    func perform() async throws {
        try await withAccess { access in
            var cursor = after
            var isAtEnd = false
            while !isAtEnd {
                let page = try await access.events(
                    of: bucket, after: cursor, limit: Pages.countMax)
                for event in page.events {
                    try options.json ? Output.json(event) : Output.line(event.line)
                }
                (cursor, isAtEnd) = (page.next, page.isAtEnd)
            }
        }
    }
}

extension BucketEventInfo {
    fileprivate var line: String {
        let subject = key.map(Output.printable) ?? digest ?? "-"
        return "\(time) \(kind) \(subject)" + (cause == "call" ? "" : " (\(cause))")
    }
}
