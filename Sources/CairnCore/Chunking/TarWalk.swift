// Part of Cairn, a content-addressed blob store.

/// Where a tar archive goes on, as seen from the first uncut byte.
///
/// A value: the walk moves only when bytes are cut off, and then by exactly their number.
struct TarWalk: Sendable, Hashable {
    /// The bytes of a large file that lie ahead, or 0 between large files.
    private(set) var contentByteCount: UInt64
    /// The distance to the next header.
    private(set) var headerDistance: UInt64

    /// The start of an archive.
    init() {
        contentByteCount = 0
        headerDistance = 0
    }

    /// A saved walk, or nothing if no walk can be at such a place.
    init?(contentByteCount: UInt64, headerDistance: UInt64) {
        let distanceMax = TarHeader.contentByteCountMax + 2 * UInt64(TarHeader.byteCount)
        guard headerDistance <= distanceMax, contentByteCount <= headerDistance,
            contentByteCount == 0 || headerDistance - contentByteCount < UInt64(TarHeader.byteCount)
        else { return nil }
        self.contentByteCount = contentByteCount
        self.headerDistance = headerDistance
    }

    /// At the first byte of the content of a large file.
    init(contentByteCount: UInt64) {
        self.contentByteCount = contentByteCount
        headerDistance = Self.padded(contentByteCount)
    }

    /// Between large files, so many bytes before the next header.
    ///
    /// - Precondition: `headerDistance` is not negative.
    init(headerDistance: Int) {
        contentByteCount = 0
        self.headerDistance = UInt64(headerDistance)
    }

    /// Moves past the bytes of a chunk of a large file.
    ///
    /// - Precondition: the chunk ends inside the content.
    mutating func advance(by byteCount: Int) {
        let distance = UInt64(byteCount)
        contentByteCount -= distance
        headerDistance -= distance
    }

    /// The size of a content with its padding.
    static func padded(_ contentByteCount: UInt64) -> UInt64 {
        // At most 2^62, see `TarHeader.contentByteCountMax`: no overflow.
        (contentByteCount + 511) & ~511
    }
}
