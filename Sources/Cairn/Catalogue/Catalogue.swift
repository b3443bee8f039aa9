// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments
internal import Synchronization

/// A second copy, outside of the index, of the rows that cannot be computed from the segments.
///
/// Commits add their changes to a log, which is not synced: the index is what makes a commit
/// durable, and the index says how far the log must go. A log that lacks something, after a power
/// cut or when the disk was full, makes the catalogue *incomplete* until the next fold, which
/// writes all rows anew and starts over. So nothing ever fails for want of the catalogue. In turn
/// the log says how far the index was durable: one that has lost something does not go unnoticed.
/// Blocks; thread-safe.
final class Catalogue: Sendable {
    /// A log of this size is followed by another: opening a store reads the last one.
    static let logByteCountMax: UInt64 = 8 << 20
    /// Logs smaller than this are not worth a fold.
    static let foldByteCountMin: UInt64 = 8 << 20

    private struct Log {
        var file: any DiskFile
        var number: UInt32
        var byteCount: UInt64
    }

    private struct State {
        /// Nil: a write failed, and nothing is recorded until the next fold.
        var log: Log?
        var lastNumber: UInt32
        /// The number of the last transaction that changed something in the catalogue.
        var sequence: UInt64
        /// The number of the last one that the index cannot lose.
        var durable: UInt64
        var isComplete: Bool
        var logByteCount: UInt64
        var baseByteCount: UInt64
    }

    private let disk: any Disk
    private let storeID: Octets16
    private let state: Mutex<State>
    private let folding = Mutex(())

    private init(_ disk: any Disk, _ storeID: Octets16, _ state: sending State) {
        self.disk = disk
        self.storeID = storeID
        self.state = Mutex(state)
    }

    /// Whether segments and catalogue together hold everything, but for what was changed since
    /// the last sync of the log.
    var isComplete: Bool { state.withLock { $0.isComplete } }

    /// The bytes of its files.
    var byteCount: UInt64 { state.withLock { $0.baseByteCount + $0.logByteCount } }

    // MARK: - Recording

    /// The changes of one group of transactions.
    struct Recording {
        fileprivate var sequence: UInt64
        fileprivate let durable: UInt64
        fileprivate var frames: [UInt8] = []

        /// The row that a transaction with changes puts beside them.
        var nextSequence: [UInt8] { RowKey.bigEndian(sequence + 1) }

        /// Takes the changes of a transaction that was committed.
        mutating func append(_ changes: [UInt8]) {
            guard !changes.isEmpty else { return }
            sequence += 1
            CatalogueFormat.append(.changes, sequence, durable: durable, changes, to: &frames)
        }
    }

    /// Records what `body` commits, in that order.
    ///
    /// Call ``noteDurable()`` when the index was synced behind it.
    func record<R>(_ body: (inout Recording) -> R) -> R {
        state.withLock { state in
            var recording = Recording(sequence: state.sequence, durable: state.durable)
            let result = body(&recording)
            if !recording.frames.isEmpty { write(recording.frames, &state) }
            state.sequence = recording.sequence
            return result
        }
    }

    /// Notes that everything recorded so far is durable in the index.
    func noteDurable() { state.withLock { $0.durable = $0.sequence } }

    /// Makes durable what was recorded, and how far the index is.
    func sync() throws(StoreError) {
        let log = state.withLock { state in
            var frames: [UInt8] = []
            CatalogueFormat.append(
                .durable, state.sequence, durable: state.durable, to: &frames)
            write(frames, &state)
            return state.log
        }
        guard let log else { return }
        do throws(StoreError) {
            try Self.onDisk { () throws(DiskError) in
                try log.file.sync()
                try disk.syncDirectory(StoreFormat.catalogue)
            }
        } catch {
            // Nobody knows what of it is durable.
            state.withLock { Self.giveUp(&$0) }
            throw error
        }
    }

    func close() throws(StoreError) {
        defer { state.withLock { $0.log = nil } }
        try sync()
    }

    // MARK: - Folding

    /// Whether the logs have grown so much, or the catalogue lacks something.
    var isFoldDue: Bool {
        state.withLock { state in
            !state.isComplete
                || state.logByteCount >= max(Self.foldByteCountMin, state.baseByteCount)
        }
    }

