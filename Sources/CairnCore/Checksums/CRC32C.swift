// Part of Cairn, a content-addressed blob store.

internal import CairnKernels

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds accidents in stored bytes, without a key.
///
/// Any single flipped bit and any burst of up to 32 bits is found; intent is not.
package enum CRC32C {
    /// The checksum of `bytes`.
    ///
    /// - Parameter crc: The checksum of the bytes before these; 0 at the beginning.
    package static func checksum(_ bytes: Span<UInt8>, continuing crc: UInt32 = 0) -> UInt32 {
        unsafe bytes.withUnsafeBufferPointer {
            unsafe cairn_crc32c(crc, $0.baseAddress, $0.count)
        }
    }

    /// The same without special instructions, to check the one by the other.
    package static func portableChecksum(
        _ bytes: Span<UInt8>, continuing crc: UInt32 = 0
    ) -> UInt32 {
        unsafe bytes.withUnsafeBufferPointer {
            unsafe cairn_crc32c_portable(crc, $0.baseAddress, $0.count)
        }
    }
}
