// Part of Cairn, a content-addressed blob store.

internal import CairnIndex

/// The rows of a table in the order of their keys, a page at a time, read on worker threads.
///
/// Memory for one page. Rows that come or go meanwhile may be met or missed, unless the pages are
/// those of a snapshot. Ends with `cancelled` when the task is.
struct RowPages: AsyncSequence {
    typealias Failure = StoreError

    /// Rows of a page: one of an object may have hundreds of kilobytes, and the node behind one of
    /// a chunk 1024 children.
    static let rowCountMax = 256

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let pages: RowPages
        fileprivate var after: [UInt8]?
        fileprivate var isAtEnd = false

        mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(StoreError) -> [IndexEntry]? {
            guard !isAtEnd else { return nil }
            let rows = try await pages.read(after: after)
            isAtEnd = rows.count < RowPages.rowCountMax
            after = rows.last?.key
            return rows.isEmpty ? nil : rows
        }
    }

    fileprivate let engine: Engine
    fileprivate let table: IndexTable
    fileprivate let prefix: [UInt8]
    fileprivate let snapshot: (any IndexSnapshot)?
    fileprivate let work: String

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pages: self) }

    private func read(after: [UInt8]?) async throws(StoreError) -> [IndexEntry] {
        try engine.checkCancellation(work)
        return try await engine.read("reading \(table.name)") {
            [table, prefix, snapshot] (index) throws(IndexError) in
            let reader: any IndexReader = if let snapshot { snapshot } else { index }
            return try reader.scan(
                table, prefix: prefix, after: after, limit: RowPages.rowCountMax)
        }
    }
}

extension Engine {
    /// The rows of a table whose keys begin with `prefix`.
    ///
    /// - Parameter work: what is cancelled when the task is, such as "the scrub".
    func pages(
        of table: IndexTable, prefix: [UInt8] = [], in snapshot: (any IndexSnapshot)? = nil,
        for work: String
    ) -> RowPages {
        RowPages(engine: self, table: table, prefix: prefix, snapshot: snapshot, work: work)
    }
}
