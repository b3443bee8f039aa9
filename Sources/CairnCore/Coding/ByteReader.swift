// Part of Cairn, a content-addressed blob store.

/// Reads the little-endian form of a structure, field after field, and never past its end.
///
/// Every read throws ``CoreError`` with code `corrupted` when the bytes do not suffice; a failed
/// read consumes nothing. Borrows the bytes; use it within one function.
package struct ByteReader: ~Escapable {
    private let bytes: Span<UInt8>

    /// How many bytes were read.
    package private(set) var offset = 0

    /// Starts at the first byte.
    @_lifetime(copy bytes)
    package init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    /// How many bytes are left.
    package var remainingByteCount: Int { bytes.count - offset }

    /// Reads one byte.
    @_lifetime(self: copy self)
    package mutating func readUInt8() throws(CoreError) -> UInt8 { try read(UInt8.self) }

    /// Reads a number of two bytes.
    @_lifetime(self: copy self)
    package mutating func readUInt16() throws(CoreError) -> UInt16 { try read(UInt16.self) }

    /// Reads a number of four bytes.
    @_lifetime(self: copy self)
    package mutating func readUInt32() throws(CoreError) -> UInt32 { try read(UInt32.self) }

    /// Reads a number of eight bytes.
    @_lifetime(self: copy self)
    package mutating func readUInt64() throws(CoreError) -> UInt64 { try read(UInt64.self) }

    /// Reads a signed number of eight bytes.
    @_lifetime(self: copy self)
    package mutating func readInt64() throws(CoreError) -> Int64 { try read(Int64.self) }

    /// Reads a number of sixteen bytes.
    @_lifetime(self: copy self)
    package mutating func readUInt128() throws(CoreError) -> UInt128 {
        let low = try readUInt64()
        return UInt128(try readUInt64()) << 64 | UInt128(low)
    }

    /// Reads `count` bytes as a view into what is being read.
    @_lifetime(copy self)
    package mutating func readBytes(_ count: Int) throws(CoreError) -> Span<UInt8> {
        try require(count)
        defer { offset += count }
        return bytes.extracting(offset..<offset + count)
    }

    /// Reads a count as u32, at most `limit`, then that many bytes.
    @_lifetime(copy self)
    package mutating func readLengthPrefixed(limit: Int) throws(CoreError) -> Span<UInt8> {
        let start = offset
        let count = try Int(readUInt32())
        guard count <= limit, count <= remainingByteCount else {
            offset = start
            throw CoreError(.corrupted, "a field of \(count) bytes exceeds its limit or its end")
        }
        return try readBytes(count)
    }

    /// Reads a count as u32, at most `limit` bytes, then valid UTF-8.
    @_lifetime(self: copy self)
    package mutating func readString(limit: Int) throws(CoreError) -> String {
        let start = offset
        let text = try [UInt8](copying: readLengthPrefixed(limit: limit))
        guard let string = String(validating: text, as: UTF8.self) else {
            offset = start
            throw CoreError(.corrupted, "a text field is not UTF-8")
        }
        return string
    }

    /// Reads an identifier.
    @_lifetime(self: copy self)
    package mutating func readOctets16() throws(CoreError) -> Octets16 {
        try Octets16(readBytes(Octets16.byteCount))
    }

    /// Reads a digest or a name.
    @_lifetime(self: copy self)
    package mutating func readOctets32() throws(CoreError) -> Octets32 {
        try Octets32(readBytes(Octets32.byteCount))
    }

    /// Reads `count` reserved bytes, each of which must be zero.
    @_lifetime(self: copy self)
    package mutating func readZeros(_ count: Int) throws(CoreError) {
        try require(count)
        for index in offset..<offset + count where bytes[index] != 0 {
            throw CoreError(.corrupted, "a reserved byte is not zero")
        }
        offset += count
    }

    /// Reads the CRC32C of everything before it, as u32, and compares.
    @_lifetime(self: copy self)
    package mutating func readChecksum() throws(CoreError) {
        let expected = CRC32C.checksum(bytes.extracting(0..<offset))
        guard try readUInt32() == expected else {
            offset -= 4
            throw CoreError(.corrupted, "a structure does not match its checksum")
        }
    }

    /// Checks that no bytes are left.
    package func expectEnd() throws(CoreError) {
        guard remainingByteCount == 0 else {
            throw CoreError(.corrupted, "\(remainingByteCount) bytes follow a structure's end")
        }
    }

    // MARK: -

    @_lifetime(self: copy self)
    private mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type
    ) throws(CoreError) -> Value {
        try require(MemoryLayout<Value>.size)
        defer { offset += MemoryLayout<Value>.size }
        return bytes.littleEndian(type, at: offset)
    }

    private func require(_ count: Int) throws(CoreError) {
        guard count >= 0, count <= remainingByteCount else {
            throw CoreError(
                .corrupted, "\(count) bytes are needed where \(remainingByteCount) are left")
        }
    }
}
