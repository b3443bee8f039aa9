// Part of Cairn, a content-addressed blob store.
internal import CairnKernels

/// The search for the next content-defined boundary.
enum BoundaryScan {
    /// The bytes before a position that decide whether it is a boundary.
    static let windowByteCount = 8

    /// Returns the first boundary in `positions`, or nothing.
    ///
    /// - Precondition: every position has eight bytes before it, all of them in `bytes`.
    static func firstBoundary(
        of bytes: Span<UInt8>, in positions: Range<Int>, multiplier: UInt64, threshold: UInt64
    ) -> Int? {
        guard !positions.isEmpty else { return nil }
        precondition(positions.lowerBound >= windowByteCount, "The first window is cut off.")
        precondition(positions.upperBound - 1 <= bytes.count, "The last window is cut off.")
        let found = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe cairn_boundary_find(
                buffer.baseAddress, positions.lowerBound, positions.upperBound, multiplier,
                threshold)
        }
        return found < positions.upperBound ? found : nil
    }
}