    /// Writes all rows anew, durably, and removes the logs that are in them. Commits go on.
    ///
    /// - Throws: ``StoreError`` with code `outOfSpace`, `corrupted` (of the index), `io`,
    ///   `closed`; what was there before is still there.
    func fold(_ index: any Index) throws(StoreError) {
        try folding.withLock { (_) throws(StoreError) in
            // Most of it outside of the lock that commits wait for.
            try sync()
            let (snapshot, log, sequence) = try state.withLock { (state) throws(StoreError) in
                try beginLog(&state)
                let snapshot = try lower(
                    "copying the index",
                    index: { () throws(IndexError) in
                        try index.snapshot()
                    })
                return (snapshot, state.lastNumber, state.sequence)
            }
            // Nothing may be in a base that the index can still lose.
            try lower(
                "syncing the index",
                index: { () throws(IndexError) in
                    try index.sync()
                })
            state.withLock { $0.durable = max($0.durable, sequence) }
            let byteCount = try writeBase(log, sequence, snapshot)
            state.withLock { state in
                state.baseByteCount = byteCount
                state.logByteCount = state.log?.byteCount ?? 0
                // Unless a write failed meanwhile.
                state.isComplete = state.log != nil
            }
            try removeFiles(before: log)
        }
    }

    /// Lets `freeze` copy the index while nothing is committed, then `body` the files, oldest
    /// first, the last one up to where it ended when the index was copied; no fold removes any
    /// meanwhile.
    func withFiles<R>(
        freezing freeze: () throws(StoreError) -> Void,
        _ body: (_ names: [String], _ endOfLast: UInt64) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        try folding.withLock { (_) throws(StoreError) in
            try sync()
            let (last, end) = try state.withLock { (state) throws(StoreError) in
                try freeze()
                return (state.lastNumber, state.log?.byteCount ?? .max)
            }
            let files = try CatalogueFiles(disk)
            return try body(
                files.bases.map { CatalogueFormat.name(.base, $0) }
                    + files.logs.filter { $0 <= last }.map { CatalogueFormat.name(.log, $0) },
                end)
        }
    }

    private func writeBase(
        _ number: UInt32, _ sequence: UInt64, _ snapshot: any IndexSnapshot
    ) throws(StoreError) -> UInt64 {
        let partial = StoreFormat.catalogue + "/" + CatalogueFormat.partialBase
        try Self.removeIfThere(partial, on: disk)
        let file = try Self.onDisk { () throws(DiskError) in try disk.open(partial, .create) }
        defer { file.close() }
        var writer = CatalogueBaseWriter(
            file: file,
            header: .init(
                kind: .base, number: number, storeID: storeID, preceding: sequence,
                isComplete: true))
        for table in CatalogueTables.all {
            try lower(
                "copying the index",
                index: { () throws(IndexError) in
                    try snapshot.forEachRow(table, prefix: []) { (row) throws(IndexError) in
                        guard CatalogueTables.keeps(table, row.key) else { return }
                        writer.append(
                            CatalogueChange(table: table, key: row.key, value: row.value))
                    }
                })
        }
        let byteCount = try writer.finish()
        let path = StoreFormat.catalogue + "/" + CatalogueFormat.name(.base, number)
        try Self.onDisk { () throws(DiskError) in
            try disk.rename(partial, to: path)
            try disk.syncDirectory(StoreFormat.catalogue)
        }
        return byteCount
    }

    private func removeFiles(before number: UInt32) throws(StoreError) {
        let files = try CatalogueFiles(disk)
        try Self.onDisk { () throws(DiskError) in
            for old in files.bases where old < number {
                try disk.remove(
                    StoreFormat.catalogue + "/" + CatalogueFormat.name(.base, old))
            }
            for old in files.logs where old < number {
                try disk.remove(StoreFormat.catalogue + "/" + CatalogueFormat.name(.log, old))
            }
        }
    }

    // MARK: -

    private func write(_ frames: [UInt8], _ state: inout State) {
        guard state.log != nil else { return }
        do throws(StoreError) {
            if let log = state.log, log.byteCount >= Self.logByteCountMax {
                try beginLog(&state)
            }
            guard let log = state.log else { return }
            try Self.onDisk { () throws(DiskError) in
                try log.file.write(frames.span, at: log.byteCount)
            }
            state.log?.byteCount += UInt64(frames.count)
            state.logByteCount += UInt64(frames.count)
        } catch {
            // The commits are durable without it; the next fold makes up for it.
            Self.giveUp(&state)
        }
    }

