// Part of Cairn, a content-addressed blob store.

internal import CairnIndex

/// The index as one verification sees it: all its rows are of one moment.
struct VerifiedIndex: Sendable {
    let engine: Engine
    let snapshot: any IndexSnapshot

    /// The rows of a table whose keys begin with `prefix`.
    func pages(of table: IndexTable, prefix: [UInt8] = []) -> RowPages {
        engine.pages(of: table, prefix: prefix, in: snapshot, for: "the verification")
    }

    /// Reads on a worker thread.
    func read<R: Sendable>(
        _ body: @escaping @Sendable (any IndexSnapshot) throws(IndexError) -> R
    ) async throws(StoreError) -> R {
        try engine.checkCancellation("the verification")
        return try await engine.read("verifying") { [snapshot] (_) throws(IndexError) in
            try body(snapshot)
        }
    }

    func get(_ table: IndexTable, _ key: [UInt8]) async throws(StoreError) -> [UInt8]? {
        try await read { (snapshot) throws(IndexError) in try snapshot.get(table, key) }
    }
}
