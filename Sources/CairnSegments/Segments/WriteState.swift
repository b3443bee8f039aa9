// Part of Cairn, a content-addressed blob store.

/// Who may write what, and what is durable: the state of a ``LocalSegmentStore`` without any
/// input or output.
///
/// Each event changes the state and returns what the calling thread has to do next. At most one
/// thread prepares (begins segments and opens buffers) at a time, and at most one syncs.
struct WriteState {
    /// What is known of a segment.
    enum Segment {
        case unsealed
        /// Sealed; nil until somebody has asked the file.
        case sealed(SealedSegment?)
    }

    /// The error that ended all writing.
    private(set) var failure: SegmentError?
    private(set) var isClosed = false

    var segments: [SegmentNumber: Segment] = [:]
    private(set) var nextNumber: UInt32 = 1

    private(set) var active: WritableSegment?
    /// The segment before the active one, while it is not sealed yet.
    ///
    /// There is never a third one, so that opening a store has to look at the last two only.
    private(set) var retiring: WritableSegment?
    private var isSealing = false

    /// In ascending order of sequence; at most the last one is open.
    private var buffers: [WriteBuffer] = []
    private var nextSequence: UInt64 = 1
    private var idleMemory: [AlignedBuffer] = []
    private var memoryCount = 0

    /// Whether a reader waits until some reservation is filled.
    private var fillIsAwaited = false

    private(set) var isPreparing = false
    private(set) var isSyncing = false

    /// How many appends have reserved their bytes.
    private(set) var appendCount: UInt64 = 0
    /// How many of them, from the first on, are durable.
    private(set) var durableCount: UInt64 = 0

    init(segments: [SegmentNumber: Segment], nextNumber: UInt32) {
        self.segments = segments
        self.nextNumber = nextNumber
    }

    /// Throws unless appending and syncing can go on.
    func requireWritable() throws(SegmentError) {
        try requireOpen()
        if let failure { throw failure }
    }

    /// Throws once the store is closed.
    func requireOpen() throws(SegmentError) {
        guard !isClosed else { throw SegmentError(.closed, "the segment store is closed") }
    }

    /// Ends all writing; the first error stays.
    mutating func latch(_ error: SegmentError) -> SegmentError {
        let first = failure ?? error
        failure = first
        return first
    }

    mutating func closeForEver() {
        isClosed = true
        active = nil
        retiring = nil
        buffers = []
        idleMemory = []
    }
}

// MARK: - Appending

extension WriteState {
    /// Reserves room in the open buffer; nil when there is none or it has not enough.
    mutating func reserve(_ byteCount: Int) -> Reservation? {
        guard let last = buffers.indices.last, let range = buffers[last].reserve(byteCount)
        else { return nil }
        appendCount += 1
        let buffer = buffers[last]
        let location = RecordLocation(
            segment: buffer.segment, offset: buffer.fileOffset + UInt64(range.lowerBound),
            // No buffer has 4 GiB, see SegmentConfiguration.
            byteCount: UInt32(byteCount))
        return Reservation(
            sequence: buffer.sequence, memory: buffer.memory, range: range, location: location)
    }

    /// Notes that a reservation is filled.
    mutating func complete(_ reservation: Reservation, recordCount: UInt64) -> WriteTask? {
        if active?.number == reservation.location.segment {
            active?.recordCount += recordCount
        } else if retiring?.number == reservation.location.segment {
            retiring?.recordCount += recordCount
        }
        guard let index = bufferIndex(reservation.sequence) else { return nil }
        return buffers[index].complete(reservation.range) ? .write(buffers[index]) : nil
    }

    /// Whether the readers that wait for a reservation have to be woken.
    mutating func takeFillIsAwaited() -> Bool {
        defer { fillIsAwaited = false }
        return fillIsAwaited
    }

    /// Ends reserving in the open buffer, if there is one.
    mutating func closeBuffer() -> WriteTask? {
        guard let last = buffers.indices.last, buffers[last].phase == .open else { return nil }
        guard buffers[last].reservedByteCount > 0 else {
            idleMemory.append(buffers.removeLast().memory)
            return nil
        }
        let isReady = buffers[last].close()
        active?.nextOffset = buffers[last].fileOffset + UInt64(buffers[last].writtenByteCount)
        return isReady ? .write(buffers[last]) : nil
    }

