// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Where the segments of one store are.
struct SegmentDirectory: Sendable {
    let disk: any Disk
    let path: String
    let storeID: Octets16

    func path(of segment: SegmentNumber) -> String {
        path + "/" + SegmentFormat.fileName(segment)
    }

    func header(of segment: SegmentNumber) -> SegmentFormat.Header {
        SegmentFormat.Header(number: segment, storeID: storeID)
    }

    func open(
        _ segment: SegmentNumber, _ mode: DiskOpenMode
    ) throws(SegmentError) -> any DiskFile {
        try onDisk("opening the segment \(segment)") { () throws(DiskError) in
            try disk.open(path(of: segment), mode)
        }
    }

    /// Makes the names of all segments durable.
    func sync() throws(SegmentError) {
        try onDisk("syncing the directory of the segments") { () throws(DiskError) in
            try disk.syncDirectory(path)
        }
    }
}

/// What is known of a segment that will not change any more.
struct SealedSegment: Hashable, Sendable {
    let number: SegmentNumber
    /// Where the footer lies; the end of the file when the footer is damaged.
    let endOffset: UInt64
    /// Nil when the footer is damaged.
    let recordCount: UInt64?
    let isRecovered: Bool

    var byteCount: UInt64 {
        recordCount == nil ? endOffset : endOffset + UInt64(SegmentFormat.blockByteCount)
    }
}

/// A whole segment file: its header, its footer and the way through it.
enum SegmentFile {
    /// What the first block of a file turned out to be.
    enum HeaderState {
        case intact
        case damaged
    }

    /// Checks whose segment a file is.
    ///
    /// A damaged header is no reason to refuse records that are intact, each of which is bound to
    /// its store by itself; an intact header that names another segment is.
    static func checkHeader(
        of file: any DiskFile, _ expected: SegmentFormat.Header
    ) throws(SegmentError) -> HeaderState {
        let number = expected.number
        guard let block = try readBlock(of: file, at: 0, number) else { return .damaged }
        let header: SegmentFormat.Header
        do throws(CoreError) {
            header = try SegmentFormat.decodeHeader(block.span)
        } catch {
            guard error.code == .unsupportedVersion else { return .damaged }
            throw SegmentError(
                .unsupportedVersion, "the segment \(number) is of a later version", cause: error)
        }
        guard header == expected else {
            throw SegmentError(
                .corrupted, "the file of the segment \(number) is that of another segment")
        }
        return .intact
    }

    /// The footer at the end of a file; nil when there is none, or a damaged one.
    static func footer(
        of file: any DiskFile, _ expected: SegmentFormat.Header
    ) throws(SegmentError) -> SegmentFormat.Footer? {
        let byteCount = try length(of: file, expected.number)
        let block = UInt64(SegmentFormat.blockByteCount)
        guard byteCount >= 2 * block, byteCount % block == 0,
            let bytes = try readBlock(of: file, at: byteCount - block, expected.number)
        else { return nil }
        guard let footer = try? SegmentFormat.decodeFooter(bytes.span), footer.header == expected,
            footer.endOffset == byteCount - block
        else { return nil }
        return footer
    }

    /// What a file that was sealed says of itself.
    static func readSealed(
        _ file: any DiskFile, _ expected: SegmentFormat.Header
    ) throws(SegmentError) -> SealedSegment {
        if let footer = try footer(of: file, expected) { return SealedSegment(footer) }
        return SealedSegment(
            number: expected.number, endOffset: try length(of: file, expected.number),
            recordCount: nil, isRecovered: false)
    }

    /// Cuts a segment behind its content and puts a footer there, durably.
    ///
    /// The content must be durable already: a footer proves that it is whole.
    static func writeFooter(
        _ segment: SealedSegment, storeID: Octets16, to file: any DiskFile
    ) throws(DiskError) {
        let footer = SegmentFormat.Footer(
            header: SegmentFormat.Header(number: segment.number, storeID: storeID),
            isRecovered: segment.isRecovered, recordCount: segment.recordCount ?? 0,
            endOffset: segment.endOffset)
        // In room that is reserved, and before the rest of it is given back: a disk that is full
        // meanwhile must not stop a segment from being sealed.
        try writeBlock(SegmentFormat.encode(footer), to: file, at: segment.endOffset)
        try file.truncate(to: segment.endOffset + UInt64(SegmentFormat.blockByteCount))
        try file.sync()
    }

    /// Walks through a sealed segment and checks every byte of its file.
    static func scanSealed(
        _ file: any DiskFile, _ expected: SegmentFormat.Header,
        _ body: (RecordHeader, RecordLocation, Span<UInt8>) throws(SegmentError) -> Void
    ) throws(SegmentError) -> SegmentScanReport {
        let block = UInt64(SegmentFormat.blockByteCount)
        let isHeaderIntact = try checkHeader(of: file, expected) == .intact
        let footer = try footer(of: file, expected)
        let length = try length(of: file, expected.number)
        let end = footer?.endOffset ?? length
        var scanner = SegmentScanner(end: end, reader(of: file, expected.number))
        var report = try scanner.scan(expected.number, body)
        report.isRecovered = footer?.isRecovered ?? false
        if !isHeaderIntact { report.damage.insert(0..<block, at: 0) }
        // Missing, or it counts records that are gone without a trace.
        let isComplete = report.damage.isEmpty && footer?.recordCount == report.recordCount
        if footer == nil || (report.damage.isEmpty && !isComplete) {
            report.noteDamage(max(end, block)..<max(end, block) + block)
        }
        return report
    }

    /// Reads ranges of a file; an end before the range's is damage.
    static func reader(
        of file: any DiskFile, _ segment: SegmentNumber
    ) -> SegmentScanner.Reader {
        { (bytes, offset) throws(SegmentError) in
            let wanted = bytes.count
            let count: Int
            do throws(DiskError) {
                count = try file.read(into: &bytes, at: offset)
            } catch {
                throw SegmentError(error, "reading from the segment \(segment)")
            }
            guard count == wanted else {
                throw SegmentError(
                    .corrupted, "the segment \(segment) ends before \(offset + UInt64(wanted))")
            }
        }
    }

    static func length(
        of file: any DiskFile, _ segment: SegmentNumber
    ) throws(SegmentError) -> UInt64 {
        try onDisk("examining the segment \(segment)") { () throws(DiskError) in
            try file.byteCount()
        }
    }

    /// Writes whole blocks from aligned memory, so that they can go past the page cache.
    static func writeBlock(
        _ bytes: [UInt8], to file: any DiskFile, at offset: UInt64
    ) throws(DiskError) {
        let buffer = AlignedBuffer(byteCount: bytes.count)
        buffer.withMutableSpan(0..<bytes.count) { $0.copy(bytes.span) }
        try buffer.withSpan(0..<buffer.byteCount) { (span) throws(DiskError) in
            try file.write(span, at: offset)
        }
    }

    /// One block; nil when the file ends before.
    static func readBlock(
        of file: any DiskFile, at offset: UInt64, _ segment: SegmentNumber
    ) throws(SegmentError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: SegmentFormat.blockByteCount)
        var span = bytes.mutableSpan
        let count: Int
        do throws(DiskError) {
            count = try file.read(into: &span, at: offset)
        } catch {
            throw SegmentError(error, "reading from the segment \(segment)")
        }
        return count == bytes.count ? bytes : nil
    }
}

extension SealedSegment {
    /// What an intact footer says.
    init(_ footer: SegmentFormat.Footer) {
        self.init(
            number: footer.header.number, endOffset: footer.endOffset,
            recordCount: footer.recordCount, isRecovered: footer.isRecovered)
    }
}
