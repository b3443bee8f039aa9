// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Brings the segments of a store into order when it is opened.
///
/// Nothing that was synced is ever cut off or overwritten: the end of an unsealed segment is the
/// end of its last whole record, also when bytes before it are damaged. Each step can be cut short
/// and done again.
struct SegmentRecovery {
    let directory: SegmentDirectory

    /// Only so many segments, counted from the last, can be without a footer: the active one and
    /// the one that retires.
    private static let unsealedCountMax = 2

    /// Recovers what needs it and returns what is known of all.
    ///
    /// - Parameter numbers: In ascending order.
    func recover(
        _ numbers: [SegmentNumber]
    ) throws(SegmentError) -> [SegmentNumber: WriteState.Segment] {
        var segments: [SegmentNumber: WriteState.Segment] = [:]
        for number in numbers.dropLast(Self.unsealedCountMax) { segments[number] = .sealed(nil) }
        var isNameRemoved = false
        for number in numbers.suffix(Self.unsealedCountMax) {
            let sealed = try recover(number)
            let isEmpty = sealed?.endOffset == SegmentFormat.contentOffset
            // The last number stays taken, so that it is never used again.
            if sealed == nil || (isEmpty && number != numbers.last) {
                try remove(number)
                isNameRemoved = true
            } else {
                segments[number] = .sealed(sealed)
            }
        }
        if isNameRemoved { try directory.sync() }
        return segments
    }

    // MARK: -

    /// Seals a segment if it is not sealed; nil when it was never begun.
    private func recover(_ number: SegmentNumber) throws(SegmentError) -> SealedSegment? {
        if let sealed = try sealedSegment(number) { return sealed }
        let expected = directory.header(of: number)
        let file = try directory.open(number, .readWrite.bypassingCache)
        defer { file.close() }
        let isHeaderIntact = try SegmentFile.checkHeader(of: file, expected) == .intact
        let end = try SegmentFile.length(of: file, number)
        var scanner = SegmentScanner(end: end, SegmentFile.reader(of: file, number))
        let report = try scanner.scan(number) { (_, _, _) throws(SegmentError) in }
        // The header is durable before any record is; without both, the segment's creation was
        // cut off, and nothing in it was ever acknowledged.
        if !isHeaderIntact && report.recordCount == 0 && scanner.footer == nil { return nil }
        let sealed = SealedSegment(
            number: number, endOffset: SegmentFormat.wholeBlocks(report.endOffset),
            recordCount: report.recordCount, isRecovered: scanner.footer?.isRecovered ?? true)
        try onDisk("recovering the segment \(number)") { () throws(DiskError) in
            try repairHeader(expected, isHeaderIntact, in: file)
            try clearPadding(from: report.endOffset, in: file, length: end)
            // After a process has died, the records found may still be in memory only.
            try file.sync()
            try SegmentFile.writeFooter(sealed, storeID: directory.storeID, to: file)
        }
        // The name may be as fresh as the records.
        try directory.sync()
        return sealed
    }

    /// What a segment says that needs no recovery; nil for all others.
    ///
    /// Opened for reading only, so that a store without unfinished work opens where nothing can
    /// be written.
    private func sealedSegment(_ number: SegmentNumber) throws(SegmentError) -> SealedSegment? {
        let expected = directory.header(of: number)
        let file = try directory.open(number, .read)
        defer { file.close() }
        guard try SegmentFile.checkHeader(of: file, expected) == .intact,
            let footer = try SegmentFile.footer(of: file, expected)
        else { return nil }
        return SealedSegment(footer)
    }

    /// The name and the store say all that a header does, so a damaged one can be written anew.
    private func repairHeader(
        _ header: SegmentFormat.Header, _ isIntact: Bool, in file: any DiskFile
    ) throws(DiskError) {
        guard !isIntact else { return }
        try SegmentFile.writeBlock(SegmentFormat.encode(header), to: file, at: 0)
    }

    /// Clears what a torn write left behind the last record in its block.
    ///
    /// A block that was synced has zeros there already, and is not touched.
    private func clearPadding(
        from offset: UInt64, in file: any DiskFile, length: UInt64
    ) throws(DiskError) {
        let end = SegmentFormat.wholeBlocks(offset)
        let present = Int(min(end, max(length, offset)) - offset)
        var bytes = [UInt8](repeating: 0, count: present)
        var span = bytes.mutableSpan
        let count = try file.read(into: &span, at: offset)
        guard count < Int(end - offset) || !SegmentFormat.isZero(bytes.span) else { return }
        let zeros = [UInt8](repeating: 0, count: Int(end - offset))
        try file.write(zeros.span, at: offset)
    }

    private func remove(_ number: SegmentNumber) throws(SegmentError) {
        try onDisk("removing the empty segment \(number)") { () throws(DiskError) in
            try directory.disk.remove(directory.path(of: number))
        }
    }
}
