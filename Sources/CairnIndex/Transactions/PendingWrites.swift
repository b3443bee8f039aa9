// Part of Cairn, a content-addressed blob store.

/// A change that a transaction holds back until it commits.
package enum PendingChange: Hashable, Sendable {
    case put([UInt8])
    case delete
    /// A sum of additions on top of whatever the row holds at commit.
    case add(Int64)
}

/// The writes of one transaction, and the view through them onto the rows underneath.
package struct PendingWrites: Sendable {
    // By table, then by key: later writes to a key replace or extend earlier ones.
    package private(set) var changes: [Int: [[UInt8]: PendingChange]] = [:]
    /// Bytes of keys and values written, replaced ones included.
    package private(set) var byteCount = 0

    package init() {}

    /// Whether there is nothing to commit.
    package var isEmpty: Bool { changes.isEmpty }

    /// The change held for a key, if any.
    package subscript(table: Int, key: [UInt8]) -> PendingChange? { changes[table]?[key] }

    /// Whether the change held for a key makes the row underneath irrelevant.
    package func hides(_ table: Int, _ key: [UInt8]) -> Bool {
        switch self[table, key] {
        case .put, .delete: true
        case .add, nil: false
        }
    }

    /// Whether any change is held for a table.
    package func touches(_ table: Int) -> Bool { changes[table] != nil }

    package mutating func put(_ table: Int, _ key: [UInt8], _ value: [UInt8]) throws(IndexError) {
        guard value.count <= IndexLimits.valueByteCountMax else {
            throw IndexError(.limitExceeded, "a value of \(value.count) bytes is too long")
        }
        try reserve(key.count + value.count)
        changes[table, default: [:]][key] = .put(value)
    }

    package mutating func delete(_ table: Int, _ key: [UInt8]) throws(IndexError) {
        try reserve(key.count)
        changes[table, default: [:]][key] = .delete
    }

    package mutating func add(_ table: Int, _ key: [UInt8], _ delta: Int64) throws(IndexError) {
        let sum: PendingChange
        switch self[table, key] {
        case nil: sum = .add(delta)
        case .delete: sum = .put(Counter.encoded(delta))
        case .put(let value): sum = .put(try Counter.adding(delta, to: value))
        case .add(let before): sum = .add(try Counter.sum(before, delta))
        }
        try reserve(key.count + Counter.byteCount)
        changes[table, default: [:]][key] = sum
    }

    /// What a row looks like through the change held for it.
    package static func apply(
        _ change: PendingChange, to value: [UInt8]?
    ) throws(IndexError) -> [UInt8]? {
        switch change {
        case .put(let value): value
        case .delete: nil
        case .add(let delta): try Counter.adding(delta, to: value)
        }
    }

    /// The first rows of a range as the transaction sees them.
    ///
    /// - Parameter base: scans the rows underneath, with the range's bounds, for up to as many rows
    ///   as it is told.
    package func scan(
        _ table: Int, from: [UInt8], before: [UInt8]?, limit: Int,
        base: (Int) throws(IndexError) -> [IndexEntry]
    ) throws(IndexError) -> [IndexEntry] {
        guard limit > 0 else { return [] }
        let own = sortedChanges(table, from: from, before: before)
        // A row underneath that is deleted here takes a place on the page of the base. With so many
        // more rows, a base page that ends early still leaves `limit` rows ahead of its end.
        let deleteCount = own.count { $0.change == .delete }
        let (rowCount, overflow) = limit.addingReportingOverflow(deleteCount)
        let rows = try base(overflow ? Int.max : rowCount)
        var merged: [IndexEntry] = []
        var next = 0
        for change in own {
            while next < rows.count, rows[next].key.lexicographicallyPrecedes(change.key) {
                merged.append(rows[next])
                next += 1
            }
            guard merged.count < limit else { break }
            let isStored = next < rows.count && rows[next].key == change.key
            let stored = isStored ? rows[next].value : nil
            if isStored { next += 1 }
            if let value = try Self.apply(change.change, to: stored) {
                merged.append(IndexEntry(key: change.key, value: value))
            }
        }
        merged.append(contentsOf: rows[next...].prefix(Swift.max(0, limit - merged.count)))
        return Array(merged.prefix(limit))
    }

    // MARK: -

    private mutating func reserve(_ more: Int) throws(IndexError) {
        byteCount += more
        guard byteCount <= IndexLimits.transactionByteCountMax else {
            throw IndexError(
                .limitExceeded,
                "a transaction writes more than \(IndexLimits.transactionByteCountMax) bytes")
        }
    }

    private func sortedChanges(
        _ table: Int, from: [UInt8], before: [UInt8]?
    ) -> [(key: [UInt8], change: PendingChange)] {
        let inside = (changes[table] ?? [:]).filter { key, _ in
            if key.lexicographicallyPrecedes(from) { return false }
            guard let before else { return true }
            return key.lexicographicallyPrecedes(before)
        }
        return inside.map { (key: $0.key, change: $0.value) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}

/// Rows that hold a sum.
// counter := value:i64 (little-endian, two's complement)
package enum Counter {
    /// Bytes of a counter's value.
    package static let byteCount = 8

    /// A counter's value as it is stored.
    package static func encoded(_ value: Int64) -> [UInt8] {
        let bits = UInt64(bitPattern: value)
        // Truncation picks one byte out of eight, which is what is meant.
        return (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
    }

    /// The number in a counter's row; an absent row counts as zero.
    package static func decoded(_ value: [UInt8]?) throws(IndexError) -> Int64 {
        guard let value else { return 0 }
        guard value.count == byteCount else {
            throw IndexError(
                .invalidArgument, "a row of \(value.count) bytes is not a counter: it has eight")
        }
        return Int64(
            bitPattern: value.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    /// A counter's row after an addition.
    package static func adding(_ delta: Int64, to value: [UInt8]?) throws(IndexError) -> [UInt8] {
        encoded(try sum(decoded(value), delta))
    }

    /// The sum of two counters.
    package static func sum(_ first: Int64, _ second: Int64) throws(IndexError) -> Int64 {
        let (sum, overflow) = first.addingReportingOverflow(second)
        guard !overflow else { throw IndexError(.limitExceeded, "a counter overflows 64 bits") }
        return sum
    }
}
