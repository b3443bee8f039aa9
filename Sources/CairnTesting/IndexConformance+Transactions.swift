// Part of Cairn, a content-addressed blob store.
internal import CairnIndex

// Rules about concurrent transactions, counters, and what survives.
extension IndexConformance {
    static var conflictCases: [Case] {
        [
            Case("of two transactions that read and write a key exactly one commits") {
                try readThenWrite($0)
            },
            Case("getMany in a transaction is validated like get", getManyIsValidated),
            Case("reading an absent row conflicts with its creation", absentRowIsValidated),
            Case("reading a row conflicts with its removal", removalIsValidated),
            Case("write skew is prevented", writeSkew),
            Case("a change before the first read conflicts too", validatedFromBegin),
            Case("a transaction without writes never conflicts", readOnlyNeverConflicts),
            Case("transactions on different keys do not conflict", differentKeys),
            Case("a transaction that conflicted leaves nothing and can be run again", runAgain),
            Case("reads in a transaction stay at its beginning", repeatableReads),
        ]
    }

    static var counterCases: [Case] {
        [
            Case("additions sum up, below zero too", additions),
            Case("additions by concurrent transactions do not conflict", additionsCommute),
            Case("reading a counter conflicts with an addition", readCounterIsValidated),
            Case("additions show in the transaction's own reads", additionsInOwnReads),
            Case("an addition to a row that is no counter is refused", additionToOtherRow),
            Case("a counter never wraps around", counterOverflow),
        ]
    }

    static var lifetimeCases: [Case] {
        [
            Case("synced commits survive closing and opening", reopening),
            Case("closing syncs", closingSyncs),
            Case("synced commits survive a crash, and what survives is a prefix", crashing),
            Case("a table can be added when opening", addingTable),
            Case("opening without a table that exists is refused", missingTable),
            Case("a closed index refuses everything, twice closed is closed", closedIndex),
            Case("snapshots and transactions outlive the index harmlessly", outliving),
        ]
    }

    // MARK: - Conflicts

