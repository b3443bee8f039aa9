// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Walks through the content of a segment, record by record, and past what is damaged.
///
/// A record whose header is intact is skipped by the length in it, whatever its payload; behind a
/// damaged header the walk goes on at the next place where a whole, intact record begins. So one
/// damaged byte costs one record, and a torn write hides nothing that lies behind it.
struct SegmentScanner {
    /// Reads exactly the bytes asked for.
    typealias Reader = (inout MutableSpan<UInt8>, UInt64) throws(SegmentError) -> Void

    /// What comes next.
    enum Item {
        case record(RecordHeader, Range<UInt64>)
        case damage(Range<UInt64>)
    }

    /// What seems to begin at some offset.
    private enum Frame {
        case record(RecordHeader)
        case void(byteCount: Int)
        case zeros
        case footer(SegmentFormat.Footer)
        case none
    }

    /// The footer that was met on the way, which ends the content.
    private(set) var footer: SegmentFormat.Footer?

    /// Where the last record or void ends.
    private(set) var endOfFrames = SegmentFormat.contentOffset

    private var position = SegmentFormat.contentOffset
    private var end: UInt64
    private let reader: Reader
    private let window: AlignedBuffer
    private var windowRange: Range<UInt64> = 0..<0

    /// How far a window reaches beyond the largest record: more means fewer bytes read twice.
    private static let windowMarginByteCount = 2 << 20

    init(end: UInt64, _ reader: @escaping Reader) {
        self.end = end
        self.reader = reader
        let largest = UInt64(SegmentFormat.recordByteCountMax + Self.windowMarginByteCount)
        let content = end - min(end, SegmentFormat.contentOffset)
        window = AlignedBuffer(byteCount: Int(min(content, largest)))
    }

    /// Calls `body` with each intact record; returns what was found.
    mutating func scan(
        _ segment: SegmentNumber,
        _ body: (RecordHeader, RecordLocation, Span<UInt8>) throws(SegmentError) -> Void
    ) throws(SegmentError) -> SegmentScanReport {
        var report = SegmentScanReport(endOffset: SegmentFormat.contentOffset)
        while let item = try next() {
            switch item {
            case .damage(let range): report.noteDamage(range)
            case .record(let header, let range):
                report.recordCount += 1
                let location = RecordLocation(
                    segment: segment, offset: range.lowerBound,
                    // At most recordByteCountMax.
                    byteCount: UInt32(range.count))
                try withBytes(range) { (bytes) throws(SegmentError) in
                    try body(header, location, bytes)
                }
            }
        }
        report.endOffset = endOfFrames
        return report
    }

    /// The next record or damaged range; nil at the end.
    mutating func next() throws(SegmentError) -> Item? {
        while position < end {
            switch try frame(at: position) {
            case .record(let header):
                let range = take(header.recordByteCount)
                return try isIntact(range) ? .record(header, range) : .damage(range)
            case .void(let byteCount):
                let range = take(byteCount)
                if try !withBytes(range, { SegmentFormat.isIntactVoid($0) }) {
                    return .damage(range)
                }
            case .footer(let footer):
                self.footer = footer
                end = position
            case .zeros:
                if let damage = try skipZeros() { return .damage(damage) }
            case .none:
                return try .damage(skipDamage())
            }
        }
        return nil
    }

    // MARK: - Frames

    private mutating func take(_ byteCount: Int) -> Range<UInt64> {
        let range = position..<position + UInt64(byteCount)
        position = range.upperBound
        endOfFrames = position
        return range
    }

    private mutating func frame(at offset: UInt64) throws(SegmentError) -> Frame {
        let rest = end - offset
        let head = offset..<offset + min(rest, UInt64(RecordHeader.byteCountMax))
        let frame = try withBytes(head) { (bytes) throws(SegmentError) in
            try Self.frame(bytes, rest: rest)
        }
        guard case .none = frame, offset % UInt64(SegmentFormat.blockByteCount) == 0,
            rest >= UInt64(SegmentFormat.blockByteCount)
        else { return frame }
        let block = offset..<offset + UInt64(SegmentFormat.blockByteCount)
        guard let footer = try withBytes(block, { try? SegmentFormat.decodeFooter($0) }),
            footer.endOffset == offset
        else { return .none }
        return .footer(footer)
    }

