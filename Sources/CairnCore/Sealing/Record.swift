// Part of Cairn, a content-addressed blob store.

/// What can be said about a whole record without any key.
package enum Record {
    /// Checks everything that scrub, replication and compaction can check: the header, both
    /// checksums and the filling.
    ///
    /// - Parameter record: Exactly one record.
    /// - Throws: ``CoreError`` with code `corrupted`, or `unsupportedVersion` when the header is
    ///   intact and of a later version.
    @discardableResult
    package static func verifyChecksums(
        _ record: Span<UInt8>
    ) throws(CoreError) -> RecordHeader {
        let header = try RecordHeader(parsing: record)
        guard record.count == header.recordByteCount else {
            throw CoreError(
                .corrupted,
                "a record of \(header.recordByteCount) bytes comes as \(record.count) bytes")
        }
        let end = tagOffset(header) + AES256GCM.tagByteCount
        let checksum = CRC32C.checksum(record.extracting(header.byteCount..<end))
        guard record.littleEndian(UInt32.self, at: end) == checksum else {
            throw CoreError(.corrupted, "a record's payload does not match its checksum")
        }
        for offset in end + RecordHeader.checksumByteCount..<record.count
        where record[offset] != 0 {
            throw CoreError(.corrupted, "a record's filling is not zero")
        }
        return header
    }

    /// Where the last frame's tag is.
    static func tagOffset(_ header: RecordHeader) -> Int {
        header.byteCount + header.payloadByteCount
    }

    /// Where the tag of any frame is.
    static func tagRange(
        _ header: RecordHeader, _ frames: RecordFrames, _ index: Int
    ) -> Range<Int> {
        let offset = header.byteCount + frames.payloadRange(index).upperBound
        return offset..<offset + AES256GCM.tagByteCount
    }

    /// Where a frame without its tag is.
    static func frameRange(
        _ header: RecordHeader, _ frames: RecordFrames, _ index: Int
    ) -> Range<Int> {
        let range = frames.payloadRange(index)
        return header.byteCount + range.lowerBound..<header.byteCount + range.upperBound
    }

    /// Writes the header up to its suite's field, which stays as it is.
    static func write(_ header: RecordHeader, into out: inout MutableSpan<UInt8>) {
        out.setLittleEndian(RecordHeader.magic, at: 0)
        out[RecordHeader.typeOffset] = header.type.rawValue
        out[RecordHeader.suiteOffset] = header.suite.rawValue
        out[RecordHeader.codecOffset] = header.codec.rawValue
        out[RecordHeader.flagsOffset] = 0
        out.setLittleEndian(header.keySlot, at: RecordHeader.keySlotOffset)
        // Both counts are at most a little above plaintextByteCountMax.
        out.setLittleEndian(
            UInt32(header.plaintextByteCount), at: RecordHeader.plaintextByteCountOffset)
        out.setLittleEndian(
            UInt32(header.payloadByteCount), at: RecordHeader.payloadByteCountOffset)
        out.copy(header.name.span, to: RecordHeader.nameOffset)
    }

    /// Writes what follows from the bytes before: the payload's checksum and the filling.
    static func finish(_ header: RecordHeader, in out: inout MutableSpan<UInt8>) {
        let end = tagOffset(header) + AES256GCM.tagByteCount
        let checksum = CRC32C.checksum(out.span.extracting(header.byteCount..<end))
        out.setLittleEndian(checksum, at: end)
        out.zero(end + RecordHeader.checksumByteCount..<out.count)
    }
}

/// What a frame is bound to: all of the header before its checksum, the scope, and one more name.
struct AssociatedData {
    // aad := header before its checksum ‖ storeID[16] ‖ ownerID[16] ‖ binding[32] ‖ frame:u32
    private var bytes = InlineArray<184, UInt8>(repeating: 0)
    private let byteCount: Int

    init(_ header: Span<UInt8>, _ scope: RecordScope, _ binding: Octets32) {
        byteCount = header.count + 16 + 16 + 32 + 4
        var span = bytes.mutableSpan
        span.copy(header)
        span.copy(scope.storeID.span, to: header.count)
        span.copy(scope.ownerID.span, to: header.count + 16)
        span.copy(binding.span, to: header.count + 32)
    }

    mutating func setFrame(_ index: Int) {
        var span = bytes.mutableSpan
        span.setLittleEndian(UInt32(index), at: byteCount - 4)
    }

    var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(0..<byteCount) }
    }
}