    /// Notes that a buffer is on disk.
    mutating func finishWriting(_ sequence: UInt64) -> WriteTask? {
        guard let index = bufferIndex(sequence) else { return nil }
        buffers[index].finishWriting()
        release(at: index)
        return sealTask()
    }

    /// Seals the retiring segment, when all of it is written and nobody else does.
    mutating func sealTask() -> WriteTask? {
        guard let retiring, !isSealing, !hasUnwritten(of: retiring.number) else { return nil }
        isSealing = true
        return .seal(retiring)
    }

    /// Notes that the retiring segment is sealed and durable.
    mutating func finishSealing(_ sealed: SealedSegment) {
        segments[sealed.number] = .sealed(sealed)
        retiring = nil
        isSealing = false
    }
}

// MARK: - Preparing

extension WriteState {
    /// Makes the caller the only one to begin segments and to open buffers; false if another is.
    mutating func beginPreparing() -> Bool {
        guard !isPreparing else { return false }
        isPreparing = true
        return true
    }

    mutating func endPreparing() { isPreparing = false }

    /// Takes a number for a new segment, for ever.
    mutating func takeNumber() throws(SegmentError) -> SegmentNumber {
        guard nextNumber < UInt32.max else {
            throw SegmentError(.limitExceeded, "all numbers of segments are used up")
        }
        defer { nextNumber += 1 }
        return SegmentNumber(nextNumber)
    }

    /// Puts a new segment in the place of the active one, which retires.
    mutating func begin(_ segment: WritableSegment) {
        assert(retiring == nil)
        retiring = active
        active = segment
        segments[segment.number] = .unsealed
    }

    /// Leaves the store without an active segment.
    mutating func retireActive() {
        assert(retiring == nil)
        retiring = active
        active = nil
    }

    /// Notes how much room the active segment has on disk.
    mutating func finishAllocating(_ byteCount: UInt64, nextStep: UInt64) {
        active?.allocatedByteCount = byteCount
        active?.allocationStep = nextStep
    }

    /// Hands out the memory of a buffer: nil when all of it is in use; `.some(nil)` when the
    /// caller may allocate another.
    mutating func takeMemory(countMax: Int) -> AlignedBuffer?? {
        if let memory = idleMemory.popLast() { return .some(memory) }
        guard memoryCount < countMax else { return nil }
        memoryCount += 1
        return .some(nil)
    }

    /// Takes a segment out, so that nobody begins to read it.
    mutating func takeSealed(_ segment: SegmentNumber) throws(SegmentError) -> Segment {
        try requireWritable()
        guard let known = segments.removeValue(forKey: segment) else {
            throw SegmentError(.segmentUnknown, "there is no segment \(segment)")
        }
        return known
    }

    /// Notes that a power cut can no longer take the name of the active segment.
    mutating func noteNameDurable(of segment: SegmentNumber) {
        if active?.number == segment { active?.isNameDurable = true }
    }

    /// Opens a buffer behind everything reserved in the active segment.
    mutating func openBuffer(_ memory: AlignedBuffer, capacity: Int) {
        guard let active else { return }
        buffers.append(
            WriteBuffer(
                sequence: nextSequence, memory: memory, segment: active.number, file: active.file,
                fileOffset: active.nextOffset, capacity: capacity))
        nextSequence += 1
    }
}

// MARK: - Syncing

extension WriteState {
    /// What one sync will make durable.
    struct SyncGoal {
        let appendCount: UInt64
        /// The last buffer that it covers.
        let sequence: UInt64
        /// The segment that was active.
        let segment: SegmentNumber?
    }

    /// Makes the caller the only one to sync; nil if another is.
    mutating func beginSyncing() -> (SyncGoal, WriteTask?)? {
        guard !isSyncing else { return nil }
        isSyncing = true
        let task = closeBuffer()
        let goal = SyncGoal(
            appendCount: appendCount, sequence: nextSequence - 1, segment: active?.number)
        return (goal, task)
    }

