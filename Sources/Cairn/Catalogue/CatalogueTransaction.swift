// Part of Cairn, a content-addressed blob store.

internal import CairnIndex

/// A transaction that remembers what it changes in rows of the catalogue.
///
/// Used by one thread at a time.
final class CatalogueTransaction: IndexTransaction {
    private let base: any IndexTransaction
    /// The changes as the catalogue writes them.
    private(set) var changes: [UInt8] = []
    /// Whether a wrapped key is gone, which no file may keep for long.
    private(set) var hasDeletedKeys = false

    init(_ base: any IndexTransaction) { self.base = base }

    func get(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) -> [UInt8]? {
        try base.get(table, key)
    }

    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(IndexError) -> [[UInt8]?] {
        try base.getMany(table, keys)
    }

    func scan(
        _ table: IndexTable, from: [UInt8], before: [UInt8]?, limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        try base.scan(table, from: from, before: before, limit: limit)
    }

    func put(_ table: IndexTable, _ key: [UInt8], _ value: [UInt8]) throws(IndexError) {
        try base.put(table, key, value)
        note(table, key, value)
    }

    func delete(_ table: IndexTable, _ key: [UInt8]) throws(IndexError) {
        try base.delete(table, key)
        note(table, key, nil)
        if table.name == Tables.keys.name { hasDeletedKeys = true }
    }

    func add(_ table: IndexTable, _ key: [UInt8], _ delta: Int64) throws(IndexError) {
        try base.add(table, key, delta)
    }

    func commit() throws(IndexError) { try base.commit() }

    func rollback() { base.rollback() }

    private func note(_ table: IndexTable, _ key: [UInt8], _ value: [UInt8]?) {
        guard CatalogueTables.keeps(table, key) else { return }
        CatalogueChange(table: table, key: key, value: value).append(to: &changes)
    }
}
