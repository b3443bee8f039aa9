// Part of Cairn, a content-addressed blob store.
internal import CairnIndex

// Rules about reading and writing rows.
extension IndexConformance {
    static var readingCases: [Case] {
        [
            Case("an absent row reads as nil", absentRow),
            Case("getMany answers in the order of the keys, repeated and absent ones included") {
                try getManyKeepsOrder($0)
            },
            Case("a scan returns rows in ascending byte order", scanOrder),
            Case("a scan includes its first bound and excludes its last", scanBounds),
            Case("pages of a scan join without gap or repetition", scanPages),
            Case("a prefix scan returns exactly the rows with the prefix", scanPrefix),
            Case("tables do not share rows", tablesAreApart),
            Case("a snapshot does not see later commits", snapshotIsolation),
            Case("keys and values of all lengths within the limits are kept", lengths),
        ]
    }

    static var writingCases: [Case] {
        [
            Case("a transaction's writes are invisible until it commits", invisibleUntilCommit),
            Case("a transaction sees its own writes", ownWrites),
            Case("a scan in a transaction merges its own writes", ownWritesInScan),
            Case("a rolled back transaction leaves nothing behind", rollback),
            Case("the last write to a key in a transaction counts", lastWriteCounts),
            Case("a transaction that has ended refuses everything", endedTransaction),
            Case("keys, values and tables outside the limits are refused", refusals),
        ]
    }

    // MARK: - Reading

