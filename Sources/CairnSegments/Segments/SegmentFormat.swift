// Part of Cairn, a content-addressed blob store.

// segment := header block* footer?         (no footer: not sealed, recovered by scanning)
// header  := magic:"CAIRNSEG" version:u32 number:u32 storeID[16] zero[4060] crc32c:u32
// footer  := magic:"CAIRNEND" version:u32 number:u32 storeID[16] flags:u32 zero[4]
//            recordCount:u64 endOffset:u64 zero[4036] crc32c:u32
// Between them, in flushes that start and end at a multiple of 4096:
// flush   := (record | void)+ zero[0...4095]
// void    := magic:"CRNV" byteCount:u32 crc32c:u32 zero[byteCount - 12]
// record  := see CairnCore; byteCount a multiple of 8, as that of a void
// All numbers are little-endian; each CRC32C covers everything before it in its structure.

internal import CairnCore

/// The bytes of a segment that are not records.
enum SegmentFormat {
    /// The unit in which a segment is written.
    ///
    /// On disk: never change.
    static let blockByteCount = DiskOpenMode.blockByteCount

    /// What every record and every void starts at a multiple of.
    ///
    /// On disk: never change.
    static let alignment = 8

    /// The smallest range that a void can fill.
    static let voidByteCountMin = 16

    /// The longest record that this version reads: the largest chunk of 4 MiB with all framing.
    static let recordByteCountMax = (4 << 20) + (64 << 10)

    /// The first byte behind the header.
    static let contentOffset = UInt64(blockByteCount)

    /// On disk: never renumber.
    static let version: UInt32 = 1

    // "CAIRNSEG", "CAIRNEND" and "CRNV" in ASCII, read as little-endian numbers.
    private static let headerMagic: UInt64 = 0x4745_534E_5249_4143
    private static let footerMagic: UInt64 = 0x444E_454E_5249_4143
    private static let voidMagic: UInt32 = 0x564E_5243

    /// "CRN1" of the records.
    static let recordMagic: UInt32 = 0x314E_5243

    /// Whether a record, a void or a footer may begin with these four bytes.
    static func beginsFrame(_ word: UInt32) -> Bool {
        // The lowest four bytes of the footer's magic.
        word == recordMagic || word == voidMagic || word == UInt32(truncatingIfNeeded: footerMagic)
    }

    /// The name of a segment's file.
    static func fileName(_ number: SegmentNumber) -> String { "\(number).segment" }

    /// The number in the name of a segment's file; nil for every other name.
    static func number(ofFile name: String) -> SegmentNumber? {
        guard name.hasSuffix(".segment"), name.utf8.count == 16,
            let value = UInt32(name.prefix(8), radix: 16), value > 0,
            fileName(SegmentNumber(value)) == name
        else { return nil }
        return SegmentNumber(value)
    }

    /// The smallest multiple of the block that is not below a length.
    static func wholeBlocks(_ byteCount: Int) -> Int {
        (byteCount + blockByteCount - 1) / blockByteCount * blockByteCount
    }

    /// The smallest multiple of the block that is not below an offset.
    static func wholeBlocks(_ offset: UInt64) -> UInt64 {
        let block = UInt64(blockByteCount)
        return (offset + block - 1) / block * block
    }
}

// MARK: - Header

extension SegmentFormat {
    /// Who a segment belongs to.
    struct Header: Hashable {
        let number: SegmentNumber
        let storeID: Octets16
    }

    static func encode(_ header: Header) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(headerMagic)
        append(header, to: &writer)
        return block(writer)
    }

    static func decodeHeader(_ block: Span<UInt8>) throws(CoreError) -> Header {
        var reader = ByteReader(block)
        try checkBlock(block)
        guard try reader.readUInt64() == headerMagic else {
            throw CoreError(.corrupted, "this is no header of a segment")
        }
        let header = try readHeader(&reader)
        try checkRest(block, from: reader.offset)
        return header
    }
}

// MARK: - Footer

extension SegmentFormat {
    /// What a sealed segment says of itself.
    struct Footer: Hashable {
        let header: Header
        /// Whether recovery sealed the segment.
        let isRecovered: Bool
        let recordCount: UInt64
        /// Where the footer lies: the end of all flushes.
        let endOffset: UInt64

        /// On disk: never renumber.
        static let recoveredFlag: UInt32 = 1
    }

