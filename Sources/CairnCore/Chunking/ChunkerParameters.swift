// Part of Cairn, a content-addressed blob store.

// parameters := version:u8(1) reserved:u8(0)[3] minimum:u32 average:u32 maximum:u32 opaque:u32

/// The sizes that govern where a blob is cut.
///
/// They are recorded with what was cut by them: two blobs share chunks only when both were cut by
/// the same version with the same sizes.
package struct ChunkerParameters: Sendable, Hashable {
    /// The version of the definition of boundaries.
    package let version: UInt8
    /// No content-defined boundary lies nearer than this to the start of its chunk.
    package let minByteCount: Int
    /// The mean size of a chunk of random bytes. A power of two.
    package let averageByteCount: Int
    /// A chunk that is cut by content is never larger than this.
    package let maxByteCount: Int
    /// The size of every chunk of an opaque blob but the last.
    package let opaqueByteCount: Int

    /// The sizes that every store uses.
    ///
    /// 4, 16 and 64 KiB: on image layers smaller chunks find more duplicates, but below this each
    /// halving costs more in index entries and records than it saves.
    package static let version1 = ChunkerParameters(
        version: 1, minByteCount: 4 << 10, averageByteCount: 16 << 10, maxByteCount: 64 << 10,
        opaqueByteCount: 1 << 20)

    /// Makes parameters of other sizes.
    ///
    /// Tests use small ones, so that rare cuts become common ones.
    ///
    /// - Throws: ``CoreError`` with code `invalidArgument` when the sizes break a rule of
    ///   ``isValid``.
    package init(
        minByteCount: Int, averageByteCount: Int, maxByteCount: Int, opaqueByteCount: Int
    ) throws(CoreError) {
        self.init(
            version: 1, minByteCount: minByteCount, averageByteCount: averageByteCount,
            maxByteCount: maxByteCount, opaqueByteCount: opaqueByteCount)
        guard isValid else {
            throw CoreError(.invalidArgument, "The chunk sizes contradict each other.")
        }
    }

    /// Reads what ``encoded`` wrote.
    ///
    /// - Throws: ``CoreError`` with code `unsupportedVersion` for a later version, or `corrupted`
    ///   for anything else that ``encoded`` does not write.
    package init(decoding bytes: Span<UInt8>) throws(CoreError) {
        guard bytes.count > 0, bytes[0] == 1 else {
            throw bytes.count == 0
                ? CoreError(.corrupted, "The chunk sizes are missing.")
                : CoreError(.unsupportedVersion, "Chunks of version \(bytes[0]) are not known.")
        }
        guard bytes.count == Self.encodedByteCount,
            bytes[1] == 0, bytes[2] == 0, bytes[3] == 0
        else {
            throw CoreError(.corrupted, "The chunk sizes are not well-formed.")
        }
        self.init(
            version: 1,
            minByteCount: Int(bytes.chunkerUInt32(at: 4)),
            averageByteCount: Int(bytes.chunkerUInt32(at: 8)),
            maxByteCount: Int(bytes.chunkerUInt32(at: 12)),
            opaqueByteCount: Int(bytes.chunkerUInt32(at: 16)))
        guard isValid else {
            throw CoreError(.corrupted, "The chunk sizes contradict each other.")
        }
    }

    /// The form that is recorded with a blob.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = [version, 0, 0, 0]
        for size in [minByteCount, averageByteCount, maxByteCount, opaqueByteCount] {
            // At most 4 MiB, see `isValid`.
            bytes.appendChunker(UInt32(truncatingIfNeeded: size))
        }
        return bytes
    }

    /// The number of bytes of ``encoded``.
    package static let encodedByteCount = 20

    /// The largest size allowed anywhere: the limit of a record's plaintext.
    package static let byteCountMax = 4 << 20

    // MARK: - What follows from the sizes

    /// A file in a tar archive that has at least this size begins and ends a chunk of its own.
    var ownChunkByteCount: Int { minByteCount }

    /// Below this position a boundary needs ``strictThreshold``, from it on ``looseThreshold``.
    ///
    /// 586 / 1024 of the average past the minimum makes the mean size of random chunks equal to
    /// the average, when the minimum is a quarter of it and the maximum four times.
    var normalByteCount: Int { minByteCount + averageByteCount * 586 / 1024 }

    /// A boundary for one window in four times the average.
    var strictThreshold: UInt64 { 0 &- (UInt64.max / UInt64(4 * averageByteCount) &+ 1) }

    /// A boundary for one window in a quarter of the average.
    var looseThreshold: UInt64 { 0 &- (UInt64.max / UInt64(averageByteCount / 4) &+ 1) }

    private init(
        version: UInt8, minByteCount: Int, averageByteCount: Int, maxByteCount: Int,
        opaqueByteCount: Int
    ) {
        self.version = version
        self.minByteCount = minByteCount
        self.averageByteCount = averageByteCount
        self.maxByteCount = maxByteCount
        self.opaqueByteCount = opaqueByteCount
    }

    private var isValid: Bool {
        // A tar header never straddles a cut, which therefore may come this much before the
        // maximum and must still not come before the minimum.
        minByteCount >= 16 && minByteCount <= averageByteCount
            && averageByteCount.nonzeroBitCount == 1 && averageByteCount >= 64
            && maxByteCount >= averageByteCount
            && maxByteCount >= minByteCount + TarHeader.byteCount
            && maxByteCount <= Self.byteCountMax
            && opaqueByteCount >= 1 && opaqueByteCount <= Self.byteCountMax
    }
}
