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
        /// Whether the last log says that nothing came behind it.
        var isClosed = false
    }

    let disk: any Disk
    let storeID: Octets16

    /// Calls `body` with each change, in order.
    ///
    /// Damage is skipped and makes the outcome incomplete.
    ///
    /// - Parameters:
    ///   - start: only the changes behind this transaction, whose state is known.
    ///   - limit: only the changes up to this transaction; others never happened.
    func run(
        after start: UInt64? = nil, upTo limit: UInt64 = .max,
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) -> Outcome {
        let files = try CatalogueFiles(disk)
        var outcome = Outcome()
        if let start {
            outcome.sequence = start
        } else {
            try replayBase(of: files, &outcome, body)
        }
        let headers = try headers(of: files, &outcome)
        for (index, header) in headers.enumerated() {
            guard var reader = try files.reader(disk, .log, header.number, storeID) else {
                outcome.isComplete = false
                continue
            }
            defer { reader.close() }
            // A base may hold what its index had lost when the log was begun.
            if header.preceding < outcome.sequence, start == nil {
                outcome.isComplete = false
                outcome.sequence = header.preceding
            }
            if header.preceding > outcome.sequence { outcome.isComplete = false }
            // What the index had lost when the next log was begun never happened.
            let last = index + 1 < headers.count ? headers[index + 1].preceding : .max
            try replayLog(&reader, upTo: min(last, limit), &outcome, body)
        }
        return outcome
    }

    // MARK: -

    private func headers(
        of files: CatalogueFiles, _ outcome: inout Outcome
    ) throws(StoreError) -> [CatalogueFormat.Header] {
        let first = files.bases.last ?? 0
        var headers: [CatalogueFormat.Header] = []
        for number in files.logs where number >= first {
            guard let reader = try files.reader(disk, .log, number, storeID) else {
                outcome.isComplete = false
                continue
            }
            headers.append(reader.header)
            reader.close()
        }
        return headers
    }

    private func replayBase(
        of files: CatalogueFiles, _ outcome: inout Outcome,
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) {
        guard let number = files.bases.last,
            var reader = try files.reader(disk, .base, number, storeID)
        else {
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
            try apply(payload, body)
        }
        if !isEnded { outcome.isComplete = false }
    }

    private func replayLog(
        _ reader: inout CatalogueReader, upTo last: UInt64, _ outcome: inout Outcome,
        _ body: (CatalogueChange) throws(StoreError) -> Void
    ) throws(StoreError) {
        outcome.isClosed = false
        while let item = try reader.next() {
            // Damage shows in the numbers, unless it is a torn end, where nothing is missing.
            guard case .frame(let frame, let payload) = item else {
                outcome.isClosed = false
                continue
            }
            outcome.isClosed = frame.kind == .closed
            guard frame.kind == .changes, frame.sequence <= last, frame.sequence > outcome.sequence
            else { continue }
            if frame.sequence != outcome.sequence + 1 { outcome.isComplete = false }
            outcome.sequence = frame.sequence
            try apply(payload, body)
        }
    }

    private func apply(
        _ payload: [UInt8], _ body: (CatalogueChange) throws(StoreError) -> Void
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
}