    static func encode(_ footer: Footer) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(footerMagic)
        append(footer.header, to: &writer)
        writer.append(footer.isRecovered ? Footer.recoveredFlag : UInt32(0))
        writer.append(UInt32(0))
        writer.append(footer.recordCount)
        writer.append(footer.endOffset)
        return block(writer)
    }

    static func decodeFooter(_ block: Span<UInt8>) throws(CoreError) -> Footer {
        var reader = ByteReader(block)
        try checkBlock(block)
        guard try reader.readUInt64() == footerMagic else {
            throw CoreError(.corrupted, "this is no footer of a segment")
        }
        let header = try readHeader(&reader)
        let flags = try reader.readUInt32()
        guard flags & ~Footer.recoveredFlag == 0 else {
            throw CoreError(.corrupted, "the footer of a segment has unknown flags")
        }
        try reader.readZeros(4)
        let footer = try Footer(
            header: header, isRecovered: flags & Footer.recoveredFlag != 0,
            recordCount: reader.readUInt64(), endOffset: reader.readUInt64())
        try checkRest(block, from: reader.offset)
        return footer
    }
}

// MARK: - Void

extension SegmentFormat {
    /// Overwrites a reserved range that was not filled.
    ///
    /// - Precondition: at least ``voidByteCountMin`` bytes.
    static func fillVoid(_ bytes: inout MutableSpan<UInt8>) {
        bytes.zero(0..<bytes.count)
        bytes.setLittleEndian(voidMagic, at: 0)
        // An append is limited to far less than 4 GiB.
        bytes.setLittleEndian(UInt32(bytes.count), at: 4)
        bytes.setLittleEndian(CRC32C.checksum(bytes.span.extracting(0..<8)), at: 8)
    }

    /// The length of the void that begins here; nil when none does.
    static func voidByteCount(_ bytes: Span<UInt8>) -> Int? {
        guard bytes.count >= voidByteCountMin,
            bytes.littleEndian(UInt32.self, at: 0) == voidMagic,
            bytes.littleEndian(UInt32.self, at: 8) == CRC32C.checksum(bytes.extracting(0..<8))
        else { return nil }
        let byteCount = Int(bytes.littleEndian(UInt32.self, at: 4))
        guard byteCount >= voidByteCountMin, byteCount % alignment == 0 else { return nil }
        return byteCount
    }

    /// Whether a whole void is as it was written; its header is known to be.
    static func isIntactVoid(_ bytes: Span<UInt8>) -> Bool { isZero(bytes, from: 12) }

    /// Whether all bytes from `start` on are zero.
    static func isZero(_ bytes: Span<UInt8>, from start: Int = 0) -> Bool {
        var index = start
        while index < bytes.count, index % 8 != 0 {
            if bytes[index] != 0 { return false }
            index += 1
        }
        while index + 8 <= bytes.count {
            if bytes.littleEndianWord(at: index) != 0 { return false }
            index += 8
        }
        while index < bytes.count {
            if bytes[index] != 0 { return false }
            index += 1
        }
        return true
    }
}

// MARK: - Parts

extension SegmentFormat {
    private static func append(_ header: Header, to writer: inout ByteWriter) {
        writer.append(version)
        writer.append(header.number.rawValue)
        writer.append(header.storeID)
    }

    /// A block that begins with some fields and ends with its checksum.
    private static func block(_ fields: ByteWriter) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockByteCount)
        var span = block.mutableSpan
        let end = blockByteCount - 4
        span.copy(fields.bytes.span)
        span.setLittleEndian(CRC32C.checksum(span.span.extracting(0..<end)), at: end)
        return block
    }

    private static func checkBlock(_ block: Span<UInt8>) throws(CoreError) {
        let end = blockByteCount - 4
        guard block.count == blockByteCount,
            block.littleEndian(UInt32.self, at: end)
                == CRC32C.checksum(block.extracting(0..<end))
        else { throw CoreError(.corrupted, "a block of a segment does not match its checksum") }
    }

    /// Checks that nothing but zeros lies between the fields and the checksum.
    private static func checkRest(_ block: Span<UInt8>, from start: Int) throws(CoreError) {
        guard isZero(block.extracting(start..<blockByteCount - 4)) else {
            throw CoreError(.corrupted, "a reserved byte of a segment is not zero")
        }
    }

    @_lifetime(reader: copy reader)
    private static func readHeader(_ reader: inout ByteReader) throws(CoreError) -> Header {
        let found = try reader.readUInt32()
        guard found == version else {
            throw CoreError(
                .unsupportedVersion,
                "a segment has version \(found); this program knows \(version)")
        }
        let number = try SegmentNumber(reader.readUInt32())
        return try Header(number: number, storeID: reader.readOctets16())
    }
}
