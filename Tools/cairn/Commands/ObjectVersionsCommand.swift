// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Lists versions of objects.
struct ObjectVersionsCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions",
        abstract: "List versions of objects, of each the newest first: VERSION SIZE TIME ETAG KEY.",
        discussion: """
            A delete marker is a line VERSION deleted TIME - KEY. With --json the answer is one \
            document for each page of up to 1000, whose `next` is there when more follows.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @Option(help: "Only keys that begin with this.")
    var prefix: String = ""

    func perform() async throws {
        try await withAccess { access in
            var cursor: String?
            repeat {
                let page = try await access.objectVersions(
                    in: bucket,
                    ObjectListRequest(prefix: prefix, after: cursor, limit: Pages.countMax))
                if options.json {
                    try Output.json(page)
                } else {
                    for version in page.versions { try Output.line(version.line) }
                }
                cursor = page.next
            } while cursor != nil
        }
    }
}

extension ObjectVersionInfo {
    fileprivate var line: String {
        "\(version) "
            + (object?.line ?? "deleted \(modifiedAt) - \(Output.printable(key))")
    }
}
