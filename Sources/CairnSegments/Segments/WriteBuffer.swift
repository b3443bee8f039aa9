// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// One write buffer on its way from being filled to being on disk.
///
/// A value inside of ``WriteState``; the memory that it refers to is shared.
struct WriteBuffer {
    /// How far a buffer has come.
    enum Phase {
        /// Appends can reserve room.
        case open
        /// Nothing more is reserved; whoever completes the last reservation writes the buffer.
        case closed
        /// A thread is writing it.
        case writing
        /// On disk, though not synced. Only readers that still copy from it keep it.
        case written
    }

    /// Which buffer: they are numbered in the order of their bytes.
    let sequence: UInt64
    let memory: AlignedBuffer
    let segment: SegmentNumber
    let file: any DiskFile
    /// Where the buffer's first byte belongs.
    let fileOffset: UInt64
    /// How many bytes the buffer may take; less than its memory near the end of a segment.
    let capacity: Int

    private(set) var phase = Phase.open
    private(set) var reservedByteCount = 0
    /// Reserved ranges that are being filled: as many as threads append at once.
    private var filling: [Range<Int>] = []
    private var readerCount = 0

    init(
        sequence: UInt64, memory: AlignedBuffer, segment: SegmentNumber, file: any DiskFile,
        fileOffset: UInt64, capacity: Int
    ) {
        self.sequence = sequence
        self.memory = memory
        self.segment = segment
        self.file = file
        self.fileOffset = fileOffset
        self.capacity = capacity
    }

    /// The bytes that go to disk: whole blocks.
    var writtenByteCount: Int { SegmentFormat.wholeBlocks(reservedByteCount) }

    /// Where the reserved bytes end in the file.
    var endOffset: UInt64 { fileOffset + UInt64(reservedByteCount) }

    /// Whether the bytes are on disk and nobody reads them here.
    var isDone: Bool { phase == .written && readerCount == 0 }

    /// Reserves room at the end; nil when there is not enough.
    mutating func reserve(_ byteCount: Int) -> Range<Int>? {
        guard phase == .open, byteCount <= capacity - reservedByteCount else { return nil }
        let range = reservedByteCount..<reservedByteCount + byteCount
        reservedByteCount = range.upperBound
        filling.append(range)
        return range
    }

    /// Notes that a reserved range holds its bytes.
    ///
    /// - Returns: Whether the caller has to write the buffer.
    mutating func complete(_ range: Range<Int>) -> Bool {
        filling.removeAll { $0 == range }
        return startWritingIfReady()
    }

    /// Ends reserving.
    ///
    /// - Returns: Whether the caller has to write the buffer.
    mutating func close() -> Bool {
        assert(phase == .open)
        phase = .closed
        // Now, under the store's lock: once closed, a ranged read may cover the padding.
        memory.withMutableSpan(reservedByteCount..<writtenByteCount) { $0.zero(0..<$0.count) }
        return startWritingIfReady()
    }

    mutating func finishWriting() { phase = .written }

    /// Whether any part of a range is still being filled.
    func isBeingFilled(_ range: Range<Int>) -> Bool {
        filling.contains { $0.overlaps(range) }
    }

    /// Keeps the memory from being used again while a reader copies from it.
    mutating func beginReading() { readerCount += 1 }

    mutating func endReading() { readerCount -= 1 }

    private mutating func startWritingIfReady() -> Bool {
        guard phase == .closed, filling.isEmpty else { return false }
        phase = .writing
        return true
    }
}

/// A segment that has a writer.
struct WritableSegment {
    let number: SegmentNumber
    let file: any DiskFile
    /// Where the next buffer will lie: the end of everything reserved, in whole blocks.
    var nextOffset = SegmentFormat.contentOffset
    /// Up to where room is reserved on disk.
    var allocatedByteCount: UInt64 = 0
    /// How much to reserve next time.
    var allocationStep: UInt64
    var recordCount: UInt64 = 0
    /// Whether a power cut can no longer take the file's name.
    var isNameDurable = false
}

/// A promise of bytes within a buffer.
struct Reservation {
    let sequence: UInt64
    let memory: AlignedBuffer
    let range: Range<Int>
    let location: RecordLocation
}

/// Something that a thread has to do after it has left the lock.
enum WriteTask {
    /// Write a buffer of which everything is filled.
    case write(WriteBuffer)
    /// Seal a segment of which everything is written.
    case seal(WritableSegment)
}
