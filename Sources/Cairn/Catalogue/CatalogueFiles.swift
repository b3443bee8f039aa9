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

    static func path(_ kind: CatalogueFormat.FileKind, _ number: UInt32) -> String {
        StoreFormat.catalogue + "/" + CatalogueFormat.name(kind, number)
    }

    /// What the newest base and the last log say.
    struct Tail {
        /// The last transaction that the index cannot have lost.
        var durable: UInt64 = 0
        /// The transaction of the newest base.
        var base: UInt64?
        /// The transactions of the last log, if nothing before it is missing.
        var range: ClosedRange<UInt64>?
        /// The last log that can be read.
        var log: UInt32?
        /// Where in it the frames end that the index knows of.
        var end: UInt64 = 0
        /// Whether it has changes behind that, which the index has lost: they never happened.
        var hasLostChanges = false
        /// Whether something in it is no frame.
        var hasDamage = false

        /// Whether the last log goes on to the last change, from where nothing was missing.
        func isComplete(upTo sequence: UInt64) -> Bool {
            guard let base, base <= sequence, let range else { return false }
            return range.lowerBound <= sequence && range.upperBound >= sequence
        }
    }

    /// - Parameter sequence: the last transaction that the index has.
    func tail(
        _ disk: any Disk, storeID: Octets16, upTo sequence: UInt64
    ) throws(StoreError) -> Tail {
        var tail = Tail()
        if let base = bases.last, let reader = try reader(disk, .base, base, storeID) {
            reader.close()
            tail.base = reader.header.preceding
            // The index was synced before the base was written.
            tail.durable = reader.header.preceding
        }
        // One that cannot be read says nothing; then the one before it does.
        for number in logs.reversed() {
            guard var reader = try reader(disk, .log, number, storeID) else { continue }
            defer { reader.close() }
            tail.log = number
            try read(&reader, upTo: sequence, &tail)
            let isWhole = reader.header.isComplete || bases.last == number
            if number != logs.last || !isWhole { tail.range = nil }
            break
        }
        return tail
    }

    func byteCount(
        of kind: CatalogueFormat.FileKind, _ disk: any Disk
    ) throws(StoreError) -> UInt64 {
        try lower(
            "listing the catalogue",
            disk: { () throws(DiskError) in
                var sum: UInt64 = 0
                for number in kind == .base ? bases : logs {
                    let file = try disk.open(Self.path(kind, number), .read)
                    sum += try file.byteCount()
                    file.close()
                }
                return sum
            })
    }

    /// Nil: the file cannot be read, at least not from its first bytes on.
    func reader(
        _ disk: any Disk, _ kind: CatalogueFormat.FileKind, _ number: UInt32, _ storeID: Octets16
    ) throws(StoreError) -> CatalogueReader? {
        do throws(StoreError) {
            return try CatalogueReader(disk, kind, number, storeID: storeID)
        } catch {
            guard error.code == .corrupted || error.code == .io else { throw error }
            return nil
        }
    }

    // MARK: -

    private func read(
        _ reader: inout CatalogueReader, upTo sequence: UInt64, _ tail: inout Tail
    ) throws(StoreError) {
        var found = reader.header.preceding
        tail.end = reader.offset
        do throws(StoreError) {
            while let item = try reader.next() {
                guard case .frame(let frame, _) = item else {
                    tail.hasDamage = true
                    continue
                }
                tail.durable = max(tail.durable, frame.durable)
                if frame.kind == .changes {
                    if frame.sequence == found + 1 { found = frame.sequence }
                    if frame.sequence > sequence { tail.hasLostChanges = true }
                }
                if !tail.hasLostChanges { tail.end = reader.offset }
            }
        } catch {
            // Bytes that cannot be read are no frames either.
            guard error.code == .io else { throw error }
            tail.hasDamage = true
        }
        tail.range = reader.header.preceding...found
    }
}
