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
        let durable = try CatalogueFiles(seams.disk).tail(
            seams.disk, storeID: storeID, upTo: .max
        ).durable
        let old = try withOldIndex { (old) throws(StoreError) in
            try Catalogue.sequence(of: old)
        }
        // What is known to have happened, whoever has it.
        let last = max(durable, old ?? 0)
        var batch = Batch(index)
        // An index that has lost nothing says what never happened.
        let limit = old.map { $0 >= durable ? $0 : .max } ?? .max
        let outcome = try replay.run(upTo: limit) { (change) throws(StoreError) in
            try batch.add(change)
        }
        try batch.commit()
        // Without the old index only an orderly end of the log tells that nothing came behind it.
        let isWhole =
            outcome.isComplete && outcome.sequence >= last && (old != nil || outcome.isClosed)
        if isWhole {
            try setSequence(outcome.sequence, of: index)
            return .catalogue
        }
        let source = try copyOldIndex(to: index, last: last)
        if source == nil { try setSequence(max(last, outcome.sequence), of: index) }
        let row = try lower(
            "reading the catalogue",
            index: { () throws(IndexError) in
                try index.get(Tables.meta, MetaKey.store)
            })
        guard row != nil else {
            throw StoreError(
                .corrupted, "neither the catalogue nor the index says what the store has")
        }
        return source ?? .incomplete
    }

    // MARK: -

    private var replay: CatalogueReplay { CatalogueReplay(disk: seams.disk, storeID: storeID) }

    /// The rows of the old index, and what the catalogue knows beyond it.
    ///
    /// - Returns: nil when the old index cannot be read from end to end; the new one is as it was.
    private func copyOldIndex(
        to index: any Index, last: UInt64
    ) throws(StoreError) -> RepairReport.Source? {
        try withOldIndex { (old) throws(StoreError) -> RepairReport.Source? in
            // Read twice, so that nothing is replaced by the half of something.
            guard try isReadable(old) else { return nil }
            try clear(index)
            var batch = Batch(index)
            try forEachRow(of: old) { (row) throws(StoreError) in try batch.add(row) }
            let outcome = try replay.run(after: Catalogue.sequence(of: old)) {
                (change) throws(StoreError) in
                try batch.add(change)
            }
            try batch.commit()
            try setSequence(max(last, outcome.sequence), of: index)
            return outcome.isComplete && outcome.sequence >= last ? .index : .incomplete
        } ?? nil
    }

    private func setSequence(_ sequence: UInt64, of index: any Index) throws(StoreError) {
        var batch = Batch(index)
        try batch.add(
            CatalogueChange(
                table: Tables.meta, key: MetaKey.catalogueSequence,
                value: RowKey.bigEndian(sequence)))
        try batch.commit()
    }

    private func isReadable(_ index: any Index) throws(StoreError) -> Bool {
        do throws(StoreError) {
            try forEachRow(of: index) { (_) in }
            return true
        } catch {
            guard error.code == .corrupted || error.code == .io else { throw error }
            return false
        }
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

    // Nil: the old index is not there, does not open, or is not this store's.
    private func withOldIndex<R>(
        _ body: (any Index) throws(StoreError) -> R
    ) throws(StoreError) -> R? {
        let old: any Index
        do throws(IndexError) { old = try seams.openIndex(Tables.all, false) } catch {
            switch error.code {
            case .corrupted, .notFound, .io, .unsupportedVersion: return nil
            default: throw StoreError(error, while: "opening the old index")
            }
        }
        defer {
            // It is about to be replaced, whatever it has to say at its end.
            do throws(IndexError) { try old.close() } catch {}
        }
        guard isOurs(old) else { return nil }
        return try body(old)
    }

    private func isOurs(_ index: any Index) -> Bool {
        guard let bytes = try? index.get(Tables.meta, MetaKey.store),
            let row = try? StoreRow(decoding: bytes)
        else { return false }
        return row.storeID == storeID
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
