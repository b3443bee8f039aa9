// Part of Cairn, a content-addressed blob store.

internal import COpenSSL

/// SHA-512 (FIPS 180-4) over bytes that arrive piece by piece.
///
/// A copyable value of about 220 bytes without heap storage: a copy is a fork of the computation.
public struct SHA512: Sendable {
    private var context = SHA512_CTX()

    /// The size of the digest in bytes.
    public static let byteCount = 64

    /// The state before the first byte.
    public init() { unsafe SHA512_Init(&context) }

    /// Digests more bytes.
    public mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes {
            guard let start = $0.baseAddress else { return }
            unsafe SHA512_Update(&context, start, $0.count)
        }
    }

    /// The 64 bytes of the digest of all bytes so far.
    ///
    /// Changes nothing: more bytes may follow.
    public func finalized() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Self.byteCount)
        var span = digest.mutableSpan
        finalize(into: &span)
        return digest
    }

    /// Writes the digest of all bytes so far to the first 64 bytes of `output`.
    ///
    /// - Precondition: `output.count >= 64`.
    package func finalize(into output: inout MutableSpan<UInt8>) {
        precondition(output.count >= Self.byteCount)
        var copy = self
        unsafe output.withUnsafeMutableBufferPointer {
            _ = unsafe SHA512_Final($0.baseAddress, &copy.context)
        }
        copy.wipe()
    }

    /// How many bytes were digested.
    public var byteCount: UInt64 {
        // OpenSSL counts bits, in two words; fewer than 2^64 bytes fit into this count.
        context.Nh << 61 | context.Nl >> 3
    }

    /// Overwrites the state of a computation over a secret with zeros; it is of no use then.
    package mutating func wipe() {
        unsafe withUnsafeMutableBytes(of: &context) {
            unsafe OPENSSL_cleanse($0.baseAddress, $0.count)
        }
    }

    // MARK: - Saved state

    // state := version:u8(1) algorithm:u8(2) reserved:u16(0) h:u64[8] byteCount:u64 tail[128]
    //          crc32c:u32
    // `tail` holds the bytes of the unfinished block, then zeros. On disk: never renumber.
    private static let savedStateVersion: UInt8 = 1

    /// The size of ``savedState`` in bytes.
    public static let savedStateByteCount = 4 + 64 + 8 + blockByteCount + 4

    /// Everything needed to go on later, in another process or on another processor.
    ///
    /// From it the bytes of the last, unfinished block can be read.
    public var savedState: [UInt8] {
        var writer = ByteWriter(capacity: Self.savedStateByteCount)
        writer.append(Self.savedStateVersion)
        writer.append(Digest.Algorithm.sha512.rawValue)
        writer.appendZeros(2)
        unsafe withUnsafeBytes(of: context.h) {
            for offset in stride(from: 0, to: $0.count, by: 8) {
                writer.append(unsafe $0.load(fromByteOffset: offset, as: UInt64.self))
            }
        }
        writer.append(byteCount)
        let tailByteCount = Int(context.num)
        unsafe withUnsafeBytes(of: context.u) {
            writer.append(unsafe [UInt8]($0.prefix(tailByteCount)))
        }
        writer.appendZeros(Self.blockByteCount - tailByteCount)
        writer.appendChecksum()
        return writer.bytes
    }

    /// Goes on from a saved state.
    ///
    /// - Throws: ``CoreError`` with code `corrupted`, or `unsupportedVersion` for a state of a
    ///   later version.
    public init(restoring state: Span<UInt8>) throws(CoreError) {
        self.init()
        var reader = ByteReader(state)
        try reader.readStateHeader(
            version: Self.savedStateVersion, algorithm: .sha512,
            byteCount: Self.savedStateByteCount)
        var words = InlineArray<8, UInt64>(repeating: 0)
        for index in words.indices { words[index] = try reader.readUInt64() }
        let byteCount = try reader.readUInt64()
        let tailByteCount = Int(byteCount % UInt64(Self.blockByteCount))
        let tail = try reader.readBytes(tailByteCount)
        try reader.readZeros(Self.blockByteCount - tailByteCount)
        try reader.readChecksum()
        try reader.expectEnd()
        unsafe withUnsafeMutableBytes(of: &context.h) {
            for index in words.indices {
                unsafe $0.storeBytes(of: words[index], toByteOffset: 8 * index, as: UInt64.self)
            }
        }
        // The tail goes through the update so that OpenSSL alone knows where it keeps it.
        let wholeByteCount = byteCount - UInt64(tailByteCount)
        context.Nl = wholeByteCount << 3
        context.Nh = wholeByteCount >> 61
        update(tail)
    }

    // MARK: -

    static let blockByteCount = 128
}