    /// Whether everything that a sync covers is written, and sealed if its segment is full.
    func isWritten(_ goal: SyncGoal) -> Bool {
        retiring == nil
            && !buffers.contains { $0.sequence <= goal.sequence && $0.phase != .written }
    }

    mutating func finishSyncing(_ goal: SyncGoal) {
        durableCount = max(durableCount, goal.appendCount)
        if let segment = goal.segment { noteNameDurable(of: segment) }
    }

    mutating func endSyncing() { isSyncing = false }
}

// MARK: - Reading

extension WriteState {
    /// Where the bytes from some offset on are.
    enum Source {
        /// In a buffer, which has to be given back by its sequence.
        case memory(AlignedBuffer, Range<Int>, sequence: UInt64)
        /// In the file, up to the length given.
        case file(byteCount: Int)
        /// In the file of a sealed segment of which nothing is known yet.
        case unknown
    }

    /// Finds the first of the bytes asked for; nil while they are being filled.
    mutating func source(
        _ segment: SegmentNumber, _ range: Range<UInt64>
    ) throws(SegmentError) -> Source? {
        try requireOpen()
        guard let known = segments[segment] else {
            throw SegmentError(.segmentUnknown, "there is no segment \(segment)")
        }
        if case .sealed(nil) = known { return .unknown }
        guard range.upperBound <= endOffset(of: segment, known) else {
            throw SegmentError(
                .locationInvalid, "bytes \(range) lie outside of the segment \(segment)")
        }
        var fileEnd = range.upperBound
        for index in buffers.indices where buffers[index].segment == segment {
            let buffer = buffers[index]
            let end = buffer.fileOffset + UInt64(buffer.writtenByteCount)
            guard buffer.phase != .written, end > range.lowerBound else { continue }
            guard buffer.fileOffset <= range.lowerBound else {
                fileEnd = min(fileEnd, buffer.fileOffset)
                break
            }
            let lower = Int(range.lowerBound - buffer.fileOffset)
            let part = lower..<Int(min(range.upperBound, end) - buffer.fileOffset)
            if buffer.isBeingFilled(part) {
                fillIsAwaited = true
                return nil
            }
            return takeMemory(at: index, part)
        }
        return .file(byteCount: Int(fileEnd - range.lowerBound))
    }

    /// Gives back a buffer that was read from.
    mutating func endReading(_ sequence: UInt64) {
        guard let index = bufferIndex(sequence) else { return }
        buffers[index].endReading()
        release(at: index)
    }

    /// How many records an unsealed segment holds by now.
    func recordCount(ofUnsealed segment: SegmentNumber) -> UInt64? {
        active?.number == segment ? active?.recordCount : retiring?.recordCount
    }

    /// Where the content of a segment ends by now, in whole blocks if it is sealed.
    func endOffset(of segment: SegmentNumber) -> UInt64? {
        segments[segment].map { endOffset(of: segment, $0) }
    }
}

// MARK: - Parts

extension WriteState {
    private mutating func takeMemory(at index: Int, _ part: Range<Int>) -> Source {
        buffers[index].beginReading()
        return .memory(buffers[index].memory, part, sequence: buffers[index].sequence)
    }

    private func endOffset(of segment: SegmentNumber, _ known: Segment) -> UInt64 {
        if case .sealed(let sealed) = known { return sealed?.endOffset ?? 0 }
        if let last = buffers.last, last.segment == segment, last.phase == .open {
            return last.endOffset
        }
        let writable = active?.number == segment ? active : retiring
        return writable?.nextOffset ?? SegmentFormat.contentOffset
    }

    private func bufferIndex(_ sequence: UInt64) -> Int? {
        buffers.firstIndex { $0.sequence == sequence }
    }

    private func hasUnwritten(of segment: SegmentNumber) -> Bool {
        buffers.contains { $0.segment == segment && $0.phase != .written }
    }

    private mutating func release(at index: Int) {
        guard buffers[index].isDone else { return }
        idleMemory.append(buffers.remove(at: index).memory)
    }
}
