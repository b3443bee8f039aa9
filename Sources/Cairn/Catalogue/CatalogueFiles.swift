// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnSegments

/// The files that a catalogue has, by number, in ascending order.
struct CatalogueFiles {
    let bases: [UInt32]
    let logs: [UInt32]

    init(_ disk: any Disk) throws(StoreError) {
        let names = try lower(
            "listing the catalogue",
            disk: { () throws(DiskError) -> [String] in
                guard try disk.exists(StoreFormat.catalogue) else { return [] }
                return try disk.list(StoreFormat.catalogue)
            })
        bases = names.compactMap { CatalogueFormat.number(.base, ofFile: $0) }.sorted()
        logs = names.compactMap { CatalogueFormat.number(.log, ofFile: $0) }.sorted()
    }

    /// What the newest base and the last log say.
    struct Tail {
        /// The last transaction that the index cannot have lost.
        var durable: UInt64 = 0
        /// The transactions of the last log, if nothing before it is missing.
        fileprivate var range: ClosedRange<UInt64>?
        fileprivate var base: UInt64?

        /// Whether the last log goes on to the last change, from where nothing was missing.
        func isComplete(upTo sequence: UInt64) -> Bool {
            guard let base, base <= sequence, let range else { return false }
            return range.lowerBound <= sequence && range.upperBound >= sequence
        }
    }

    func tail(_ disk: any Disk, storeID: Octets16) throws(StoreError) -> Tail {
        var tail = Tail()
        if let base = bases.last, let reader = try reader(disk, .base, base, storeID) {
            reader.close()
            tail.base = reader.header.preceding
            // The index was synced before the base was written.
            tail.durable = reader.header.preceding
        }
        guard let last = logs.last, var reader = try reader(disk, .log, last, storeID) else {
            return tail
        }
        defer { reader.close() }
        var found = reader.header.preceding
        while let item = try reader.next() {
            guard case .frame(let frame, _) = item else { continue }
            tail.durable = max(tail.durable, frame.durable)
            if frame.kind == .changes, frame.sequence == found + 1 { found = frame.sequence }
        }
        if reader.header.isComplete || bases.last == last {
            tail.range = reader.header.preceding...found
        }
        return tail
    }

    // Nil: the file is damaged from its first bytes on.
    private func reader(
        _ disk: any Disk, _ kind: CatalogueFormat.FileKind, _ number: UInt32, _ storeID: Octets16
    ) throws(StoreError) -> CatalogueReader? {
        do throws(StoreError) {
            return try CatalogueReader(disk, kind, number, storeID: storeID)
        } catch {
            guard error.code == .corrupted else { throw error }
            return nil
        }
    }

    func byteCount(
        of kind: CatalogueFormat.FileKind, _ disk: any Disk
    ) throws(StoreError) -> UInt64 {
        try lower(
            "listing the catalogue",
            disk: { () throws(DiskError) in
                var sum: UInt64 = 0
                for number in kind == .base ? bases : logs {
                    let path = StoreFormat.catalogue + "/" + CatalogueFormat.name(kind, number)
                    let file = try disk.open(path, .read)
                    sum += try file.byteCount()
                    file.close()
                }
                return sum
            })
    }
}
