// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import CairnServer

/// Lists blobs.
struct ListCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the blobs of a bucket: DIGEST SIZE TIME.",
        discussion: """
            The order is stable and has no meaning. With --json the answer is one document whose \
            `next` is there when --limit left something out: pass it to --after.
            """)

    @OptionGroup var options: StoreOptions

    @Argument(help: "The bucket's name.")
    var bucket: String

    @OptionGroup var page: PageOptions

    func perform() async throws {
        try await withAccess { access in
            var cursor = page.after
            var left = page.limit ?? .max
            // What goes before the next blob of a JSON document.
            var separator = #"{"blobs":["#
            repeat {
                // Written page by page: a bucket may hold more than fits into memory.
                let page = try await access.blobs(
                    in: bucket, after: cursor, limit: min(left, Pages.countMax))
                if options.json, page.blobs.isEmpty, separator != "," {
                    try Output.write(separator)
                    separator = ","
                }
                for blob in page.blobs {
                    try write(blob, behind: separator)
                    separator = ","
                }
                left -= page.blobs.count
                cursor = page.next
            } while cursor != nil && left > 0
            if options.json { try Output.line("]" + field("next", cursor) + "}") }
        }
    }

    private func write(_ blob: BlobInfo, behind separator: String) throws {
        if options.json {
            try Output.write(separator + Output.encode(blob))
        } else {
            try Output.line("\(blob.digest) \(blob.byteCount) \(blob.createdAt)")
        }
    }

    private func field(_ name: String, _ value: String?) throws -> String {
        try value.map { #",""# + name + #"":"# + (try Output.encode($0)) } ?? ""
    }
}
