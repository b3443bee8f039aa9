// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnTestSupport
import CairnTesting
import Testing

/// Lists against a list that is computed from all keys.
@Suite struct ObjectListingTests {
    private static let keys = [
        "a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "a//", "a//b", "a0", "b/x/1", "b/x/2", "b/y",
        "tags/a", "tags/ö", "tags/öß", "tags0", "Ω", "Ω/1", "\u{1}", "..", "../x", "%2e%2e",
    ]

    private static func bucket(_ store: Store) async throws -> Bucket {
        let bucket = try await store.defaultAccount.createBucket("objects")
        for key in keys { try await bucket.putObject(key, [1].span) }
        // Neighbours, which no list may show.
        let other = try await store.defaultAccount.createBucket("other")
        try await other.putObject("a/other", [1].span)
        return bucket
    }

    @Test(arguments: ["", "a", "a/", "b/", "tags/", "tags/ö", "Ω", "nothing"])
    func `a list shows what lies behind a prefix, whatever the delimiter and the size of the page`(
        prefix: String
    ) async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await Self.bucket(store)
        for delimiter in ["", "/", "//", "b", "ö", "/b/", "none", "\0"] {
            let expected = Listing(Self.keys, prefix: prefix, delimiter: delimiter)
            for limit in [1, 2, 3, 7, 1000] {
                let pages = try await Self.pages(
                    of: bucket, prefix: prefix, delimiter: delimiter, limit: limit)
                #expect(
                    Listing(pages) == expected, "\(prefix) \(delimiter.debugDescription) \(limit)")
                for page in pages.dropLast() {
                    #expect(page.objects.count + page.commonPrefixes.count == limit)
                }
            }
        }
        try await store.close()
    }

    private static func pages(
        of bucket: Bucket, prefix: String, delimiter: String, limit: Int
    ) async throws -> [ObjectPage] {
        var pages: [ObjectPage] = []
        var cursor: ObjectCursor?
        repeat {
            let page = try await bucket.objects(
                prefix: prefix, delimiter: delimiter, from: cursor, limit: limit)
            pages.append(page)
            // As a client sends it back.
            cursor = try page.next.map { try #require(ObjectCursor($0.description)) }
        } while cursor != nil
        return pages
    }

    @Test func `a list starts behind a key or a common prefix that need not exist`() async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await Self.bucket(store)
        for after in Self.keys + ["", "a/b/zzz", "a/a", "zzz", "Ω/2", "tags/"] {
            for delimiter in ["", "/"] {
                let all = Listing(Self.keys, prefix: "", delimiter: delimiter)
                let page = try await bucket.objects(delimiter: delimiter, after: after)
                let found = Listing([page])
                #expect(found.keys == all.keys.filter { Listing.precedes(after, $0) })
                #expect(found.prefixes == all.prefixes.filter { Listing.precedes(after, $0) })
            }
        }
        try await store.close()
    }

    @Test func `a page turned at a key that has gone goes on behind it`() async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await Self.bucket(store)
        let first = try await bucket.objects(prefix: "a/", limit: 2)
        for object in first.objects { try await bucket.deleteObject(object.key) }
        try await bucket.putObject("a/\u{1}", [1].span)
        let rest = try await bucket.objects(prefix: "a/", from: first.next)
        let expected = Listing(Self.keys, prefix: "a/", delimiter: "").keys.dropFirst(2)
        #expect(rest.objects.map(\.key) == Array(expected))
        try await store.close()
    }

    // 6000 keys behind 3 prefixes: whoever reads them all reads a thousand times as many rows.
    @Test func `what lies behind a common prefix is not read`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("objects")
        let blob = try await bucket.put([1]).digest
        for prefix in ["a/", "b/", "c/"] {
            try await withThrowingTaskGroup { group in
                for number in 0..<2000 {
                    group.addTask { try await bucket.putObject("\(prefix)\(number)", blob: blob) }
                }
                try await group.waitForAll()
            }
        }
        let before = simulated.index.scannedRowCount
        let page = try await bucket.objects(delimiter: "/")
        #expect(page.commonPrefixes == ["a/", "b/", "c/"])
        #expect(page.objects.isEmpty)
        #expect(!page.isTruncated)
        #expect(simulated.index.scannedRowCount - before < 50)
        try await store.close()
    }

    @Test(arguments: ["", "0", "03", "zz", "01f", "0161 ", String(repeating: "01", count: 1026)])
    func `a cursor that no list gave is none`(text: String) {
        #expect(ObjectCursor(text) == nil)
    }

    @Test(arguments: [
        "01", "02", "02ff", "01ff", "0200", "02" + String(repeating: "ff", count: 1024),
    ])
    func `a cursor that was made up leads nowhere else`(text: String) async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await Self.bucket(store)
        let cursor = try #require(ObjectCursor(text))
        let page = try await bucket.objects(from: cursor)
        #expect(page.objects.allSatisfy { Self.keys.contains($0.key) })
        try await store.close()
    }

    @Test func `texts that are too long are refused`() async throws {
        let store = try await SimulatedStore().open()
        let bucket = try await Self.bucket(store)
        let long = String(repeating: "x", count: 1025)
        #expect(await code { _ = try await bucket.objects(prefix: long) } == .invalidArgument)
        #expect(await code { _ = try await bucket.objects(delimiter: long) } == .invalidArgument)
        #expect(await code { _ = try await bucket.objects(after: long) } == .invalidArgument)
        for limit in [-1, 0, 1001] {
            #expect(await code { _ = try await bucket.objects(limit: limit) } == .invalidArgument)
        }
        let most = try await bucket.objects(prefix: String(repeating: "x", count: 1024))
        #expect(most.objects.isEmpty)
        try await store.close()
    }
}

/// What a list shows, in byte order.
private struct Listing: Equatable {
    var keys: [String] = []
    var prefixes: [String] = []

    static func precedes(_ a: String, _ b: String) -> Bool {
        a.utf8.lexicographicallyPrecedes(b.utf8)
    }

    init(_ pages: [ObjectPage]) {
        keys = pages.flatMap { $0.objects.map(\.key) }
        prefixes = pages.flatMap(\.commonPrefixes)
    }

    // Byte for byte: Swift compares strings by characters.
    init(_ all: [String], prefix: String, delimiter: String) {
        for key in all where key.utf8.starts(with: prefix.utf8) {
            let rest = Array(key.utf8.dropFirst(prefix.utf8.count))
            let mark = Array(delimiter.utf8)
            let start = rest.indices.first { !mark.isEmpty && rest[$0...].starts(with: mark) }
            guard let start else {
                keys.append(key)
                continue
            }
            let common = prefix + String(decoding: rest[..<(start + mark.count)], as: UTF8.self)
            if !prefixes.contains(common) { prefixes.append(common) }
        }
        keys.sort(by: Self.precedes)
        prefixes.sort(by: Self.precedes)
    }
}
