// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Fills a new index with the rows that the catalogue keeps, from wherever they are to be had.
struct CatalogueCopy {
    let seams: StoreSeams
    let storeID: Octets16

    /// - Throws: ``StoreError`` with code `corrupted` when not even the store's first row was
    ///   found.
    func fill(_ index: any Index) throws(StoreError) -> RepairReport.Source {
        let last = try lastSequence()
        var batch = Batch(index)
        let outcome = try CatalogueReplay(disk: seams.disk, storeID: storeID).run {
            (change) throws(StoreError) in
            try batch.add(change)
        }
        try batch.add(
            CatalogueChange(
                table: Tables.meta, key: MetaKey.catalogueSequence,
                value: RowKey.bigEndian(max(last, outcome.sequence))))
        try batch.commit()
        // Whether the end of the last log is missing.
        let isComplete = outcome.isComplete && outcome.sequence >= last
        var source = RepairReport.Source.catalogue
        if !isComplete {
            source = try copyOldIndex(to: index) ? .index : .incompleteCatalogue
        }
        let row = try lower(
            "reading the catalogue",
            index: { () throws(IndexError) in
                try index.get(Tables.meta, MetaKey.store)
            })
        guard row != nil else {
            throw StoreError(
                .corrupted, "neither the catalogue nor the index says what the store has")
        }
        return source
    }

    // MARK: -

    /// The last transaction that is known of, from the old index if it can be read.
    private func lastSequence() throws(StoreError) -> UInt64 {
        let durable = try CatalogueFiles(seams.disk).tail(seams.disk, storeID: storeID).durable
        let old = try withOldIndex { (old) throws(StoreError) in
            try Catalogue.sequence(of: old)
        }
        return max(durable, old ?? 0)
    }

    /// False: it cannot be read from end to end, and the new index has what the catalogue had.
    private func copyOldIndex(to index: any Index) throws(StoreError) -> Bool {
        try withOldIndex { (old) throws(StoreError) in
            // Read twice, so that nothing is replaced by the half of something.
            try forEachRow(of: old) { (_) in }
            try clear(index)
            var batch = Batch(index)
            try forEachRow(of: old) { (row) throws(StoreError) in try batch.add(row) }
            try batch.commit()
            return true
        } ?? false
    }

    private func forEachRow(
        of index: any Index, _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) {
        for table in CatalogueTables.all {
            var after: [UInt8]?
            repeat {
                let rows = try lower(
                    "reading the old index",
                    index: { () throws(IndexError) in
                        try index.scan(table, prefix: [], after: after, limit: 1024)
                    })
                for row in rows where CatalogueTables.keeps(table, row.key) {
                    try body(CatalogueChange(table: table, key: row.key, value: row.value))
                }
                after = rows.last?.key
            } while after != nil
        }
    }

    private func clear(_ index: any Index) throws(StoreError) {
        var batch = Batch(index)
        try forEachRow(of: index) { (row) throws(StoreError) in
            try batch.add(CatalogueChange(table: row.table, key: row.key, value: nil))
        }
        try batch.commit()
    }

    // Nil: the old index is not there, not whole, or not this store's.
    private func withOldIndex<R>(
        _ body: (any Index) throws(StoreError) -> R
    ) throws(StoreError) -> R? {
        let old: any Index
        let isWhole: Bool
        do throws(IndexError) {
            old = try seams.openIndex(Tables.all)
            isWhole = try old.get(Tables.meta, MetaKey.store) != nil
        } catch {
            guard error.code == .corrupted || error.code == .notFound || error.code == .io else {
                throw StoreError(error, while: "opening the old index")
            }
            return nil
        }
        defer {
            // It is about to be replaced, whatever it has to say at its end.
            do throws(IndexError) { try old.close() } catch {}
        }
        guard isWhole else { return nil }
        do throws(StoreError) { return try body(old) } catch {
            guard error.code == .corrupted || error.code == .io else { throw error }
            return nil
        }
    }
}

/// Changes on their way into an index, so many at a time.
private struct Batch {
    private static let changeCountMax = 1024
    private static let byteCountMax = 8 << 20

    private let index: any Index
    private var changes: [CatalogueChange] = []
    private var byteCount = 0

    init(_ index: any Index) { self.index = index }

    mutating func add(_ change: CatalogueChange) throws(StoreError) {
        changes.append(change)
        byteCount += change.key.count + (change.value?.count ?? 0)
        if changes.count >= Self.changeCountMax || byteCount >= Self.byteCountMax { try commit() }
    }

    mutating func commit() throws(StoreError) {
        let changes = changes
        try lower(
            "writing the new index",
            index: { () throws(IndexError) in
                let transaction = try index.begin()
                for change in changes {
                    if let value = change.value {
                        try transaction.put(change.table, change.key, value)
                    } else {
                        try transaction.delete(change.table, change.key)
                    }
                }
                try transaction.commit()
            })
        self.changes = []
        byteCount = 0
    }
}
