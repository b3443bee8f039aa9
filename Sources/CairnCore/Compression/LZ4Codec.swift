// Part of Cairn, a content-addressed blob store.
internal import CLZ4

/// Compression of single chunks: LZ4 blocks without frame, length or checksum of their own.
package enum LZ4Codec {
    /// Compression pays when it saves at least one part in so many of the input.
    ///
    /// Less would cost a decompression on every read, 0.33 core-seconds per GB, for almost no disk.
    package static let savedPartMin = 16

    /// The largest input: the limit of a record's plaintext.
    package static let byteCountMax = 4 << 20

    /// Compresses a chunk, if that pays.
    ///
    /// - Parameters:
    ///   - bytes: 1 to ``byteCountMax`` bytes; what is larger is not compressed.
    ///   - output: receives the block at its start. As many bytes as the input has always suffice;
    ///     with fewer, what does not fit counts as not paying.
    /// - Returns: the size of the block, at most 15/16 of the input; or nothing, and then the
    ///   content of `output` means nothing.
    package static func compress(
        _ bytes: Span<UInt8>, into output: inout MutableSpan<UInt8>
    ) -> Int? {
        let limit = min(output.count, bytes.count - roundedUp(bytes.count, savedPartMin))
        guard bytes.count <= byteCountMax, limit > 0 else { return nil }
        // Both counts are at most 4 MiB. LZ4 gives up at the first byte beyond the limit, and it
        // walks over bytes without matches ever faster: 10 GB/s through random ones.
        let byteCount = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe output.withUnsafeMutableBufferPointer { target in
                unsafe source.withMemoryRebound(to: CChar.self) { source in
                    unsafe target.withMemoryRebound(to: CChar.self) { target in
                        unsafe LZ4_compress_default(
                            source.baseAddress, target.baseAddress, Int32(source.count),
                            Int32(limit))
                    }
                }
            }
        }
        return byteCount > 0 ? Int(byteCount) : nil
    }

    /// Decompresses a block into exactly the bytes it was made from.
    ///
    /// Never writes outside `output`, whatever the block contains.
    ///
    /// - Parameters:
    ///   - block: what ``compress(_:into:)`` made.
    ///   - output: as many bytes as were compressed.
    /// - Throws: ``CoreError`` with code `corrupted` if the block is malformed or does not fill
    ///   `output` exactly, or `limitExceeded` beyond ``byteCountMax``.
    package static func decompress(
        _ block: Span<UInt8>, into output: inout MutableSpan<UInt8>
    ) throws(CoreError) {
        guard block.count <= byteCountMax, output.count <= byteCountMax else {
            throw CoreError(.limitExceeded, "a compressed chunk is larger than 4 MiB")
        }
        guard block.count > 0, output.count > 0 else {
            throw CoreError(.corrupted, "a compressed chunk is empty")
        }
        let byteCount = unsafe block.withUnsafeBufferPointer { source in
            unsafe output.withUnsafeMutableBufferPointer { target in
                unsafe source.withMemoryRebound(to: CChar.self) { source in
                    unsafe target.withMemoryRebound(to: CChar.self) { target in
                        unsafe LZ4_decompress_safe(
                            source.baseAddress, target.baseAddress, Int32(source.count),
                            Int32(target.count))
                    }
                }
            }
        }
        guard Int(byteCount) == output.count else {
            throw CoreError(.corrupted, "a compressed chunk does not yield its declared size")
        }
    }

    private static func roundedUp(_ value: Int, _ divisor: Int) -> Int {
        (value + divisor - 1) / divisor
    }
}
