// Part of Cairn, a content-addressed blob store.

internal import CairnCore

// All of this runs on one thread at a time, see WriteState.beginPreparing. While it does, appends
// that do not fit wait; those under way, reads and syncs go on.

extension LocalSegmentStore {
    /// Opens a buffer that has room for an append, in the active segment or in a new one.
    func openBuffer(
        forAtLeast byteCount: Int, _ purpose: AppendPurpose
    ) throws(SegmentError) {
        try perform(monitor.withLock { $0.closeBuffer() })
        if room(in: monitor.withLock { $0.active }) < byteCount {
            try beginSegment()
            // The segment before, if nothing of it is left to be written by others.
            try perform(monitor.withLock { $0.sealTask() })
        }
        let capacity = room(in: monitor.withLock { $0.active })
        try reserveRoom(capacity, purpose)
        let memory = try takeMemory()
        // Those who wait for it are woken when this thread ends preparing.
        monitor.withLock { $0.openBuffer(memory, capacity: capacity) }
    }

    /// Ends the active segment, and returns when it is sealed.
    func retireActive() throws(SegmentError) {
        try perform(monitor.withLock { $0.closeBuffer() })
        try waitUntilSealed()
        let task = monitor.withLock { (state) -> WriteTask? in
            state.retireActive()
            return state.sealTask()
        }
        try perform(task)
        try waitUntilSealed()
    }

    /// Makes sure that a number is not the last one, so that it is never used again when its file
    /// is gone: the number of the next segment is found by listing.
    func ensureSuccessor(of segment: SegmentNumber) throws(SegmentError) {
        let isLast = try monitor.withLock { (state) throws(SegmentError) in
            try state.requireWritable()
            guard let known = state.segments[segment] else {
                throw SegmentError(.segmentUnknown, "there is no segment \(segment)")
            }
            guard case .sealed = known else {
                throw SegmentError(.invalidArgument, "the segment \(segment) is not sealed")
            }
            return state.segments.keys.max() == segment
        }
        if isLast { try beginSegment() }
        let successor = try monitor.withLock { (state) throws(SegmentError) in
            try state.requireWritable()
            return state.active
        }
        guard let successor, !successor.isNameDurable else { return }
        try latching { () throws(SegmentError) in try makeDurable(successor) }
        monitor.withLock { $0.noteNameDurable(of: successor.number) }
    }

    /// Runs `body` as the one thread that prepares.
    func preparing(_ body: () throws(SegmentError) -> Void) throws(SegmentError) {
        try monitor.wait { (state) throws(SegmentError) -> Void? in
            try state.requireWritable()
            return state.beginPreparing() ? () : nil
        }
        defer { monitor.update { $0.endPreparing() } }
        try body()
    }

    // MARK: -

    /// How much a buffer at the end of a segment may take.
    private func room(in segment: WritableSegment?) -> Int {
        guard let segment else { return 0 }
        let footer = UInt64(SegmentFormat.blockByteCount)
        let rest = configuration.segmentByteCount - footer - segment.nextOffset
        return Int(min(rest, UInt64(configuration.bufferByteCount)))
    }

    private func waitUntilSealed() throws(SegmentError) {
        try monitor.wait { (state) throws(SegmentError) -> Void? in
            try state.requireWritable()
            return state.retiring == nil ? () : nil
        }
    }

    private func beginSegment() throws(SegmentError) {
        // There are never two unsealed segments before the active one.
        try waitUntilSealed()
        let number = try monitor.withLock { (state) throws(SegmentError) in
            try state.takeNumber()
        }
        let file = try createFile(number)
        let segment = WritableSegment(
            number: number, file: file, allocationStep: configuration.reservedByteCountMin)
        monitor.withLock { $0.begin(segment) }
    }

    /// A failure here leaves nothing behind, so appending can be tried again.
    private func createFile(_ number: SegmentNumber) throws(SegmentError) -> any DiskFile {
        let path = directory.path(of: number)
        let file = try onDisk("creating the segment \(number)") { () throws(DiskError) in
            try directory.disk.open(path, .create.bypassingCache)
        }
        let header = SegmentFormat.encode(directory.header(of: number))
        do throws(DiskError) {
            try SegmentFile.writeBlock(header, to: file, at: 0)
            return file
        } catch {
            file.close()
            try latching { () throws(SegmentError) in
                try onDisk("removing the unfinished segment \(number)") { () throws(DiskError) in
                    try directory.disk.remove(path)
                }
                // Or else each further attempt could leave another file to be found after a crash,
                // and opening looks at the last two only.
                try directory.sync()
            }
            throw SegmentError(error, "writing the header of the segment \(number)")
        }
    }

    /// Reserves room on disk for the next buffer; a failure changes nothing, so it is no reason
    /// to give up for ever.
    private func reserveRoom(
        _ capacity: Int, _ purpose: AppendPurpose
    ) throws(SegmentError) {
        guard let segment = monitor.withLock({ $0.active }) else { return }
        // With the footer: sealing must not need room that nobody has reserved.
        let needed =
            segment.nextOffset + UInt64(capacity) + UInt64(SegmentFormat.blockByteCount)
        guard needed > segment.allocatedByteCount else { return }
        let available = try availableByteCount(needed - segment.allocatedByteCount, purpose)
        let generous = min(
            max(needed, segment.allocatedByteCount + min(segment.allocationStep, available)),
            configuration.segmentByteCount)
        let allocated = try onDisk("reserving room for the segment \(segment.number)") {
            () throws(DiskError) in
            do throws(DiskError) {
                try segment.file.allocate(byteCount: generous)
                return generous
            } catch let error where error.code == .outOfSpace && generous > needed {
                // The disk is nearly full: take what this buffer needs and no more.
                try segment.file.allocate(byteCount: needed)
                return needed
            }
        }
        let step = min(segment.allocationStep * 2, configuration.reservedByteCountMax)
        monitor.withLock { $0.finishAllocating(allocated, nextStep: step) }
    }

    /// How much the disk has to give; fails when that is less than `wanted`.
    private func availableByteCount(
        _ wanted: UInt64, _ purpose: AppendPurpose
    ) throws(SegmentError) -> UInt64 {
        // The index keeps a quarter of it in any case.
        let reserved = configuration.freeByteCountMin / (purpose == .storing ? 1 : 4)
        guard reserved > 0 else { return .max >> 1 }
        let free = try onDisk("asking for free space") { () throws(DiskError) in
            try directory.disk.freeByteCount()
        }
        guard free >= reserved, free - reserved >= wanted else {
            throw SegmentError(
                .outOfSpace,
                "of \(free) free bytes \(reserved) are reserved"
            )
        }
        return free - reserved
    }

    private func takeMemory() throws(SegmentError) -> AlignedBuffer {
        let memory = try monitor.wait { (state) throws(SegmentError) -> AlignedBuffer?? in
            try state.requireWritable()
            return state.takeMemory(countMax: configuration.bufferCountMax)
        }
        return memory ?? AlignedBuffer(byteCount: configuration.bufferByteCount)
    }
}
