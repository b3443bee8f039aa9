// Part of Cairn, a content-addressed blob store.

/// Tells from the first bytes of a blob how to cut it.
enum BlobProbe {
    /// How many bytes are looked at: enough to tell noise from structure past any header.
    static let byteCountMax = 64 << 10

    /// The layout of the blob that begins with `bytes`, of which only the first
    /// ``byteCountMax`` count.
    static func layout(of bytes: Span<UInt8>) -> BlobLayout {
        let probe = bytes.extracting(0..<min(bytes.count, byteCountMax))
        // An archive first: its files may well be compressed.
        if TarHeader.isArchiveStart(probe) {
            return .tar
        }
        return hasMagicOfCompression(probe) || looksRandom(probe) ? .opaque : .other
    }

    // MARK: - Magic

    private struct Magic: Sendable {
        let offset: Int
        let bytes: [UInt8]

        init(_ bytes: [UInt8], at offset: Int = 0) {
            self.offset = offset
            self.bytes = bytes
        }

        func matches(_ probe: Span<UInt8>) -> Bool {
            guard probe.count >= offset + bytes.count else { return false }
            for index in bytes.indices where probe[offset + index] != bytes[index] {
                return false
            }
            return true
        }
    }

    // On disk: a change is a new version of the parameters.
    private static let magics: [Magic] = [
        Magic([0x1f, 0x8b, 0x08]),  // gzip, deflate (RFC 1952)
        Magic([0x28, 0xb5, 0x2f, 0xfd]),  // zstd frame (RFC 8878)
        Magic([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),  // xz
        Magic([0x42, 0x5a, 0x68]),  // bzip2 "BZh"
        Magic([0x04, 0x22, 0x4d, 0x18]),  // LZ4 frame
        Magic([0x4c, 0x5a, 0x49, 0x50]),  // lzip "LZIP"
        Magic([0x50, 0x4b, 0x03, 0x04]),  // zip, jar, wheel, apk, docx
        Magic([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]),  // 7z
        Magic([0x52, 0x61, 0x72, 0x21, 0x1a, 0x07]),  // rar
        Magic([0xff, 0xd8, 0xff]),  // JPEG
        Magic([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),  // PNG
        Magic([0x47, 0x49, 0x46, 0x38]),  // GIF
        Magic([0x57, 0x45, 0x42, 0x50], at: 8),  // WebP in RIFF
        Magic([0x66, 0x74, 0x79, 0x70], at: 4),  // MP4, HEIF, AVIF
        Magic([0x1a, 0x45, 0xdf, 0xa3]),  // Matroska, WebM
        Magic([0x4f, 0x67, 0x67, 0x53]),  // Ogg
        Magic([0x66, 0x4c, 0x61, 0x43]),  // FLAC
        Magic(Array("age-encryption.org/".utf8)),
        Magic(Array("Salted__".utf8)),  // openssl enc
    ]

    private static func hasMagicOfCompression(_ probe: Span<UInt8>) -> Bool {
        for magic in magics where magic.matches(probe) {
            return true
        }
        // Skippable frames of zstd and LZ4, which may come first.
        return probe.count >= 4 && probe[0] & 0xf0 == 0x50 && probe[1] == 0x2a
            && probe[2] == 0x4d && probe[3] == 0x18
    }

    // MARK: - Entropy

    /// The sample is four pieces spread over the probe: all of it would cost as much as its digest.
    private static let pieceByteCount = 4 << 10
    private static let pieceDistance = 20 << 10

    /// With fewer bytes chance alone decides.
    private static let randomByteCountMin = 4 << 10

    /// Whether the bytes are spread like those of compressed or encrypted data.
    ///
    /// Two bytes picked at random are equal with probability 1/256 in noise; here it may be a
    /// sixteenth more, which is 7.91 bits of (collision) entropy a byte. Text and machine code are
    /// below 7. Whole numbers only, so that every machine decides alike.
    private static func looksRandom(_ probe: Span<UInt8>) -> Bool {
        guard probe.count >= randomByteCountMin else { return false }
        var counts = InlineArray<256, Int>(repeating: 0)
        var byteCount = 0
        for start in stride(from: 0, to: probe.count, by: pieceDistance) {
            let piece = probe.extracting(start..<min(start + pieceByteCount, probe.count))
            for index in piece.indices {
                counts[Int(piece[index])] += 1
            }
            byteCount += piece.count
        }
        var equalPairCount = 0
        for value in counts.indices {
            equalPairCount += counts[value] * (counts[value] - 1)
        }
        // At most 2^28 pairs times 2^12.
        return equalPairCount * 256 * 16 <= byteCount * (byteCount - 1) * 17
    }
}
