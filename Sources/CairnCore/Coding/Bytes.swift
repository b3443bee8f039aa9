// Part of Cairn, a content-addressed blob store.

extension [UInt8] {
    /// Copies a view into an array of its own.
    package init(copying bytes: Span<UInt8>) {
        self = unsafe bytes.withUnsafeBufferPointer { unsafe [UInt8]($0) }
    }

    /// Appends a copy of the bytes of a view.
    package mutating func append(contentsOf bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }
}

extension Span<UInt8> {
    /// The eight bytes at `offset` as one little-endian number.
    ///
    /// - Precondition: `offset + 8 <= count`.
    package func littleEndianWord(at offset: Int) -> UInt64 {
        littleEndian(UInt64.self, at: offset)
    }

    /// The bytes at `offset` as one little-endian number.
    ///
    /// - Precondition: `offset` plus the width of the number does not exceed `count`.
    package func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type, at offset: Int
    ) -> Value {
        precondition(offset >= 0)
        precondition(offset <= count - MemoryLayout<Value>.size)
        let value = unsafe withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: offset, as: type)
        }
        return Value(littleEndian: value)
    }

    /// The bytes in lower-case hexadecimal digits.
    package var hex: String {
        unsafe String(unsafeUninitializedCapacity: 2 * count) { buffer in
            for index in indices {
                unsafe buffer[2 * index] = Self.digit(self[index] >> 4)
                unsafe buffer[2 * index + 1] = Self.digit(self[index] & 15)
            }
            return 2 * count
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Whether both views hold the same bytes; stops early, so it is not for secrets.
    package func hasSameBytes(as other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        return unsafe withUnsafeBufferPointer { left in
            unsafe other.withUnsafeBufferPointer { right in unsafe left.elementsEqual(right) }
        }
    }
}

extension MutableSpan<UInt8> {
    /// A mutable view of a part, for as long as this one is not used.
    @_lifetime(&self)
    package mutating func part(_ range: Range<Int>) -> MutableSpan<UInt8> {
        _mutatingExtracting(range)
    }

    /// Copies all of `bytes` to `offset`.
    ///
    /// - Precondition: `offset + bytes.count <= count`.
    @_lifetime(self: copy self)
    package mutating func copy(_ bytes: Span<UInt8>, to offset: Int = 0) {
        precondition(offset >= 0)
        precondition(bytes.count <= count - offset)
        guard bytes.count > 0 else { return }
        unsafe bytes.withUnsafeBytes { source in
            unsafe withUnsafeMutableBytes { target in
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset...])
                    .copyMemory(from: source)
            }
        }
    }

    /// Writes a number at `offset`, least significant byte first.
    ///
    /// - Precondition: `offset` plus the width of the number does not exceed `count`.
    @_lifetime(self: copy self)
    package mutating func setLittleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value, at offset: Int
    ) {
        precondition(offset >= 0)
        precondition(offset <= count - MemoryLayout<Value>.size)
        unsafe withUnsafeMutableBytes {
            unsafe $0.storeBytes(
                of: value.littleEndian, toByteOffset: offset, as: Value.self)
        }
    }

    /// Overwrites a range with zeros.
    ///
    /// A compiler may drop it: secrets need ``wipe(_:)``.
    @_lifetime(self: copy self)
    package mutating func zero(_ range: Range<Int>) {
        for index in range { self[index] = 0 }
    }
}
