// Part of Cairn, a content-addressed blob store.

/// CRC-64/NVME (NVM Express NVM Command Set 1.0, 5.2.1.3.4; reflected, polynomial
/// 0xad93d23594c93659): the full-object checksum that S3 gives by default.
package enum CRC64NVME {
    /// The checksum of `bytes`.
    ///
    /// Eight bytes at a time (Sarwate's method, widened by Kounavis and Berry).
    ///
    /// - Parameter crc: The checksum of the bytes before these; 0 at the beginning.
    package static func checksum(_ bytes: Span<UInt8>, continuing crc: UInt64 = 0) -> UInt64 {
        var crc = ~crc
        var offset = 0
        let tables = remainders.span
        while bytes.count - offset >= 8 {
            crc ^= bytes.littleEndianWord(at: offset)
            var next: UInt64 = 0
            for index in 0..<8 {
                // Each takes one byte of what is left.
                let byte = Int(truncatingIfNeeded: crc >> UInt64(8 * index) & 0xFF)
                next ^= tables[(7 - index) << 8 | byte]
            }
            crc = next
            offset += 8
        }
        while offset < bytes.count {
            let byte = Int(truncatingIfNeeded: (crc ^ UInt64(bytes[offset])) & 0xFF)
            crc = crc >> 8 ^ tables[byte]
            offset += 1
        }
        return ~crc
    }

    // The polynomial with its bits in reverse order.
    private static let reflectedPolynomial: UInt64 = 0x9a6c_9329_ac4b_c9b5

    // Row n, 256 entries long: the remainders of a byte that n others follow.
    private static let remainders: [UInt64] = {
        var tables = (0..<256).map { byte in
            (0..<8).reduce(UInt64(byte)) { crc, _ in
                crc >> 1 ^ (crc & 1 == 0 ? 0 : reflectedPolynomial)
            }
        }
        for index in 256..<8 * 256 {
            let before = tables[index - 256]
            tables.append(before >> 8 ^ tables[Int(before & 0xFF)])
        }
        return tables
    }()
}
