// Part of Cairn, a content-addressed blob store.
public import CairnIndex

/// How ``IndexConformance`` gets at the implementation it tests.
public protocol IndexHarness: Sendable {
    /// Makes a new, empty index with these tables.
    func makeIndex(tables: [IndexTable]) throws -> any Index
    /// Closes an index of this harness and opens it again, with these tables.
    func reopen(_ index: any Index, tables: [IndexTable]) throws -> any Index
    /// Opens what a killed process would leave of an index, which itself stays open.
    func crash(_ index: any Index, tables: [IndexTable]) throws -> any Index
}

/// What every ``Index`` has to do, as a suite that any implementation can be run through.
///
/// ```swift
/// for test in IndexConformance.allCases { try test.run(MyHarness()) }
/// ```
public enum IndexConformance {
    /// One rule.
    public struct Case: Sendable, CustomStringConvertible {
        /// The rule as a sentence.
        public let description: String
        /// Throws unless the implementation obeys the rule.
        public let run: @Sendable (any IndexHarness) throws -> Void

        init(_ description: String, _ run: @escaping @Sendable (any IndexHarness) throws -> Void) {
            self.description = description
            self.run = run
        }
    }

    /// A rule that was broken.
    public struct Failure: Error, CustomStringConvertible {
        /// What was expected, and where.
        public let description: String
    }

    /// All rules.
    public static var allCases: [Case] {
        readingCases + writingCases + conflictCases + counterCases + lifetimeCases
    }

    // MARK: - Shared by the rules

    /// Rows reached by whole keys.
    static let points = IndexTable("points", .pointLookups(keyByteCount: 4))
    /// Rows that are scanned.
    static let ordered = IndexTable("ordered", .ordered)
    /// Few rows.
    static let small = IndexTable("small", .small)
    static let tables = [points, ordered, small]

    /// Runs a body with a fresh index and closes it.
    static func withIndex(
        _ harness: any IndexHarness, _ body: (any Index) throws -> Void
    ) throws {
        let index = try harness.makeIndex(tables: tables)
        try body(index)
        try index.close()
    }

    /// Runs and commits a transaction.
    static func write(_ index: any Index, _ body: (any IndexTransaction) throws -> Void) throws {
        let transaction = try index.begin()
        try body(transaction)
        try transaction.commit()
    }

    /// Writes rows whose keys and values are given as text.
    static func put(_ index: any Index, _ table: IndexTable, _ rows: [String: String]) throws {
        try write(index) { transaction in
            for (key, value) in rows { try transaction.put(table, bytes(key), bytes(value)) }
        }
    }

    /// The bytes of a text.
    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// A row as text, for comparison.
    static func text(_ reader: any IndexReader, _ table: IndexTable, _ key: String) throws
        -> String?
    {
        try reader.get(table, bytes(key)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The keys of a scan as text.
    static func keys(
        _ reader: any IndexReader, from: String = "", before: String? = nil, limit: Int = 1000
    ) throws -> [String] {
        try reader.scan(
            ordered, from: bytes(from), before: before.map(bytes), limit: limit
        ).map { String(decoding: $0.key, as: UTF8.self) }
    }

    /// Throws unless both are equal.
    static func expect<T: Equatable>(
        _ actual: T, _ expected: T, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws {
        guard actual != expected else { return }
        throw Failure(description: "\(file):\(line): expected \(expected), found \(actual)")
    }

    /// Throws unless the body throws an error with this code.
    static func expect(
        _ code: IndexError.Code, _ file: StaticString = #fileID, _ line: UInt = #line,
        _ body: () throws -> Void
    ) throws {
        do {
            try body()
        } catch let error as IndexError where error.code == code {
            return
        } catch {
            throw Failure(description: "\(file):\(line): expected \(code), caught \(error)")
        }
        throw Failure(description: "\(file):\(line): expected \(code), nothing was thrown")
    }
}
