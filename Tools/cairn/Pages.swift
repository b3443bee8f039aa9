// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser

/// Which part of a list to print.
struct PageOptions: ParsableArguments {
    @Option(help: ArgumentHelp("At most so many entries (default: all).", valueName: "count"))
    var limit: Int?

    @Option(
        help: ArgumentHelp("Start behind the `next` of an earlier list.", valueName: "next"))
    var after: String?

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit must be 1 or more.") }
    }
}

/// Lists that come in pages.
enum Pages {
    /// As many elements as one call gives.
    static let countMax = 1000

    /// All elements, page by page; `next` gets the last element already there.
    ///
    /// - Parameter count: the size of a page.
    static func all<Element>(
        of count: Int = countMax, _ next: (Element?) async throws -> [Element]
    ) async throws -> [Element] {
        var all: [Element] = []
        var page: [Element]
        repeat {
            page = try await next(all.last)
            all += page
        } while page.count == count
        return all
    }
}
