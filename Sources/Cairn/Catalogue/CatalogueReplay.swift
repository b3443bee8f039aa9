// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnSegments

/// Reads what the catalogue says, from the newest base on through the logs.
struct CatalogueReplay {
    /// How far a replay came, and what it lacked.
    struct Outcome: Sendable {
        /// The number of the last transaction that was replayed.
        var sequence: UInt64 = 0
        /// Whether no base, no log and no frame in between was missing or damaged.
        var isComplete = true
    }

    let disk: any Disk
    let storeID: Octets16

    /// Calls `body` with each change, in order.
    ///
    /// Damage is skipped and makes the outcome incomplete.
    func run(
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) -> Outcome {
        let files = try CatalogueFiles(disk)
        var outcome = Outcome()
        let first = files.bases.last ?? 0
        try replayBase(files.bases.last, &outcome, body)
        var readers: [CatalogueReader] = []
        for number in files.logs where number >= first {
            guard let reader = try reader(.log, number) else {
                outcome.isComplete = false
                continue
            }
            readers.append(reader)
        }
        for index in readers.indices {
            let isLast = index + 1 == readers.count
            try replayLog(
                &readers[index], upTo: isLast ? .max : readers[index + 1].header.preceding,
                &outcome, body)
            readers[index].close()
        }
        return outcome
    }

    // MARK: -

    private func replayBase(
        _ number: UInt32?, _ outcome: inout Outcome,
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) {
        guard let number, var reader = try reader(.base, number) else {
            outcome.isComplete = false
            return
        }
        defer { reader.close() }
        outcome.sequence = reader.header.preceding
        var isEnded = false
        while let item = try reader.next() {
            guard case .frame(let frame, let payload) = item else {
                outcome.isComplete = false
                continue
            }
            isEnded = frame.kind == .end
            try apply(payload, &outcome, body)
        }
        if !isEnded { outcome.isComplete = false }
    }

    private func replayLog(
        _ reader: inout CatalogueReader, upTo last: UInt64, _ outcome: inout Outcome,
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) {
        if reader.header.preceding != outcome.sequence {
            outcome.isComplete = false
            // A base may hold what its index had lost when the log was begun.
            outcome.sequence = min(outcome.sequence, reader.header.preceding)
        }
        while let item = try reader.next() {
            // Damage shows in the numbers, unless it is a torn end, where nothing is missing.
            guard case .frame(let frame, let payload) = item else { continue }
            // What the index had lost when the next log was begun never happened.
            guard frame.kind == .changes, frame.sequence <= last, frame.sequence > outcome.sequence
            else { continue }
            if frame.sequence != outcome.sequence + 1 { outcome.isComplete = false }
            outcome.sequence = frame.sequence
            try apply(payload, &outcome, body)
        }
    }

    private func apply(
        _ payload: [UInt8], _ outcome: inout Outcome,
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) {
        var reader = ByteReader(payload.span)
        while reader.remainingByteCount > 0 {
            let change = try lower(
                "reading the catalogue",
                core: { () throws(CoreError) in
                    try CatalogueChange(reading: &reader)
                })
            try body(change)
        }
    }

    // Nil: the file is damaged from its first bytes on.
    private func reader(
        _ kind: CatalogueFormat.FileKind, _ number: UInt32
    ) throws(StoreError) -> CatalogueReader? {
        do throws(StoreError) {
            return try CatalogueReader(disk, kind, number, storeID: storeID)
        } catch {
            guard error.code == .corrupted else { throw error }
            return nil
        }
    }
}
