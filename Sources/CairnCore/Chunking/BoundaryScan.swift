// Part of Cairn, a content-addressed blob store.
internal import CairnKernels

/// The search for the next content-defined boundary.
package enum BoundaryScan {
    /// The bytes before a position that decide whether it is a boundary.
    package static let windowByteCount = 8

    /// The instructions that the search is written in; all give the same answer.
    package enum Form: CaseIterable, Sendable {
        case scalar, avx2, avx512

        /// Whether this processor has the instructions.
        package var isSupported: Bool { cairn_boundary_supports(kernel) }

        fileprivate var kernel: cairn_boundary_form {
            switch self {
            case .scalar: CAIRN_BOUNDARY_SCALAR
            case .avx2: CAIRN_BOUNDARY_AVX2
            case .avx512: CAIRN_BOUNDARY_AVX512
            }
        }
    }

    /// Returns the first boundary in `positions`, or nothing.
    ///
    /// Uses the fastest form that the processor has.
    ///
    /// - Precondition: every position has eight bytes before it, all of them in `bytes`.
    package static func firstBoundary(
        of bytes: Span<UInt8>, in positions: Range<Int>, multiplier: UInt64, threshold: UInt64
    ) -> Int? {
        guard !positions.isEmpty else { return nil }
        checkWindows(of: positions, in: bytes)
        let found = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe cairn_boundary_find(
                buffer.baseAddress, positions.lowerBound, positions.upperBound, multiplier,
                threshold)
        }
        return found < positions.upperBound ? found : nil
    }

    /// The same in a given form, for tests and benchmarks.
    ///
    /// - Precondition: as above, and `form` is supported.
    package static func firstBoundary(
        of bytes: Span<UInt8>, in positions: Range<Int>, multiplier: UInt64, threshold: UInt64,
        form: Form
    ) -> Int? {
        guard !positions.isEmpty else { return nil }
        precondition(form.isSupported)
        checkWindows(of: positions, in: bytes)
        let found = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe cairn_boundary_find_in_form(
                form.kernel, buffer.baseAddress, positions.lowerBound, positions.upperBound,
                multiplier, threshold)
        }
        return found < positions.upperBound ? found : nil
    }

    private static func checkWindows(of positions: Range<Int>, in bytes: Span<UInt8>) {
        precondition(positions.lowerBound >= windowByteCount)
        precondition(positions.upperBound - 1 <= bytes.count)
    }
}
