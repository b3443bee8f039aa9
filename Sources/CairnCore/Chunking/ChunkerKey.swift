// Part of Cairn, a content-addressed blob store.

/// What makes the boundaries of one deduplication domain its own.
///
/// Without the key the sizes of the chunks of a known file cannot be computed beforehand. It is a
/// hurdle, not encryption: who can have chosen files stored and sees the sizes of their chunks can
/// work the multiplier out. Nothing else is derived from the same secret.
package struct ChunkerKey: Sendable {
    /// The number of bytes of the secret.
    package static let secretByteCount = 32

    // On disk: never change. The first eight bytes, little-endian, made odd: an odd factor maps
    // different windows to different products.
    let multiplier: UInt64

    /// Derives the key from the secret of the domain.
    ///
    /// - Precondition: `secret` has ``secretByteCount`` bytes.
    package init(_ secret: Span<UInt8>) {
        precondition(secret.count == Self.secretByteCount, "A chunker secret has 32 bytes.")
        multiplier = secret.littleEndianWord(at: 0) | 1
    }
}