    private static func frame(
        _ bytes: Span<UInt8>, rest: UInt64
    ) throws(SegmentError) -> Frame {
        guard bytes.count >= SegmentFormat.alignment else {
            return SegmentFormat.isZero(bytes) ? .zeros : .none
        }
        if bytes.littleEndian(UInt32.self, at: 0) == SegmentFormat.recordMagic {
            do {
                let header = try RecordHeader(parsing: bytes)
                let byteCount = header.recordByteCount
                let fits = byteCount <= SegmentFormat.recordByteCountMax && byteCount <= rest
                return fits ? .record(header) : .none
            } catch let error where error.code == .unsupportedVersion {
                throw SegmentError(
                    .unsupportedVersion, "a segment holds a record of a later version",
                    cause: error)
            } catch {
                return .none
            }
        }
        if let byteCount = SegmentFormat.voidByteCount(bytes) {
            let fits = byteCount <= SegmentFormat.recordByteCountMax && byteCount <= rest
            return fits ? .void(byteCount: byteCount) : .none
        }
        return bytes.littleEndianWord(at: 0) == 0 ? .zeros : .none
    }

    private mutating func isIntact(_ record: Range<UInt64>) throws(SegmentError) -> Bool {
        try withBytes(record) { (try? Record.verifyChecksums($0)) != nil }
    }

    // MARK: - Skipping

    /// Skips the padding of a flush; what is no padding is returned as damage.
    private mutating func skipZeros() throws(SegmentError) -> Range<UInt64>? {
        let start = position
        let block = UInt64(SegmentFormat.blockByteCount)
        let blockEnd = min(end, (start / block + 1) * block)
        guard try withBytes(start..<blockEnd, { SegmentFormat.isZero($0) }) else {
            return try skipDamage()
        }
        position = blockEnd
        guard start % block == 0 else { return nil }
        // No flush has a whole block of zeros: these were reserved and never reached the disk.
        while position < end {
            let next = position..<min(end, position + block)
            guard try withBytes(next, { SegmentFormat.isZero($0) }) else { break }
            position = next.upperBound
        }
        return start..<position
    }

    /// Skips to the next whole and intact record or void, to a footer, or to the end.
    private mutating func skipDamage() throws(SegmentError) -> Range<UInt64> {
        let start = position
        position += UInt64(SegmentFormat.alignment)
        while position < end {
            try skipToCandidate()
            guard position < end else { break }
            if try beginsFrame(at: position) { return start..<position }
            position += UInt64(SegmentFormat.alignment)
        }
        position = end
        return start..<end
    }

    private mutating func beginsFrame(at offset: UInt64) throws(SegmentError) -> Bool {
        let found: Frame
        do {
            found = try frame(at: offset)
        } catch let error where error.code == .unsupportedVersion {
            // Amid damage, that may be anything.
            return false
        }
        switch found {
        case .record(let header):
            return try isIntact(offset..<offset + UInt64(header.recordByteCount))
        case .void, .footer: return true
        case .zeros, .none: return false
        }
    }

    /// Skips words that cannot begin a frame, as many as the window holds at a time.
    private mutating func skipToCandidate() throws(SegmentError) {
        let step = SegmentFormat.alignment
        while position < end {
            let part = position..<min(end, max(windowRange.upperBound, position + UInt64(step)))
            let skipped = try withBytes(part) { bytes in
                var index = 0
                while index + step <= bytes.count {
                    let word = bytes.littleEndian(UInt32.self, at: index)
                    if SegmentFormat.beginsFrame(word) { break }
                    index += step
                }
                return index
            }
            position += UInt64(skipped)
            if skipped + step <= part.count { return }
            // What is left is shorter than any frame.
            if part.upperBound == end { position = end }
        }
    }

    // MARK: - Window

    private mutating func withBytes<Result>(
        _ range: Range<UInt64>, _ body: (Span<UInt8>) throws(SegmentError) -> Result
    ) throws(SegmentError) -> Result {
        if range.lowerBound < windowRange.lowerBound || range.upperBound > windowRange.upperBound {
            try moveWindow(to: range.lowerBound)
        }
        let start = Int(range.lowerBound - windowRange.lowerBound)
        return try window.withSpan(start..<start + range.count, body)
    }

    /// Reads as much as the window holds, from the block on that holds `offset`.
    private mutating func moveWindow(to offset: UInt64) throws(SegmentError) {
        let block = UInt64(SegmentFormat.blockByteCount)
        let start = offset / block * block
        let range = start..<min(end, start + UInt64(window.byteCount))
        windowRange = 0..<0
        try window.withMutableSpan(0..<range.count) { (bytes) throws(SegmentError) in
            try reader(&bytes, start)
        }
        windowRange = range
    }
}

extension SegmentScanReport {
    /// Adds a range behind all others.
    mutating func noteDamage(_ range: Range<UInt64>) {
        guard let last = damage.last, last.upperBound == range.lowerBound else {
            damage.append(range)
            return
        }
        damage[damage.count - 1] = last.lowerBound..<range.upperBound
    }
}