    /// Starts the next log; the one before is durable then.
    private func beginLog(_ state: inout State) throws(StoreError) {
        let number = state.lastNumber + 1
        let header = CatalogueFormat.Header(
            kind: .log, number: number, storeID: storeID, preceding: state.sequence,
            isComplete: state.isComplete)
        let before = state.log
        do throws(StoreError) {
            let file = try Self.onDisk { () throws(DiskError) -> any DiskFile in
                try before?.file.sync()
                let path = StoreFormat.catalogue + "/" + CatalogueFormat.name(.log, number)
                let file = try disk.open(path, .create)
                // Taken, whatever happens next.
                state.lastNumber = number
                try file.write(CatalogueFormat.encode(header).span, at: 0)
                return file
            }
            before?.file.close()
            state.log = Log(
                file: file, number: number, byteCount: UInt64(CatalogueFormat.headerByteCount))
            state.logByteCount += UInt64(CatalogueFormat.headerByteCount)
        } catch {
            Self.giveUp(&state)
            throw error
        }
    }

    private static func giveUp(_ state: inout State) {
        state.log = nil
        state.isComplete = false
    }

    private static func removeIfThere(_ path: String, on disk: any Disk) throws(StoreError) {
        try onDisk { () throws(DiskError) in
            if try disk.exists(path) { try disk.remove(path) }
        }
    }

    private static func onDisk<R>(
        _ body: () throws(DiskError) -> R
    ) throws(StoreError) -> R {
        try lower("writing the catalogue", disk: body)
    }
}

// MARK: - Opening

extension Catalogue {
    /// Opens the catalogue of an index, or makes an incomplete one. Reads the last log.
    ///
    /// What the last log has beyond the index, whose log lost it in a power cut, counts no more.
    ///
    /// - Throws: ``StoreError`` with code `corrupted` when the index has lost what was durable in
    ///   it, `io`, `outOfSpace`, `readOnly`, `formatTooNew`.
    static func open(
        _ disk: any Disk, storeID: Octets16, index: any Index
    ) throws(StoreError) -> Catalogue {
        try onDisk { () throws(DiskError) in
            guard try !disk.exists(StoreFormat.catalogue) else { return }
            try disk.createDirectory(StoreFormat.catalogue)
            try disk.syncDirectory("")
        }
        try removeIfThere(
            StoreFormat.catalogue + "/" + CatalogueFormat.partialBase, on: disk)
        let files = try CatalogueFiles(disk)
        let sequence = try Catalogue.sequence(of: index)
        let tail = try files.tail(disk, storeID: storeID)
        guard tail.durable <= sequence else {
            throw StoreError(
                .corrupted,
                "the index has lost changes that were durable; build it anew with a repair")
        }
        let lastNumber = max(files.bases.last ?? 0, files.logs.last ?? 0)
        // A log that has a successor is durable; this one may never have been synced.
        if let last = files.logs.last {
            try onDisk { () throws(DiskError) in
                let path = StoreFormat.catalogue + "/" + CatalogueFormat.name(.log, last)
                let file = try disk.open(path, .readWrite)
                try file.sync()
                file.close()
            }
        }
        let catalogue = Catalogue(
            disk, storeID,
            State(
                log: nil, lastNumber: lastNumber, sequence: sequence, durable: sequence,
                isComplete: tail.isComplete(upTo: sequence),
                logByteCount: try files.byteCount(of: .log, disk),
                baseByteCount: try files.byteCount(of: .base, disk)))
        // A store that cannot write its catalogue is as good as any other, and says so.
        catalogue.state.withLock { state in
            do throws(StoreError) { try catalogue.beginLog(&state) } catch {}
        }
        return catalogue
    }

    /// How far the index says that the catalogue must go.
    static func sequence(of index: any IndexReader) throws(StoreError) -> UInt64 {
        let bytes = try lower(
            "reading the index",
            index: { () throws(IndexError) in
                try index.get(Tables.meta, MetaKey.catalogueSequence)
            })
        return (bytes ?? []).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
