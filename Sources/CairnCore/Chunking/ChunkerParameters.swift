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
    /// The mean size of a chunk of random bytes, a power of two.
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
            throw CoreError(.invalidArgument, "the chunk sizes contradict each other")
        }
    }

    /// Reads what ``encoded`` wrote.
    ///
    /// - Throws: ``CoreError`` with code `unsupportedVersion` for a later version, or `corrupted`
    ///   for anything else that ``encoded`` does not write.
    package init(decoding bytes: Span<UInt8>) throws(CoreError) {
        var reader = ByteReader(bytes)
        let version = try reader.readUInt8()
        guard version == 1 else {
            throw CoreError(.unsupportedVersion, "chunks of version \(version) are not known")
        }
        try reader.readZeros(3)
        let sizes = try [
            Int(reader.readUInt32()), Int(reader.readUInt32()), Int(reader.readUInt32()),
            Int(reader.readUInt32()),
        ]
        try reader.expectEnd()
        self.init(
            version: version, minByteCount: sizes[0], averageByteCount: sizes[1],
            maxByteCount: sizes[2], opaqueByteCount: sizes[3])
        guard isValid else {
            throw CoreError(.corrupted, "the chunk sizes contradict each other")
        }
    }

    /// The form that is recorded with a blob.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: Self.encodedByteCount)
        writer.append(version)
        writer.appendZeros(3)
        for size in [minByteCount, averageByteCount, maxByteCount, opaqueByteCount] {
            // At most 4 MiB, see `isValid`.
            writer.append(UInt32(size))
        }
        return writer.bytes
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
