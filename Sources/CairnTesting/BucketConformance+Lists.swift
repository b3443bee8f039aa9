// Part of Cairn, a content-addressed blob store.

internal import Cairn
internal import CairnCore

extension BucketConformance {
    // Not in the order of characters: composed and decomposed letters are different keys.
    private static let names = [
        "b", "a", "a/b", "a/", "a//c", "a\u{1}", "\u{e9}", "e\u{301}", "\u{10FFFF}", "Z", "..", "/",
        "a/b/c", "aa", "~",
    ]

    private func allPages(
        _ bucket: some ObjectBucket, prefix: String = "", delimiter: String = "", limit: Int
    ) async throws -> [String] {
        var found: [String] = []
        var cursor: ObjectCursor?
        repeat {
            let page = try await bucket.objects(
                prefix: prefix, delimiter: delimiter, from: cursor, limit: limit)
            let entries = page.objects.map(\.key) + page.commonPrefixes
            try expect(entries.count <= limit, "a page has \(entries.count) entries of \(limit)")
            try expect(
                page.next == nil || entries.count == limit, "a page that is not full goes on")
            found += entries.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            // Through its text, as a client has it.
            cursor = page.next.flatMap { ObjectCursor($0.description) }
            try expect((cursor == nil) == (page.next == nil), "a cursor has no text")
        } while cursor != nil
        return found
    }

    func checkLists(_ bucket: some ObjectBucket) async throws {
        for name in Self.names { _ = try await put(bucket, name) }
        let sorted = Self.names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for limit in [1, 2, 7, 1000] {
            let found = try await allPages(bucket, limit: limit)
            try expect(
                found.map { Array($0.utf8) } == sorted.map { Array($0.utf8) },
                "pages of \(limit): \(found)")
        }
        for prefix in ["a", "a/", "\u{e9}", "nothing"] {
            let expected = sorted.filter { $0.utf8.starts(with: prefix.utf8) }
            try expect(try await allPages(bucket, prefix: prefix, limit: 2), expected, "\(prefix)")
        }
        let page = try await bucket.objects(
            prefix: "", delimiter: "", after: "a/b", from: nil, limit: 1000)
        let expected = sorted.filter { "a/b".utf8.lexicographicallyPrecedes($0.utf8) }
        try expect(page.objects.map(\.key), expected, "behind a key")
    }

    func checkDelimiters(_ bucket: some ObjectBucket) async throws {
        for name in Self.names { _ = try await put(bucket, name) }
        for (prefix, delimiter, objects, common) in [
            (
                "", "/",
                ["..", "Z", "a", "a\u{1}", "aa", "b", "~", "e\u{301}", "\u{e9}", "\u{10FFFF}"],
                ["/", "a/"]
            ),
            ("a/", "/", ["a/", "a/b"], ["a//", "a/b/"]),
            ("a", "a", ["a", "a/", "a//c", "a/b", "a/b/c", "a\u{1}"], ["aa"]),
            ("x", "/", [], []),
            (
                "", "a/",
                [
                    "..", "/", "Z", "a", "a\u{1}", "aa", "b", "~", "e\u{301}", "\u{e9}",
                    "\u{10FFFF}",
                ], ["a/"]
            ),
        ] {
            let page = try await bucket.objects(prefix: prefix, delimiter: delimiter)
            let bytes = { (texts: [String]) in Set(texts.map { Array($0.utf8) }) }
            try expect(
                bytes(page.objects.map(\.key)) == bytes(objects) && page.commonPrefixes == common,
                "\(prefix) by \(delimiter): \(page.objects.map(\.key)) and \(page.commonPrefixes)")
            let whole = Set((objects + common).map { Array($0.utf8) })
            for limit in [1, 3] {
                let found = try await allPages(
                    bucket, prefix: prefix, delimiter: delimiter, limit: limit)
                try expect(
                    found.count == whole.count && Set(found.map { Array($0.utf8) }) == whole,
                    "pages of \(limit) of \(prefix) by \(delimiter): \(found)")
            }
        }
    }
}