    private static func readThenWrite(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "0"])
            let first = try index.begin()
            let second = try index.begin()
            for transaction in [first, second] {
                try expect(try text(transaction, points, "a"), "0")
            }
            try first.put(points, bytes("a"), bytes("1"))
            try second.put(points, bytes("a"), bytes("2"))
            try second.commit()
            try expect(.conflict) { try first.commit() }
            try expect(try text(index, points, "a"), "2")
        }
    }

    private static func getManyIsValidated(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "0", "b": "0"])
            for key in ["a", "b", "absent"] {
                let transaction = try index.begin()
                _ = try transaction.getMany(points, ["a", "b", "absent"].map(bytes))
                try transaction.put(points, bytes("other"), [])
                try put(index, points, [key: "1"])
                try expect(.conflict) { try transaction.commit() }
            }
        }
    }

    private static func absentRowIsValidated(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transaction = try index.begin()
            try expect(try text(transaction, points, "a"), nil)
            try transaction.put(points, bytes("a"), bytes("mine"))
            try put(index, points, ["a": "theirs"])
            try expect(.conflict) { try transaction.commit() }
            try expect(try text(index, points, "a"), "theirs")
        }
    }

    private static func removalIsValidated(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "1"])
            let transaction = try index.begin()
            try expect(try text(transaction, points, "a"), "1")
            try transaction.put(points, bytes("b"), [])
            try write(index) { try $0.delete(points, bytes("a")) }
            try expect(.conflict) { try transaction.commit() }
            try expect(try text(index, points, "b"), nil)
        }
    }

    private static func writeSkew(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "on", "b": "on"])
            let first = try index.begin()
            let second = try index.begin()
            for transaction in [first, second] {
                _ = try transaction.getMany(points, ["a", "b"].map(bytes))
            }
            try first.put(points, bytes("a"), bytes("off"))
            try second.put(points, bytes("b"), bytes("off"))
            try first.commit()
            try expect(.conflict) { try second.commit() }
        }
    }

    private static func validatedFromBegin(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "1"])
            let transaction = try index.begin()
            try put(index, points, ["a": "2"])
            try expect(try text(transaction, points, "a"), "1")
            try transaction.put(points, bytes("b"), bytes("1"))
            try expect(.conflict) { try transaction.commit() }
        }
    }

    private static func readOnlyNeverConflicts(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "1"])
            let transaction = try index.begin()
            try expect(try text(transaction, points, "a"), "1")
            try put(index, points, ["a": "2"])
            try transaction.commit()
        }
    }

    private static func differentKeys(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transactions = try (0..<20).map { _ in try index.begin() }
            for (number, transaction) in transactions.enumerated() {
                _ = try transaction.get(points, bytes("k\(number)"))
                // The same key in another table is another key.
                _ = try transaction.get(small, bytes("k\(19 - number)"))
                try transaction.put(points, bytes("k\(number)"), bytes("v"))
            }
            for transaction in transactions { try transaction.commit() }
        }
    }

    private static func runAgain(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, points, ["a": "1"])
            let transaction = try index.begin()
            _ = try transaction.get(points, bytes("a"))
            try transaction.put(points, bytes("b"), bytes("1"))
            try transaction.add(points, bytes("c"), 1)
            try put(index, points, ["a": "2"])
            try expect(.conflict) { try transaction.commit() }
            try expect(.closed) { try transaction.commit() }
            try expect(try index.getMany(points, ["b", "c"].map(bytes)), [nil, nil])
            try write(index) { again in
                try expect(try text(again, points, "a"), "2")
                try again.put(points, bytes("b"), bytes("2"))
            }
            try expect(try text(index, points, "b"), "2")
        }
    }

    private static func repeatableReads(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, ordered, ["a": "1"])
            let transaction = try index.begin()
            try put(index, ordered, ["a": "2", "b": "2"])
            try expect(try text(transaction, ordered, "a"), "1")
            try expect(try transaction.getMany(ordered, [bytes("b")]), [nil])
            try expect(try keys(transaction), ["a"])
            transaction.rollback()
        }
    }

    // MARK: - Counters

    private static func counter(_ reader: any IndexReader, _ key: String) throws -> Int64 {
        try Counter.decoded(try reader.get(small, bytes(key)))
    }

    private static func additions(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            for delta: Int64 in [5, -7, 300, -1] {
                try write(index) { try $0.add(small, bytes("n"), delta) }
            }
            try expect(try counter(index, "n"), 297)
            try write(index) { try $0.add(small, bytes("n"), -300) }
            try expect(try counter(index, "n"), -3)
            try expect(try index.get(small, bytes("n")), [0xFD] + Array(repeating: 0xFF, count: 7))
        }
    }

    private static func additionsCommute(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transactions = try (0..<10).map { _ in try index.begin() }
            for transaction in transactions { try transaction.add(small, bytes("n"), 3) }
            for transaction in transactions { try transaction.commit() }
            try expect(try counter(index, "n"), 30)
        }
    }

    private static func readCounterIsValidated(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            let transaction = try index.begin()
            try expect(try counter(transaction, "n"), 0)
            try transaction.add(small, bytes("n"), 1)
            try write(index) { try $0.add(small, bytes("n"), 1) }
            try expect(.conflict) { try transaction.commit() }
            try expect(try counter(index, "n"), 1)
        }
    }

    private static func additionsInOwnReads(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try write(index) { try $0.add(small, bytes("n"), 40) }
            let transaction = try index.begin()
            try transaction.add(small, bytes("n"), 2)
            try transaction.add(small, bytes("m"), 1)
            try expect(try counter(transaction, "n"), 42)
            let found = try transaction.getMany(small, ["m", "n", "x"].map(bytes))
            try expect(found, [Counter.encoded(1), Counter.encoded(42), nil])
            let scanned = try transaction.scan(small, from: [], before: nil, limit: 10)
            try expect(scanned.map(\.value), [Counter.encoded(1), Counter.encoded(42)])
            try transaction.delete(small, bytes("n"))
            try transaction.add(small, bytes("n"), 7)
            try transaction.put(small, bytes("m"), Counter.encoded(10))
            try transaction.add(small, bytes("m"), 1)
            try transaction.commit()
            try expect(try counter(index, "n"), 7)
            try expect(try counter(index, "m"), 11)
        }
    }

    private static func additionToOtherRow(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try put(index, small, ["a": "seven b"])
            let transaction = try index.begin()
            try transaction.add(small, bytes("a"), 1)
            try transaction.put(small, bytes("b"), [])
            try expect(.invalidArgument) { _ = try transaction.get(small, bytes("a")) }
            try expect(.invalidArgument) { try transaction.commit() }
            try expect(try text(index, small, "a"), "seven b")
            try expect(try text(index, small, "b"), nil)
        }
    }

    private static func counterOverflow(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            try write(index) { try $0.add(small, bytes("n"), .max) }
            try expect(.limitExceeded) { try write(index) { try $0.add(small, bytes("n"), 1) } }
            try expect(try counter(index, "n"), .max)
            try write(index) { try $0.add(small, bytes("n"), -1) }
        }
    }

    // MARK: - Lifetime

    private static func reopening(_ harness: any IndexHarness) throws {
        var index = try harness.makeIndex(tables: tables)
        for round in 0..<3 {
            try put(index, points, ["k\(round)": "v\(round)"])
            try put(index, ordered, ["k": "\(round)"])
            try index.sync()
            index = try harness.reopen(index, tables: tables)
            for earlier in 0...round {
                try expect(try text(index, points, "k\(earlier)"), "v\(earlier)")
            }
            try expect(try text(index, ordered, "k"), "\(round)")
        }
        try index.close()
    }

    private static func closingSyncs(_ harness: any IndexHarness) throws {
        let index = try harness.makeIndex(tables: tables)
        try put(index, points, ["a": "1"])
        let later = try harness.reopen(index, tables: tables)
        try expect(try text(later, points, "a"), "1")
        try later.close()
    }

    private static func crashing(_ harness: any IndexHarness) throws {
        try withIndex(harness) { index in
            for number in 0..<20 {
                // Each commit touches two tables, so that a torn one would show.
                try write(index) { transaction in
                    try transaction.put(points, [UInt8(number)], [1])
                    try transaction.put(ordered, [UInt8(number)], [1])
                }
                if number == 9 { try index.sync() }
            }
            let left = try harness.crash(index, tables: tables)
            let keys = try left.scan(points, from: [0], before: nil, limit: 100).map(\.key)
            try expect(keys, (0..<20).prefix(keys.count).map { [UInt8($0)] })
            try expect(keys.count >= 10, true)
            try expect(try left.scan(ordered, from: [0], before: nil, limit: 100).map(\.key), keys)
            try left.close()
        }
    }

    private static func addingTable(_ harness: any IndexHarness) throws {
        let added = IndexTable("added", .ordered)
        let index = try harness.makeIndex(tables: tables)
        try put(index, points, ["a": "1"])
        let later = try harness.reopen(index, tables: [added] + tables)
        try expect(try text(later, points, "a"), "1")
        try expect(try text(later, added, "a"), nil)
        try put(later, added, ["a": "2"])
        let last = try harness.reopen(later, tables: tables + [added])
        try expect(try text(last, points, "a"), "1")
        try expect(try text(last, added, "a"), "2")
        try last.close()
    }

    private static func missingTable(_ harness: any IndexHarness) throws {
        let index = try harness.makeIndex(tables: tables)
        try put(index, points, ["a": "1"])
        try expect(.unsupportedVersion) { _ = try harness.reopen(index, tables: [points]) }
        let later = try harness.reopen(index, tables: tables)
        try expect(try text(later, points, "a"), "1")
        try later.close()
    }

    private static func closedIndex(_ harness: any IndexHarness) throws {
        let index = try harness.makeIndex(tables: tables)
        try index.close()
        try index.close()
        try expect(.closed) { _ = try index.get(points, [1]) }
        try expect(.closed) { _ = try index.getMany(points, [[1]]) }
        try expect(.closed) { _ = try keys(index) }
        try expect(.closed) { _ = try index.begin() }
        try expect(.closed) { _ = try index.snapshot() }
        try expect(.closed) { try index.sync() }
        try expect(.closed) { _ = try index.statistics() }
        try expect(.closed) { _ = try index.approximateByteCount() }
        try expect(.closed) { try index.checkpoint(to: "never") }
    }

    private static func outliving(_ harness: any IndexHarness) throws {
        let index = try harness.makeIndex(tables: tables)
        try put(index, points, ["a": "1"])
        let snapshot = try index.snapshot()
        let transaction = try index.begin()
        try transaction.put(points, bytes("a"), bytes("2"))
        let later = try harness.reopen(index, tables: tables)
        try expect(.closed) { _ = try snapshot.get(points, bytes("a")) }
        try expect(.closed) { _ = try keys(snapshot) }
        try expect(.closed) { _ = try transaction.get(points, bytes("b")) }
        try expect(.closed) { try transaction.commit() }
        try expect(try text(later, points, "a"), "1")
        try later.close()
    }
}