    private static func absentRow(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try expect(try text(index, points, "none"), nil)
            try put(index, points, ["a": "1"])
            try expect(try text(index, points, "none"), nil)
            try expect(try text(index, points, "a"), "1")
            try write(index) { try $0.delete(points, bytes("a")) }
            try expect(try text(index, points, "a"), nil)
        }
    }

    private static func getManyKeepsOrder(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try write(index) { transaction in
                for number in 0..<300 where number % 3 != 0 {
                    try transaction.put(points, bytes("k\(number)"), bytes("v\(number)"))
                }
            }
            let numbers = (0..<300).reversed() + [7, 7, 5]
            let expected = numbers.map { $0 % 3 == 0 ? nil : bytes("v\($0)") }
            let keys = numbers.map { bytes("k\($0)") }
            try expect(try index.getMany(points, keys), expected)
            try expect(try index.snapshot().getMany(points, keys), expected)
            try expect(try index.begin().getMany(points, keys), expected)
            try expect(try index.getMany(points, []), [])
        }
    }

    private static func scanOrder(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let keys: [[UInt8]] = [[0], [0, 0], [0, 255], [1], [127], [128], [255], [255, 0]]
            try write(index) { transaction in
                for key in keys.shuffledByValue { try transaction.put(ordered, key, key) }
            }
            let entries = try index.scan(ordered, from: [], before: nil, limit: 100)
            try expect(entries.map(\.key), keys)
            try expect(entries.map(\.value), keys)
        }
    }

    private static func scanBounds(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, ordered, ["a": "", "b": "", "c": "", "d": ""])
            try expect(try keys(index, from: "b", before: "d"), ["b", "c"])
            try expect(try keys(index, from: "bb", before: "cc"), ["c"])
            try expect(try keys(index, from: "d"), ["d"])
            try expect(try keys(index, from: "e"), [])
            try expect(try keys(index, from: "c", before: "c"), [])
            try expect(try keys(index, from: "c", before: "a"), [])
            try expect(try keys(index, limit: 0), [])
            try expect(try keys(index, limit: 2), ["a", "b"])
        }
    }

    private static func scanPages(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let names = (0..<100).map { "k\(1000 + $0)" }
            try put(index, ordered, Dictionary(uniqueKeysWithValues: names.map { ($0, "") }))
            for limit in [1, 7, 100, 101] {
                var found: [String] = []
                var from: [UInt8] = []
                while true {
                    let page = try index.scan(ordered, from: from, before: nil, limit: limit)
                    found += page.map { String(decoding: $0.key, as: UTF8.self) }
                    guard let last = page.last else { break }
                    from = last.key + [0]
                }
                try expect(found, names)
            }
        }
    }

    private static func scanPrefix(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let keys: [[UInt8]] = [
                [1], [1, 255], [1, 255, 255], [2], [255], [255, 255], [255, 1],
            ]
            try write(index) { for key in keys { try $0.put(ordered, key, []) } }
            func scan(_ prefix: [UInt8], after: [UInt8]? = nil) throws -> [[UInt8]] {
                try index.scan(ordered, prefix: prefix, after: after, limit: 100).map(\.key)
            }
            try expect(try scan([1]), [[1], [1, 255], [1, 255, 255]])
            try expect(try scan([1, 255]), [[1, 255], [1, 255, 255]])
            try expect(try scan([255]), [[255], [255, 1], [255, 255]])
            try expect(try scan([255, 255]), [[255, 255]])
            try expect(try scan([3]), [])
            try expect(try scan([]).count, keys.count)
            try expect(try scan([1], after: [1]), [[1, 255], [1, 255, 255]])
            try expect(try scan([1], after: [1, 255, 255]), [])
        }
    }

    private static func tablesAreApart(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "1"])
            try put(index, small, ["a": "2"])
            try expect(try text(index, points, "a"), "1")
            try expect(try text(index, small, "a"), "2")
            try expect(try text(index, ordered, "a"), nil)
        }
    }

    private static func snapshotIsolation(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, ordered, ["a": "1", "b": "1"])
            let before = try index.snapshot()
            try write(index) { transaction in
                try transaction.put(ordered, bytes("a"), bytes("2"))
                try transaction.delete(ordered, bytes("b"))
                try transaction.put(ordered, bytes("c"), bytes("2"))
            }
            try expect(try text(before, ordered, "a"), "1")
            try expect(try before.getMany(ordered, [bytes("b"), bytes("c")]), [bytes("1"), nil])
            try expect(try keys(before), ["a", "b"])
            try expect(try keys(index.snapshot()), ["a", "c"])
        }
    }

    private static func lengths(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let rows: [(key: [UInt8], value: [UInt8])] = [
                ([0], []), ([1], [0]), ([2], Array(repeating: 7, count: 1 << 20)),
                (Array(repeating: 3, count: IndexLimits.keyByteCountMax), [1, 2, 3]),
            ]
            try write(index) { for row in rows { try $0.put(points, row.key, row.value) } }
            for row in rows { try expect(try index.get(points, row.key), row.value) }
        }
    }

    // MARK: - Writing

    private static func invisibleUntilCommit(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transaction = try index.begin()
            try transaction.put(points, bytes("a"), bytes("1"))
            try expect(try text(index, points, "a"), nil)
            try expect(try text(index.begin(), points, "a"), nil)
            try transaction.commit()
            try expect(try text(index, points, "a"), "1")
        }
    }

    private static func ownWrites(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "1", "b": "1", "c": "1"])
            let transaction = try index.begin()
            try transaction.put(points, bytes("a"), bytes("2"))
            try transaction.delete(points, bytes("b"))
            try transaction.put(points, bytes("d"), bytes("2"))
            try expect(try text(transaction, points, "a"), "2")
            try expect(try text(transaction, points, "b"), nil)
            try expect(
                try transaction.getMany(points, ["d", "c", "b", "a", "e"].map(bytes)),
                [bytes("2"), bytes("1"), nil, bytes("2"), nil])
            transaction.rollback()
        }
    }

    private static func ownWritesInScan(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, ordered, ["b": "1", "d": "1", "f": "1", "h": "1"])
            let transaction = try index.begin()
            try transaction.put(ordered, bytes("a"), bytes("2"))
            try transaction.put(ordered, bytes("d"), bytes("2"))
            try transaction.delete(ordered, bytes("b"))
            try transaction.delete(ordered, bytes("f"))
            try transaction.delete(ordered, bytes("g"))
            try transaction.put(ordered, bytes("z"), bytes("2"))
            try expect(try keys(transaction), ["a", "d", "h", "z"])
            try expect(try keys(transaction, from: "b", before: "z"), ["d", "h"])
            try expect(try keys(transaction, from: "b", limit: 1), ["d"])
            try expect(try keys(transaction, from: "e", limit: 1), ["h"])
            try expect(try keys(transaction, limit: 3), ["a", "d", "h"])
            let entries = try transaction.scan(
                ordered, from: bytes("d"), before: bytes("e"), limit: 5)
            try expect(entries, [IndexEntry(key: bytes("d"), value: bytes("2"))])
            transaction.rollback()
        }
    }

    private static func rollback(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transaction = try index.begin()
            try transaction.put(points, bytes("a"), bytes("1"))
            transaction.rollback()
            do {
                // Forgotten without an end: rolled back as well.
                let forgotten = try index.begin()
                try forgotten.put(points, bytes("b"), bytes("1"))
            }
            try expect(try text(index, points, "a"), nil)
            try expect(try text(index, points, "b"), nil)
        }
    }

    private static func lastWriteCounts(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["c": "0"])
            try write(index) { transaction in
                try transaction.put(points, bytes("a"), bytes("1"))
                try transaction.put(points, bytes("a"), bytes("2"))
                try transaction.put(points, bytes("b"), bytes("1"))
                try transaction.delete(points, bytes("b"))
                try transaction.delete(points, bytes("c"))
                try transaction.put(points, bytes("c"), bytes("3"))
            }
            try expect(
                try index.getMany(points, ["a", "b", "c"].map(bytes)),
                [bytes("2"), nil, bytes("3")])
        }
    }

    private static func endedTransaction(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            for isCommitted in [true, false] {
                let transaction = try index.begin()
                if isCommitted { try transaction.commit() } else { transaction.rollback() }
                let key = bytes("a")
                try expect(.closed) { try transaction.put(points, key, []) }
                try expect(.closed) { try transaction.delete(points, key) }
                try expect(.closed) { try transaction.add(points, key, 1) }
                try expect(.closed) { _ = try transaction.get(points, key) }
                try expect(.closed) { _ = try transaction.getMany(points, [key]) }
                try expect(.closed) { _ = try keys(transaction) }
                try expect(.closed) { try transaction.commit() }
                transaction.rollback()
            }
        }
    }

    private static func refusals(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transaction = try index.begin()
            let unknown = IndexTable("unknown", .small)
            let tooLong = [UInt8](repeating: 1, count: IndexLimits.keyByteCountMax + 1)
            try expect(.limitExceeded) { try transaction.put(points, [], []) }
            try expect(.limitExceeded) { try transaction.put(points, tooLong, []) }
            try expect(.limitExceeded) { _ = try index.get(points, tooLong) }
            try expect(.limitExceeded) { _ = try index.getMany(points, [[1], []]) }
            try expect(.limitExceeded) {
                let value = [UInt8](repeating: 0, count: IndexLimits.valueByteCountMax + 1)
                try transaction.put(points, [1], value)
            }
            try expect(.invalidArgument) { _ = try index.get(unknown, [1]) }
            try expect(.invalidArgument) { try transaction.put(unknown, [1], []) }
            try expect(.invalidArgument) {
                _ = try index.scan(unknown, from: [], before: nil, limit: 1)
            }
            try transaction.put(points, [1], [1])
            try transaction.commit()
            try expect(try index.get(points, [1]), [1])
        }
    }
}

extension Array where Element == [UInt8] {
    /// Another order than ascending, the same in every run.
    fileprivate var shuffledByValue: Self {
        sorted { ($0.reduce(7) { $0 ^ $1 &* 31 }) < ($1.reduce(7) { $0 ^ $1 &* 31 }) }
    }
}
