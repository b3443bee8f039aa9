// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Glibc

/// Memory for direct input and output, aligned to ``DiskOpenMode/blockByteCount``.
///
/// Threads may use disjoint ranges at once, which the compiler cannot check: whoever hands out
/// ranges keeps them apart, and orders a range's reader after its writer by a lock.
@safe
package final class AlignedBuffer: @unchecked Sendable {
    /// How many bytes there are: a multiple of ``DiskOpenMode/blockByteCount``.
    package let byteCount: Int

    private let address: UnsafeMutableRawPointer

    /// Large allocations start at such a boundary, so that the system can back them by large pages
    /// and a direct write pins few of them: the size of a large page on x86-64 and arm64.
    private static let largePageByteCount = 2 << 20

    /// Allocates zeroed memory of at least `byteCount` bytes, rounded up to whole blocks.
    package init(byteCount: Int) {
        let block = DiskOpenMode.blockByteCount
        self.byteCount = max((byteCount + block - 1) / block, 1) * block
        let isLarge = self.byteCount >= Self.largePageByteCount
        let alignment = isLarge ? Self.largePageByteCount : block
        unsafe address = .allocate(byteCount: self.byteCount, alignment: alignment)
        // Advice only: without it the memory is backed by small pages.
        if isLarge { _ = unsafe madvise(address, self.byteCount, MADV_HUGEPAGE) }
        unsafe address.initializeMemory(as: UInt8.self, repeating: 0, count: self.byteCount)
    }

    deinit { unsafe address.deallocate() }

    /// Lets `body` read a range.
    ///
    /// - Precondition: `range` is within `0..<byteCount`, and nobody writes to it meanwhile.
    package func withSpan<Result, Failure: Error>(
        _ range: Range<Int>, _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        let bytes = unsafe UnsafeRawBufferPointer(
            start: address + range.lowerBound, count: range.count)
        return try unsafe body(Span(_unsafeBytes: bytes))
    }

    /// Lets `body` overwrite a range.
    ///
    /// - Precondition: `range` is within `0..<byteCount`, and nobody else uses it meanwhile.
    package func withMutableSpan<Result, Failure: Error>(
        _ range: Range<Int>, _ body: (inout MutableSpan<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        let bytes = unsafe UnsafeMutableRawBufferPointer(
            start: address + range.lowerBound, count: range.count)
        var span = unsafe MutableSpan<UInt8>(_unsafeBytes: bytes)
        return try body(&span)
    }
}

extension Span<UInt8> {
    /// Whether the first byte lies at a multiple of ``DiskOpenMode/blockByteCount`` in memory.
    var isBlockAligned: Bool {
        unsafe withUnsafeBytes { bytes in
            guard let address = bytes.baseAddress else { return true }
            return UInt(bitPattern: address) % UInt(DiskOpenMode.blockByteCount) == 0
        }
    }
}
