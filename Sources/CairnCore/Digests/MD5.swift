// Part of Cairn, a content-addressed blob store.

internal import COpenSSL

/// MD5 (RFC 1321) over bytes that arrive piece by piece, for clients that insist on it.
///
/// It proves nothing to whoever can choose the bytes: an accident is found, intent is not. A
/// copyable value of about 90 bytes without heap storage.
package struct MD5: Sendable {
    private var context = MD5_CTX()

    /// The size of the digest in bytes.
    package static let byteCount = 16

    /// The state before the first byte.
    package init() { unsafe MD5_Init(&context) }

    /// Digests more bytes.
    package mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes {
            guard let start = $0.baseAddress else { return }
            unsafe MD5_Update(&context, start, $0.count)
        }
    }

    /// The digest of all bytes so far. Changes nothing: more bytes may follow.
    package func finalized() -> [UInt8] {
        var copy = context
        var digest = [UInt8](repeating: 0, count: Self.byteCount)
        var span = digest.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer {
            _ = unsafe MD5_Final($0.baseAddress, &copy)
        }
        return digest
    }

    // MARK: - Saved state

    // state := a:u32 b:u32 c:u32 d:u32 byteCount:u64 tail[64] crc32c:u32
    // `tail` holds the bytes of the unfinished block, then zeros. On disk: never change.

    /// The size of ``savedState`` in bytes.
    package static let savedStateByteCount = 4 * 4 + 8 + blockByteCount + 4

    /// Everything needed to go on later, in another process or on another processor.
    package var savedState: [UInt8] {
        var writer = ByteWriter(capacity: Self.savedStateByteCount)
        for word in [context.A, context.B, context.C, context.D] { writer.append(UInt32(word)) }
        // OpenSSL counts bits, in two words.
        writer.append((UInt64(context.Nh) << 32 | UInt64(context.Nl)) >> 3)
        let tailByteCount = Int(context.num)
        unsafe withUnsafeBytes(of: context.data) {
            writer.append(unsafe [UInt8]($0.prefix(tailByteCount)))
        }
        writer.appendZeros(Self.blockByteCount - tailByteCount)
        writer.appendChecksum()
        return writer.bytes
    }

    /// Goes on from a saved state.
    ///
    /// - Throws: ``CoreError`` with code `corrupted`.
    package init(restoring state: Span<UInt8>) throws(CoreError) {
        self.init()
        var reader = ByteReader(state)
        context.A = try reader.readUInt32()
        context.B = try reader.readUInt32()
        context.C = try reader.readUInt32()
        context.D = try reader.readUInt32()
        let byteCount = try reader.readUInt64()
        let tailByteCount = Int(byteCount % UInt64(Self.blockByteCount))
        let tail = try reader.readBytes(tailByteCount)
        try reader.readZeros(Self.blockByteCount - tailByteCount)
        try reader.readChecksum()
        try reader.expectEnd()
        // The tail goes through the update so that OpenSSL alone knows where it keeps it.
        let bitCount = (byteCount - UInt64(tailByteCount)) << 3
        context.Nl = UInt32(truncatingIfNeeded: bitCount)  // the lower of two words
        context.Nh = UInt32(truncatingIfNeeded: bitCount >> 32)  // the upper one
        update(tail)
    }

    private static let blockByteCount = 64
}
