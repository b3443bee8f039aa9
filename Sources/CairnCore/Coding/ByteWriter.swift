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

    /// Appends a number of fixed width, least significant byte first.
    package mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        // Each step keeps the lowest byte of what is left.
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
        }
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
