// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Lists objects.
struct ObjectListCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List objects in the order of their keys: SIZE TIME ETAG KEY.",
        discussion: """
            With --delimiter, keys that have it behind the prefix are left out, and a line PRE \
            PREFIX shows what they begin with. With --json the answer is one document for each \
            page of up to 1000, whose `next` is there when more follows: pass it to --after.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Option(help: "Only keys that begin with this.")
    var prefix: String = ""

    @Option(help: ArgumentHelp("Where prefixes end, such as `/`.", valueName: "text"))
    var delimiter: String = ""

    @OptionGroup var page: PageOptions

    func perform() async throws {
        try await withAccess { access in
            var cursor = page.after
            var left = page.limit ?? .max
            repeat {
                // Printed page by page: a bucket may hold more than fits into memory.
                let page = try await access.objects(
                    in: bucket,
                    ObjectListRequest(
                        prefix: prefix, delimiter: delimiter, after: cursor,
                        limit: min(left, Pages.countMax)))
                try options.json ? Output.json(page) : write(page)
                left -= page.objects.count + page.commonPrefixes.count
                cursor = page.next
            } while cursor != nil && left > 0
        }
    }

    // Both in the order of their bytes, as one list.
    private func write(_ page: ObjectListing) throws {
        var lines = page.objects.map { ($0.key, $0.line) }
        lines += page.commonPrefixes.map { ($0, "PRE \(Output.printable($0))") }
        lines.sort { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
        for (_, line) in lines { try Output.line(line) }
    }
}
