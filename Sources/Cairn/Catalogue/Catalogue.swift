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
/// writes all rows anew and starts over. So no commit ever fails for want of the catalogue. In turn
/// the log says how far the index was durable: one that has lost something does not go unnoticed.
/// Blocks; thread-safe.
final class Catalogue: Sendable {
    /// A log of this size is followed by another: opening a store reads the last one.
    static let logByteCountMax: UInt64 = 8 << 20
    /// Logs smaller than this are not worth a fold ...
    static let foldByteCountMin: UInt64 = 8 << 20
    /// ... unless there are so many, each of which a repair opens.
    static let logCountMax = 64

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
        var logCount: Int
        var baseByteCount: UInt64
        /// Whether the files hold wrapped keys that were destroyed.
        var hasDeletedKeys = false
        var isClosed = false
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

        fileprivate var hasDeletedKeys = false

        /// Takes the changes of a transaction that was committed.
        mutating func append(_ transaction: CatalogueTransaction) {
            guard !transaction.changes.isEmpty else { return }
            sequence += 1
            CatalogueFormat.append(
                .changes, sequence, durable: durable, transaction.changes, to: &frames)
            if transaction.hasDeletedKeys { hasDeletedKeys = true }
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
            if recording.hasDeletedKeys { state.hasDeletedKeys = true }
            return result
        }
    }

    /// Notes that everything recorded so far is durable in the index.
    func noteDurable() {
        state.withLock { state in
            guard state.durable < state.sequence else { return }
            state.durable = state.sequence
            write(.durable, &state)
        }
    }

    /// Makes durable what was recorded.
    func sync() throws(StoreError) {
        let log = state.withLock { $0.log }
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

    /// Ends the catalogue: nothing is recorded any more. Waits for a fold under way.
    ///
    /// - Parameter isInOrder: whether the index is durable up to everything that was recorded.
    func close(isInOrder: Bool) throws(StoreError) {
        try folding.withLock { (_) throws(StoreError) in
            defer { state.withLock { $0.log = nil } }
            state.withLock { state in
                state.isClosed = true
                if isInOrder, state.isComplete, state.durable == state.sequence {
                    write(.closed, &state)
                }
            }
            try sync()
        }
    }

    // MARK: - Folding

    /// Whether the logs have grown so much, or the catalogue lacks something.
    var isFoldDue: Bool {
        state.withLock { state in
            !state.isComplete || state.hasDeletedKeys || state.logCount > Self.logCountMax
                || state.logByteCount >= max(Self.foldByteCountMin, state.baseByteCount)
        }
    }

    /// Writes all rows anew, durably, and removes the logs that are in them. Commits go on.
    ///
    /// - Parameter freeByteCountMin: how much of the disk to leave free.
    /// - Throws: ``StoreError`` with code `outOfSpace`, `corrupted` (of the index), `io`,
    ///   `closed`; what was there before is still there.
    func fold(_ index: any Index, leaving freeByteCountMin: UInt64 = 0) throws(StoreError) {
        try folding.withLock { (_) throws(StoreError) in
            try checkOpen()
            try checkRoom(leaving: freeByteCountMin)
            // Most of it outside of the lock that commits wait for.
            try sync()
            let (snapshot, log, sequence) = try state.withLock { (state) throws(StoreError) in
                try beginLog(&state)
                // What is deleted from here on is not in the base but in the log.
                state.hasDeletedKeys = false
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
            let byteCount: UInt64
            do throws(StoreError) {
                byteCount = try writeBase(log, sequence, snapshot)
            } catch {
                // Perhaps there were some: they are still in the files.
                state.withLock { $0.hasDeletedKeys = true }
                // It would take the room that others need.
                do throws(StoreError) { try Self.removeIfThere(Self.partialPath, on: disk) } catch {
                }
                throw error
            }
            state.withLock { state in
                state.baseByteCount = byteCount
                state.logByteCount = state.log?.byteCount ?? 0
                state.logCount = 1
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
            try checkOpen()
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

    private static let partialPath = StoreFormat.catalogue + "/" + CatalogueFormat.partialBase

    private func checkOpen() throws(StoreError) {
        guard state.withLock({ !$0.isClosed }) else {
            throw StoreError(.closed, "the store is closed; open it again")
        }
    }

    // About: the new base is at most what the files have now.
    private func checkRoom(leaving freeByteCountMin: UInt64) throws(StoreError) {
        let free = try Self.onDisk { () throws(DiskError) in try disk.freeByteCount() }
        guard free / 2 >= freeByteCountMin / 2 + byteCount / 2 else {
            throw StoreError(.outOfSpace, "there is no room to write the catalogue anew")
        }
    }

    private func writeBase(
        _ number: UInt32, _ sequence: UInt64, _ snapshot: any IndexSnapshot
    ) throws(StoreError) -> UInt64 {
        try Self.removeIfThere(Self.partialPath, on: disk)
        let file = try Self.onDisk { () throws(DiskError) in
            try disk.open(Self.partialPath, .create)
        }
        defer { file.close() }
        var writer = CatalogueBaseWriter(
            file: file,
            header: .init(
                kind: .base, number: number, storeID: storeID, preceding: sequence,
                isComplete: true))
        do throws(StoreError) {
            try lower(
                "copying the index",
                index: { () throws(IndexError) in
                    try CatalogueTables.forEachRow(of: snapshot) { (row) throws(IndexError) in
                        try writer.append(row)
                    }
                })
        } catch {
            throw writer.failure.map { StoreError($0, while: "writing the catalogue") } ?? error
        }
        let byteCount = try writer.finish()
        try Self.onDisk { () throws(DiskError) in
            try disk.rename(Self.partialPath, to: CatalogueFiles.path(.base, number))
            try disk.syncDirectory(StoreFormat.catalogue)
        }
        return byteCount
    }

    private func removeFiles(before number: UInt32) throws(StoreError) {
        let files = try CatalogueFiles(disk)
        try Self.onDisk { () throws(DiskError) in
            for old in files.bases where old < number {
                try disk.remove(CatalogueFiles.path(.base, old))
            }
            for old in files.logs where old < number {
                try disk.remove(CatalogueFiles.path(.log, old))
            }
        }
    }

    // MARK: -

    private func write(_ kind: CatalogueFormat.FrameKind, _ state: inout State) {
        var frame: [UInt8] = []
        CatalogueFormat.append(kind, state.sequence, durable: state.durable, to: &frame)
        write(frame, &state)
    }

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
        var beginning = CatalogueFormat.encode(header)
        CatalogueFormat.append(
            .durable, state.sequence, durable: state.durable, to: &beginning)
        let before = state.log
        do throws(StoreError) {
            let file = try Self.onDisk { () throws(DiskError) -> any DiskFile in
                try before?.file.sync()
                try disk.syncDirectory(StoreFormat.catalogue)
                let file = try disk.open(CatalogueFiles.path(.log, number), .create)
                // Taken, whatever happens next.
                state.lastNumber = number
                try file.write(beginning.span, at: 0)
                return file
            }
            before?.file.close()
            state.log = Log(file: file, number: number, byteCount: UInt64(beginning.count))
            state.logByteCount += UInt64(beginning.count)
            state.logCount += 1
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
        _ disk: any Disk, _ storeID: Octets16, _ index: any Index
    ) throws(StoreError) -> Catalogue {
        try onDisk { () throws(DiskError) in
            guard try !disk.exists(StoreFormat.catalogue) else { return }
            try disk.createDirectory(StoreFormat.catalogue)
            try disk.syncDirectory("")
        }
        try removeIfThere(partialPath, on: disk)
        let files = try CatalogueFiles(disk)
        let sequence = try Catalogue.sequence(of: index)
        let tail = try files.tail(disk, storeID: storeID, upTo: sequence)
        guard tail.durable <= sequence else {
            throw StoreError(
                .corrupted,
                "the index has lost changes that were durable; build it anew with a repair")
        }
        let catalogue = Catalogue(
            disk, storeID,
            State(
                log: nil, lastNumber: max(files.bases.last ?? 0, files.logs.last ?? 0),
                sequence: sequence, durable: sequence,
                isComplete: tail.isComplete(upTo: sequence),
                logByteCount: try files.byteCount(of: .log, disk), logCount: files.logs.count,
                baseByteCount: try files.byteCount(of: .base, disk)))
        try catalogue.state.withLock { (state) throws(StoreError) in
            do throws(StoreError) { try catalogue.resume(tail, &state) } catch {
                // Those would pass for the changes that get their numbers next.
                guard !tail.hasLostChanges else { throw error }
                // A store that cannot write its catalogue is as good as any other, and says so.
                giveUp(&state)
            }
        }
        return catalogue
    }

    /// One that records nothing, for an index that is not the store's yet.
    static func detached(
        _ disk: any Disk, _ storeID: Octets16, _ index: any Index
    ) throws(StoreError) -> Catalogue {
        let sequence = try Catalogue.sequence(of: index)
        return Catalogue(
            disk, storeID,
            State(
                log: nil, lastNumber: 0, sequence: sequence, durable: sequence, isComplete: false,
                logByteCount: 0, logCount: 0, baseByteCount: 0))
    }

    // Goes on with the last log if nothing is missing, else begins another. What the last one has
    // beyond the index never happened, and is cut off: its numbers are given again.
    private func resume(
        _ tail: CatalogueFiles.Tail, _ state: inout State
    ) throws(StoreError) {
        guard let number = tail.log else { return try beginLog(&state) }
        let file = try Self.onDisk { () throws(DiskError) in
            let file = try disk.open(CatalogueFiles.path(.log, number), .readWrite)
            if tail.hasLostChanges { try file.truncate(to: tail.end) }
            // The process before may not have.
            try file.sync()
            return file
        }
        let isLast = number == state.lastNumber
        guard isLast, state.isComplete, !tail.hasDamage, tail.end < Self.logByteCountMax else {
            file.close()
            return try beginLog(&state)
        }
        state.log = Log(file: file, number: number, byteCount: tail.end)
        write(.durable, &state)
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
