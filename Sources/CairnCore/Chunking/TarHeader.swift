// Part of Cairn, a content-addressed blob store.

// header := name[100] mode[8] uid[8] gid[8] size[12] mtime[12] checksum[8] type:u8 link[100]
//           magic[6] ...                  (512 bytes; POSIX.1-1988 ustar and what grew of it)

/// The little of a tar header that tells where the next one is.
enum TarHeader: Equatable {
    /// A well-formed header, with so many bytes of content behind it.
    case entry(contentByteCount: UInt64)
    /// The end of the archive, or something that is no header.
    case none

    /// The size of a header, and the unit to which contents are padded.
    static let byteCount = 512

    /// No content is larger: leaves room for sums of sizes, and no tape is as long.
    static let contentByteCountMax: UInt64 = 1 << 62

    /// Whether `bytes` begin with the header of an archive with the ustar magic.
    static func isArchiveStart(_ bytes: Span<UInt8>) -> Bool {
        let magic: [UInt8] = [0x75, 0x73, 0x74, 0x61, 0x72]  // "ustar", both POSIX and GNU
        guard bytes.count >= byteCount else { return false }
        for index in magic.indices where bytes[257 + index] != magic[index] {
            return false
        }
        return TarHeader(bytes, at: 0) != .none
    }

    /// Reads the header at `offset`.
    ///
    /// - Precondition: `bytes` has ``byteCount`` bytes from there on.
    init(_ bytes: Span<UInt8>, at offset: Int) {
        let block = bytes.extracting(offset..<offset + Self.byteCount)
        guard Self.hasValidChecksum(block), let size = Self.size(in: block) else {
            self = .none
            return
        }
        self = .entry(contentByteCount: Self.hasContent(type: block[156]) ? size : 0)
    }

    // MARK: - Fields

    private static func hasValidChecksum(_ block: Span<UInt8>) -> Bool {
        guard let expected = octal(block.extracting(148..<156)) else { return false }
        var sum: UInt32 = 0
        for index in block.indices {
            sum &+= UInt32(block[index])
        }
        for index in 148..<156 {
            // The checksum counts its own field as spaces.
            sum = sum &- UInt32(block[index]) &+ 0x20
        }
        // A block of zeros, the end of an archive, has an empty checksum field: 0, never 256.
        return expected == UInt64(sum)
    }

    /// Hard and symbolic links, devices, directories and pipes have a size field but no content.
    private static func hasContent(type: UInt8) -> Bool {
        !(0x31...0x36).contains(type)
    }

    private static func size(in block: Span<UInt8>) -> UInt64? {
        let field = block.extracting(124..<136)
        let size = field[0] & 0x80 == 0 ? octal(field) : base256(field)
        guard let size, size <= contentByteCountMax else { return nil }
        return size
    }

    /// Digits in base 8 between leading spaces and a trailing space or NUL.
    private static func octal(_ field: Span<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        var hasBegun = false
        for index in field.indices {
            switch field[index] {
            case 0x30...0x37:
                hasBegun = true
                // At most 12 digits of 3 bits: no overflow.
                value = value << 3 | UInt64(field[index] & 7)
            case 0x20 where !hasBegun:
                continue
            case 0x20, 0:
                return value
            default:
                return nil
            }
        }
        return value
    }

    /// GNU's form of large numbers: the first bit set, then a signed big-endian number.
    private static func base256(_ field: Span<UInt8>) -> UInt64? {
        // 0x80 and three zeros, then the 64 bits that can matter. 0xff begins a negative number.
        guard field[0] == 0x80, field[1] == 0, field[2] == 0, field[3] == 0 else { return nil }
        var value: UInt64 = 0
        for index in 4..<12 {
            value = value << 8 | UInt64(field[index])
        }
        return value
    }
}
