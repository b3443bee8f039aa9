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
        let old = try openOldIndex()
        defer {
            // It is about to be replaced, whatever it has to say at its end.
            do throws(IndexError) { try old?.index.close() } catch {}
        }
        // What is known to have happened, whoever has it.
        let last = max(durable, old?.sequence ?? 0)
        var batch = Batch(index)
        // An index that has lost nothing says what never happened.
        let limit = old.map { $0.sequence >= durable ? $0.sequence : .max } ?? .max
        let outcome = try replay.run(upTo: limit) { (change) throws(StoreError) in
            try Self.writing { () throws(IndexError) in try batch.add(change) }
        }
        // Without the old index only an orderly end of the log tells that nothing came behind it.
        let isWhole =
            outcome.isComplete && outcome.sequence >= last && (old != nil || outcome.isClosed)
        if isWhole {
            try finish(&batch, outcome.sequence)
            return .catalogue
        }
        // Read once before, so that nothing is replaced by the half of something.
        if let old, try isReadable(old.index) {
            try Self.writing { () throws(IndexError) in try batch.commit() }
            return try copy(old, to: index, last: last)
        }
        try finish(&batch, max(last, outcome.sequence))
        let row = try lower(
            "reading the catalogue",
            index: { () throws(IndexError) in
                try index.get(Tables.meta, MetaKey.store)
            })
        guard row != nil else {
            throw StoreError(
                .corrupted, "neither the catalogue nor the index says what the store has")
        }
        return .incomplete
    }

    // MARK: -

    /// An index of this store, and the last transaction that it has.
    private struct OldIndex {
        var index: any Index
        var sequence: UInt64
    }

    private var replay: CatalogueReplay { CatalogueReplay(disk: seams.disk, storeID: storeID) }

    /// The rows of the old index, and what the catalogue knows beyond it, in place of all others.
    private func copy(
        _ old: OldIndex, to index: any Index, last: UInt64
    ) throws(StoreError) -> RepairReport.Source {
        var batch = Batch(index)
        try Self.writing { () throws(IndexError) in
            try CatalogueTables.forEachRow(of: index) { (row) throws(IndexError) in
                try batch.add(CatalogueChange(table: row.table, key: row.key, value: nil))
            }
            try CatalogueTables.forEachRow(of: old.index) { (row) throws(IndexError) in
                try batch.add(row)
            }
        }
        let outcome = try replay.run(after: old.sequence) { (change) throws(StoreError) in
            try Self.writing { () throws(IndexError) in try batch.add(change) }
        }
        try finish(&batch, max(last, outcome.sequence))
        return outcome.isComplete && outcome.sequence >= last ? .index : .incomplete
    }

    private func finish(_ batch: inout Batch, _ sequence: UInt64) throws(StoreError) {
        try Self.writing { () throws(IndexError) in
            try batch.commit()
            // The catalogue may have lost the count and kept keys that it counted.
            if let slots = try batch.nextKeySlot() {
                try batch.add(
                    CatalogueChange(
                        table: Tables.meta, key: MetaKey.nextKeySlot,
                        value: RowKey.bigEndian(slots)))
            }
            try batch.add(
                CatalogueChange(
                    table: Tables.meta, key: MetaKey.catalogueSequence,
                    value: RowKey.bigEndian(sequence)))
            try batch.commit()
        }
    }

    private func isReadable(_ index: any Index) throws(StoreError) -> Bool {
        do throws(StoreError) {
            try lower(
                "reading the old index",
                index: { () throws(IndexError) in
                    try CatalogueTables.forEachRow(of: index) { (_) in }
                })
            return true
        } catch {
            guard error.code == .corrupted || error.code == .io else { throw error }
            return false
        }
    }

    // Nil: the old index is not there, does not open, or is not this store's.
    private func openOldIndex() throws(StoreError) -> OldIndex? {
        let old: any Index
        do throws(IndexError) { old = try seams.openIndex(Tables.all, false) } catch {
            switch error.code {
            case .corrupted, .notFound, .io, .unsupportedVersion: return nil
            default: throw StoreError(error, while: "opening the old index")
            }
        }
        guard isOurs(old), let sequence = try? Catalogue.sequence(of: old) else {
            do throws(IndexError) { try old.close() } catch {}
            return nil
        }
        return OldIndex(index: old, sequence: sequence)
    }

    private func isOurs(_ index: any Index) -> Bool {
        guard let bytes = try? index.get(Tables.meta, MetaKey.store),
            let row = try? StoreRow(decoding: bytes)
        else { return false }
        return row.storeID == storeID
    }

    private static func writing<R>(
        _ body: () throws(IndexError) -> R
    ) throws(StoreError) -> R {
        try lower("writing the new index", index: body)
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

    mutating func add(_ change: CatalogueChange) throws(IndexError) {
        changes.append(change)
        byteCount += change.key.count + (change.value?.count ?? 0)
        if changes.count >= Self.changeCountMax || byteCount >= Self.byteCountMax { try commit() }
    }

    mutating func commit() throws(IndexError) {
        let transaction = try index.begin()
        for change in changes {
            if let value = change.value {
                try transaction.put(change.table, change.key, value)
            } else {
                try transaction.delete(change.table, change.key)
            }
        }
        try transaction.commit()
        changes = []
        byteCount = 0
    }

    /// The first slot behind all keys that were copied, where the count of slots says less.
    func nextKeySlot() throws(IndexError) -> UInt32? {
        let counted = RowKey.number(try index.get(Tables.meta, MetaKey.nextKeySlot) ?? []) ?? 0
        var next = counted
        try index.forEachRow(Tables.keys, prefix: []) { (row) throws(IndexError) in
            next = max(next, (RowKey.number(row.key) ?? 0).addingReportingOverflow(1).partialValue)
        }
        return next > counted ? next : nil
    }
}
