// Part of Cairn, a content-addressed blob store.

package import CairnCore

/// Segments as files in one directory of a disk.
///
/// There is no thread of its own: whichever append completes a buffer writes it, and whichever
/// caller syncs first syncs for all who wait. Safe to share between threads.
///
/// Invariants: bytes that were synced are never written again; a footer is written only when
/// everything before it is durable; only the two last segments can be without a footer.
package final class LocalSegmentStore: SegmentStore {
    let directory: SegmentDirectory
    let configuration: SegmentConfiguration
    let monitor: Monitor<WriteState>
    let readFiles: ReadFiles

    /// Names in the directory that were no segments when the store was opened.
    ///
    /// Nothing of Cairn's makes such files; they are left alone.
    package let foreignNames: [String]

    /// Opens the segments in a directory, which is created if it is missing.
    ///
    /// Costs a listing and a look at the last two segments, which are recovered if their writer
    /// did not seal them: read through, cut behind the last whole record and sealed, durably.
    /// A segment whose creation was cut off is removed. Only one store may be open on a
    /// directory; that is the caller's to ensure, see ``Disk/lock(_:)``.
    ///
    /// - Parameter storeID: Must be the same each time; part of every segment's header.
    /// - Throws: ``SegmentError`` with code `corrupted` (a segment belongs to another store or is
    ///   no file), `unsupportedVersion`, `io`, `outOfSpace`, `readOnly`, `tooManyFiles` or
    ///   `invalidArgument` (the configuration). Opening can be tried again.
    package static func open(
        disk: any Disk, directory: String = "segments", storeID: Octets16,
        configuration: SegmentConfiguration = SegmentConfiguration()
    ) throws(SegmentError) -> LocalSegmentStore {
        try configuration.validate()
        try createDirectory(directory, on: disk)
        let names = try onDisk("listing the segments") { () throws(DiskError) in
            try disk.list(directory)
        }
        let numbers = names.compactMap(SegmentFormat.number(ofFile:)).sorted()
        let place = SegmentDirectory(disk: disk, path: directory, storeID: storeID)
        try place.sync()
        let segments = try SegmentRecovery(directory: place).recover(numbers)
        return LocalSegmentStore(
            place, configuration,
            WriteState(segments: segments, nextNumber: (numbers.last?.rawValue ?? 0) + 1),
            foreignNames: names.filter { SegmentFormat.number(ofFile: $0) == nil })
    }

    private init(
        _ directory: SegmentDirectory, _ configuration: SegmentConfiguration, _ state: WriteState,
        foreignNames: [String]
    ) {
        self.directory = directory
        self.configuration = configuration
        self.foreignNames = foreignNames
        monitor = Monitor(state)
        readFiles = ReadFiles(directory, countMax: configuration.readFileCountMax)
    }

    package var appendByteCountMax: Int { configuration.bufferByteCount }

    package func append(
        byteCount: Int, for purpose: AppendPurpose,
        _ fill: (inout MutableSpan<UInt8>) throws(CoreError) -> Void
    ) throws(SegmentError) -> RecordLocation {
        guard byteCount <= appendByteCountMax else {
            throw SegmentError(
                .limitExceeded,
                "an append of \(byteCount) bytes; \(appendByteCountMax) are the most")
        }
        guard byteCount >= SegmentFormat.voidByteCountMin,
            byteCount % SegmentFormat.alignment == 0
        else {
            throw SegmentError(
                .invalidArgument, "an append of \(byteCount) bytes is too short or no multiple of 8"
            )
        }
        let reservation = try reserve(byteCount, purpose)
        let filled = Self.fill(reservation, fill)
        let recordCount: UInt64
        switch filled {
        case .success(let count): recordCount = count
        case .failure: recordCount = 0
        }
        try perform(complete(reservation, recordCount))
        _ = try filled.get()
        return reservation.location
    }

    package func sync() throws(SegmentError) {
        let target = monitor.withLock { $0.appendCount }
        let lead = try monitor.wait { (state) throws(SegmentError) -> SyncStep? in
            try state.requireWritable()
            if state.durableCount >= target { return .done }
            return state.beginSyncing().map { .lead($0, $1) }
        }
        guard case .lead(let goal, let task) = lead else { return }
        defer { monitor.update { $0.endSyncing() } }
        try perform(task)
        let file = try monitor.wait { (state) throws(SegmentError) -> SyncedFile? in
            try state.requireWritable()
            guard state.isWritten(goal) else { return nil }
            // A segment that was sealed meanwhile is durable.
            guard let active = state.active, active.number == goal.segment else { return .sealed }
            return .active(active)
        }
        if case .active(let segment) = file {
            try latching { () throws(SegmentError) in try makeDurable(segment) }
        }
        monitor.withLock { $0.finishSyncing(goal) }
    }

    package func checkWritable() throws(SegmentError) {
        try monitor.withLock { (state) throws(SegmentError) in try state.requireWritable() }
    }

    // MARK: -

    private static func createDirectory(
        _ directory: String, on disk: any Disk
    ) throws(SegmentError) {
        try onDisk("creating the directory of the segments") { () throws(DiskError) in
            if try !disk.exists(directory) { try disk.createDirectory(directory) }
            // Also when it exists: a crash may have come between the two calls.
            try disk.syncDirectory(DiskPath.parent(of: directory))
        }
    }
}

// MARK: - Parts that the other files share

extension LocalSegmentStore {
    /// Runs something after whose failure nobody can know what is durable.
    func latching<Result>(_ body: () throws(SegmentError) -> Result) throws(SegmentError) -> Result
    {
        do {
            return try body()
        } catch {
            throw monitor.update { $0.latch(error) }
        }
    }

    /// Runs something that opens a segment's file; that the file is gone is no damage when the
    /// segment was deleted since the caller looked.
    func unlessDeleted<Result>(
        _ segment: SegmentNumber, _ body: () throws(SegmentError) -> Result
    ) throws(SegmentError) -> Result {
        do {
            return try body()
        } catch {
            if monitor.withLock({ $0.segments[segment] != nil }) { throw error }
            throw SegmentError(
                .segmentUnknown, "the segment \(segment) was just deleted", cause: error)
        }
    }

    /// Learns from the file what a sealed segment holds, unless that is known.
    func loadIfUnknown(_ segment: SegmentNumber) throws(SegmentError) {
        let isUnknown = try monitor.withLock { (state) throws(SegmentError) in
            try state.requireOpen()
            guard case .sealed(nil)? = state.segments[segment] else { return false }
            return true
        }
        guard isUnknown else { return }
        let sealed = try unlessDeleted(segment) { () throws(SegmentError) in
            try readFiles.load(segment)
        }
        monitor.withLock { state in
            guard case .sealed(nil)? = state.segments[segment] else { return }
            state.segments[segment] = .sealed(sealed)
        }
    }
}
