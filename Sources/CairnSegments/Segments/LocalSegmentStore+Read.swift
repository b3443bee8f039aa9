// Part of Cairn, a content-addressed blob store.

package import CairnCore

extension LocalSegmentStore {
    package func read(
        _ location: RecordLocation, into bytes: inout MutableSpan<UInt8>
    ) throws(SegmentError) {
        guard bytes.count == Int(location.byteCount) else {
            throw SegmentError(
                .invalidArgument, "\(bytes.count) bytes of room for \(location.byteCount)")
        }
        guard location.offset % UInt64(SegmentFormat.alignment) == 0 else {
            throw SegmentError(.locationInvalid, "no record lies at \(location.offset)")
        }
        try read(segment: location.segment, offset: location.offset, into: &bytes)
    }

    package func read(
        segment: SegmentNumber, offset: UInt64, into bytes: inout MutableSpan<UInt8>
    ) throws(SegmentError) {
        let (end, overflows) = offset.addingReportingOverflow(UInt64(bytes.count))
        guard offset >= SegmentFormat.contentOffset, !overflows else {
            throw SegmentError(.locationInvalid, "no record lies at \(offset)")
        }
        var position = offset
        while position < end {
            let rest = position..<end
            let source = try monitor.wait { (state) throws(SegmentError) in
                try state.source(segment, rest)
            }
            let start = Int(position - offset)
            switch source {
            case .unknown:
                try loadIfUnknown(segment)
            case .memory(let memory, let range, let sequence):
                defer { monitor.update { $0.endReading(sequence) } }
                memory.withSpan(range) { bytes.copy($0, to: start) }
                position += UInt64(range.count)
            case .file(let byteCount):
                var part = bytes.part(start..<start + byteCount)
                try read(segment, position, into: &part)
                position += UInt64(byteCount)
            }
        }
    }

    package func scan(
        _ segment: SegmentNumber,
        _ body: (RecordHeader, RecordLocation, Span<UInt8>) throws(SegmentError) -> Void
    ) throws(SegmentError) -> SegmentScanReport {
        try loadIfUnknown(segment)
        let (known, end) = try monitor.withLock { (state) throws(SegmentError) in
            try state.requireOpen()
            guard let known = state.segments[segment], let end = state.endOffset(of: segment)
            else { throw SegmentError(.segmentUnknown, "there is no segment \(segment)") }
            return (known, end)
        }
        if case .sealed = known { return try scanSealed(segment, body) }
        // Through the buffers, since the last records may be only there.
        var scanner = SegmentScanner(end: end) { (bytes, offset) throws(SegmentError) in
            try self.read(segment: segment, offset: offset, into: &bytes)
        }
        return try scanner.scan(segment, body)
    }

    // MARK: -

    private func read(
        _ segment: SegmentNumber, _ offset: UInt64, into bytes: inout MutableSpan<UInt8>
    ) throws(SegmentError) {
        let file = try unlessDeleted(segment) { () throws(SegmentError) in
            try readFiles.file(segment)
        }
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

    /// Walks through a file past the page cache, which has better uses than bytes read once.
    private func scanSealed(
        _ segment: SegmentNumber,
        _ body: (RecordHeader, RecordLocation, Span<UInt8>) throws(SegmentError) -> Void
    ) throws(SegmentError) -> SegmentScanReport {
        let file = try unlessDeleted(segment) { () throws(SegmentError) in
            try directory.open(segment, .read.bypassingCache)
        }
        defer { file.close() }
        return try SegmentFile.scanSealed(file, directory.header(of: segment), body)
    }
}
