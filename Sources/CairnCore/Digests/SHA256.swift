// Part of Cairn, a content-addressed blob store.

internal import COpenSSL
internal import CairnKernels

/// SHA-256 (FIPS 180-4) over bytes that arrive piece by piece.
///
/// A copyable value of about 110 bytes without heap storage: a copy is a fork of the computation.
/// Over OpenSSL's plain state, because a resumable upload has to save it.
public struct SHA256: Sendable {
    private var context = SHA256_CTX()

    /// The state before the first byte.
    public init() { unsafe SHA256_Init(&context) }

    /// Digests more bytes.
    public mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes {
            guard let start = $0.baseAddress else { return }
            unsafe SHA256_Update(&context, start, $0.count)
        }
    }

    /// The digest of all bytes so far.
    ///
    /// Changes nothing: more bytes may follow.
    public func finalized() -> Octets32 {
        var copy = context
        var digest = Octets32()
        var span = digest.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer {
            _ = unsafe SHA256_Final($0.baseAddress, &copy)
        }
        return digest
    }

    /// The digest of `bytes` alone.
    public static func digest(of bytes: Span<UInt8>) -> Octets32 {
        var digest = SHA256()
        digest.update(bytes)
        return digest.finalized()
    }

    /// How many bytes were digested.
    public var byteCount: UInt64 {
        // OpenSSL counts bits, in two words.
        (UInt64(context.Nh) << 32 | UInt64(context.Nl)) >> 3
    }

    /// Digests the same bytes in two computations at once.
    ///
    /// On a processor with SHA instructions both take the time of one. The bytes each has
    /// digested before may differ in number.
    ///
    /// - Complexity: O(*n*); no copy, no allocation.
    package static func update(
        _ first: inout SHA256, _ second: inout SHA256, with bytes: Span<UInt8>
    ) {
        guard cairn_sha256_is_accelerated() else {
            first.update(bytes)
            second.update(bytes)
            return
        }
        let start = min(first.byteCountToBlockEnd, bytes.count)
        let secondStart = min(second.byteCountToBlockEnd, bytes.count)
        first.update(bytes.extracting(0..<start))
        second.update(bytes.extracting(0..<secondStart))
        let blockCount = (bytes.count - max(start, secondStart)) / blockByteCount
        unsafe bytes.withUnsafeBufferPointer {
            // Fewer bytes than a block: then at least one of them has no block to begin with.
            guard blockCount > 0, let base = $0.baseAddress else { return }
            unsafe updatePair(
                &first.context, base + start, &second.context, base + secondStart, blockCount)
        }
        let byteCount = blockCount * blockByteCount
        first.update(bytes.extracting((start + byteCount)...))
        second.update(bytes.extracting((secondStart + byteCount)...))
    }

    /// Overwrites the state of a computation over a secret with zeros; it is of no use then.
    package mutating func wipe() {
        unsafe withUnsafeMutableBytes(of: &context) {
            unsafe OPENSSL_cleanse($0.baseAddress, $0.count)
        }
    }

    // MARK: - Saved state

    // state := version:u8(1) algorithm:u8(1) reserved:u16(0) h:u32[8] byteCount:u64 tail[64]
    //          crc32c:u32
    // `tail` holds the bytes of the unfinished block, then zeros. On disk: never renumber.
    private static let savedStateVersion: UInt8 = 1

    /// The size of ``savedState`` in bytes.
    public static let savedStateByteCount = 4 + 32 + 8 + blockByteCount + 4

    /// Everything needed to go on later, in another process or on another processor.
    ///
    /// From it the bytes of the last, unfinished block can be read.
    public var savedState: [UInt8] {
        var writer = ByteWriter(capacity: Self.savedStateByteCount)
        writer.append(Self.savedStateVersion)
        writer.append(Digest.Algorithm.sha256.rawValue)
        writer.appendZeros(2)
        unsafe withUnsafeBytes(of: context.h) {
            for offset in stride(from: 0, to: $0.count, by: 4) {
                writer.append(unsafe $0.load(fromByteOffset: offset, as: UInt32.self))
            }
        }
        writer.append(byteCount)
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
    /// - Throws: ``CoreError`` with code `corrupted`, or `unsupportedVersion` for a state of a
    ///   later version.
    public init(restoring state: Span<UInt8>) throws(CoreError) {
        self.init()
        var reader = ByteReader(state)
        try reader.readStateHeader(
            version: Self.savedStateVersion, algorithm: .sha256,
            byteCount: Self.savedStateByteCount)
        var words = InlineArray<8, UInt32>(repeating: 0)
        for index in words.indices { words[index] = try reader.readUInt32() }
        let byteCount = try reader.readUInt64()
        // FIPS 180-4: the message has fewer than 2^64 bits.
        guard byteCount < 1 << 61 else {
            throw CoreError(.corrupted, "a saved SHA-256 state counts \(byteCount) bytes")
        }
        let tailByteCount = Int(byteCount % UInt64(Self.blockByteCount))
        let tail = try reader.readBytes(tailByteCount)
        try reader.readZeros(Self.blockByteCount - tailByteCount)
        try reader.readChecksum()
        try reader.expectEnd()
        unsafe withUnsafeMutableBytes(of: &context.h) {
            for index in words.indices {
                unsafe $0.storeBytes(of: words[index], toByteOffset: 4 * index, as: UInt32.self)
            }
        }
        // The tail goes through the update so that OpenSSL alone knows where it keeps it.
        context.setByteCount(byteCount - UInt64(tailByteCount))
        update(tail)
    }

    // MARK: -

    private static let blockByteCount = 64

    private var byteCountToBlockEnd: Int {
        (Self.blockByteCount - Int(context.num)) % Self.blockByteCount
    }

    private static func updatePair(
        _ first: inout SHA256_CTX, _ firstBlocks: UnsafePointer<UInt8>,
        _ second: inout SHA256_CTX, _ secondBlocks: UnsafePointer<UInt8>, _ blockCount: Int
    ) {
        unsafe withUnsafeMutableBytes(of: &first.h) { firstState in
            unsafe withUnsafeMutableBytes(of: &second.h) { secondState in
                unsafe cairn_sha256_blocks_pair(
                    firstState.bindMemory(to: UInt32.self).baseAddress, firstBlocks,
                    secondState.bindMemory(to: UInt32.self).baseAddress, secondBlocks, blockCount)
            }
        }
        let byteCount = UInt64(blockCount * blockByteCount)
        first.setByteCount(first.byteCount + byteCount)
        second.setByteCount(second.byteCount + byteCount)
    }
}

extension SHA256_CTX {
    fileprivate var byteCount: UInt64 { (UInt64(Nh) << 32 | UInt64(Nl)) >> 3 }

    fileprivate mutating func setByteCount(_ byteCount: UInt64) {
        // Bits in two words; the shift drops the three bits that a message never reaches.
        let bitCount = byteCount << 3
        Nl = UInt32(truncatingIfNeeded: bitCount)
        Nh = UInt32(truncatingIfNeeded: bitCount >> 32)
    }
}
