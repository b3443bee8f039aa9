// Part of Cairn, a content-addressed blob store.

/// Builds the little-endian form of a structure, field after field.
///
/// A value: not to be shared while it is being written.
package struct ByteWriter: Sendable {
    /// Everything written so far.
    package private(set) var bytes: [UInt8] = []

    /// An empty writer with room for `capacity` bytes.
    package init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// How many bytes were written.
    package var byteCount: Int { bytes.count }

    // One for each width: what is generic is not specialised for callers in other modules, and then
    // costs a hundred times as much.

    /// Appends a byte.
    package mutating func append(_ value: UInt8) { bytes.append(value) }
    /// Appends a number, least significant byte first.
    package mutating func append(_ value: UInt16) { appendLittleEndian(value) }
    /// Appends a number, least significant byte first.
    package mutating func append(_ value: UInt32) { appendLittleEndian(value) }
    /// Appends a number, least significant byte first.
    package mutating func append(_ value: UInt64) { appendLittleEndian(value) }
    /// Appends a number, least significant byte first.
    package mutating func append(_ value: UInt128) { appendLittleEndian(value) }
    /// Appends a number, least significant byte first.
    package mutating func append(_ value: Int64) { appendLittleEndian(UInt64(bitPattern: value)) }

    @inline(__always)
    private mutating func appendLittleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value
    ) {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    /// Appends bytes without their count.
    package mutating func append(_ span: Span<UInt8>) { bytes.append(contentsOf: span) }

    /// Appends bytes without their count.
    package mutating func append(_ array: [UInt8]) { bytes.append(contentsOf: array) }

    /// Appends an identifier.
    package mutating func append(_ octets: Octets16) { bytes.append(contentsOf: octets.span) }

    /// Appends a digest or a name.
    package mutating func append(_ octets: Octets32) { bytes.append(contentsOf: octets.span) }

    /// Appends the count of the bytes as u32, then the bytes.
    ///
    /// - Precondition: fewer than 2^32 bytes.
    package mutating func appendLengthPrefixed(_ span: Span<UInt8>) {
        append(UInt32(span.count))
        append(span)
    }

    /// Appends the count of the bytes as u32, then the bytes.
    package mutating func appendLengthPrefixed(_ array: [UInt8]) {
        appendLengthPrefixed(array.span)
    }

    /// Appends the count of the UTF-8 bytes as u32, then the bytes.
    package mutating func appendLengthPrefixed(_ text: String) {
        appendLengthPrefixed([UInt8](text.utf8))
    }

    /// Appends `count` zero bytes.
    package mutating func appendZeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Appends the CRC32C of everything written so far as u32.
    package mutating func appendChecksum() { append(CRC32C.checksum(bytes.span)) }
}
