// Part of Cairn, a content-addressed blob store.

/// Fixed-width numbers of the chunker's own encodings, whose lengths are checked beforehand.
extension Span where Element == UInt8 {
    /// The little-endian number at `offset`, which the caller has checked to be in range.
    func chunkerUInt32(at offset: Int) -> UInt32 {
        var value: UInt32 = 0
        for index in 0..<4 {
            value |= UInt32(self[offset + index]) << UInt32(8 * index)
        }
        return value
    }

    /// The little-endian number at `offset`, which the caller has checked to be in range.
    func chunkerUInt64(at offset: Int) -> UInt64 {
        UInt64(chunkerUInt32(at: offset)) | UInt64(chunkerUInt32(at: offset + 4)) << 32
    }
}

extension [UInt8] {
    /// Appends a number in little-endian order.
    mutating func appendChunker(_ value: some FixedWidthInteger & UnsignedInteger) {
        var rest = value
        for _ in 0..<(value.bitWidth / 8) {
            append(UInt8(truncatingIfNeeded: rest))  // The lowest byte is meant.
            rest >>= 8
        }
    }
}
