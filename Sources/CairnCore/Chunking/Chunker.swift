// Part of Cairn, a content-addressed blob store.

// The definition of boundaries is the page Formats/Chunking.md. On disk: never change a version.

/// Cuts the stream of one blob into chunks.
///
/// A value without buffers: the caller keeps the bytes that are not cut yet. Where the cuts fall
/// depends on the bytes, the key and the parameters alone, never on how the bytes are presented.
package struct Chunker: Sendable {
    /// How many bytes decide the layout, if the blob has that many.
    package static let probeByteCount = BlobProbe.byteCountMax

    /// The layout of the blob, or nothing as long as it is undecided.
    package private(set) var layout: BlobLayout?

    private let parameters: ChunkerParameters
    private let key: ChunkerKey
    /// The place in a tar archive; nothing in other blobs, and once an archive has ended.
    private(set) var walk: TarWalk?
    /// Positions before this one, from the first uncut byte, are known to be no boundaries.
    ///
    /// Only saves time when a tail is presented again. It is not part of the saved state.
    private var examinedByteCount = 0

    /// A chunker at the start of a blob of unknown layout.
    package init(parameters: ChunkerParameters, key: ChunkerKey) {
        self.parameters = parameters
        self.key = key
    }

    /// Takes up a saved place.
    mutating func resume(layout: BlobLayout?, walk: TarWalk?) {
        self.layout = layout
        self.walk = walk
    }

    /// Cuts off every chunk that is certain.
    ///
    /// The caller removes as many bytes as the appended lengths add up to. The rest is the tail,
    /// which it presents again with more bytes behind it. Once the layout is decided, the tail is
    /// smaller than the largest chunk; before, fewer than ``probeByteCount`` bytes cut nothing.
    ///
    /// - Parameters:
    ///   - bytes: the blob from the first uncut byte on.
    ///   - isFinal: whether the blob ends with `bytes`. Then everything is cut, and the chunker
    ///     must not be used again.
    ///   - lengths: receives the sizes of the chunks in order, each at least 1.
    /// - Complexity: O(*n*); no allocation but for `lengths`.
    package mutating func cut(_ bytes: Span<UInt8>, isFinal: Bool, into lengths: inout [Int]) {
        if layout == nil {
            guard isFinal || bytes.count >= Self.probeByteCount else { return }
            decideLayout(bytes)
        }
        var start = 0
        while start < bytes.count {
            let rest = bytes.extracting(start..<bytes.count)
            guard let length = nextLength(rest, isFinal: isFinal) else { return }
            assert(length > 0)
            assert(length <= rest.count)
            examinedByteCount = 0
            lengths.append(length)
            start += length
        }
    }

    // MARK: - Layouts

    private mutating func decideLayout(_ bytes: Span<UInt8>) {
        let decided = BlobProbe.layout(of: bytes)
        layout = decided
        walk = decided == .tar ? TarWalk() : nil
    }

    /// Returns the length of the chunk at the start of `bytes`, or nothing if that needs more.
    private mutating func nextLength(_ bytes: Span<UInt8>, isFinal: Bool) -> Int? {
        if layout == .opaque {
            return wholeLength(parameters.opaqueByteCount, of: bytes, isFinal: isFinal)
        }
        guard let walk else {
            return plainLength(bytes, isFinal: isFinal, after: 0)
        }
        if walk.contentByteCount > 0 {
            return contentLength(bytes, isFinal: isFinal, of: walk)
        }
        return gapLength(bytes, isFinal: isFinal, of: walk)
    }

    /// Cuts by content alone.
    private mutating func plainLength(
        _ bytes: Span<UInt8>, isFinal: Bool, after start: Int
    ) -> Int? {
        if let found = boundary(of: bytes, after: start, through: parameters.maxByteCount - 1) {
            return found
        }
        return wholeLength(parameters.maxByteCount, of: bytes, isFinal: isFinal)
    }

    /// Cuts the content of a large file, which ends a chunk.
    ///
    /// The end of the file is known, so that no cut leaves less than the minimum for the last
    /// chunk: that would cost a record and an index entry for next to nothing.
    private mutating func contentLength(
        _ bytes: Span<UInt8>, isFinal: Bool, of walk: TarWalk
    ) -> Int? {
        // The sizes in a header can be a lie of any size; beyond this the end is out of reach.
        let reach = UInt64(parameters.maxByteCount + parameters.minByteCount)
        let left = Int(min(walk.contentByteCount, reach))
        let lastCut = left - parameters.minByteCount
        let whole = left <= parameters.maxByteCount ? left : min(parameters.maxByteCount, lastCut)
        let length =
            boundary(of: bytes, after: 0, through: min(lastCut, whole - 1))
            ?? wholeLength(whole, of: bytes, isFinal: isFinal)
        guard let length else { return nil }
        self.walk?.advance(by: length)
        return length
    }

    /// Cuts what lies between large files: headers, small files and padding.
    ///
    /// A chunk ends where the content of a large file begins, and never inside a header.
    private mutating func gapLength(
        _ bytes: Span<UInt8>, isFinal: Bool, of walk: TarWalk
    ) -> Int? {
        // At most a little over 2^62, see `TarWalk`.
        var header = Int(walk.headerDistance)
        var start = 0
        while true {
            if let found = boundary(of: bytes, after: start, through: header) {
                self.walk = TarWalk(headerDistance: header - found)
                return found
            }
            if header > parameters.maxByteCount - TarHeader.byteCount {
                // The header would end beyond the maximum, whatever it says.
                let whole = min(header, parameters.maxByteCount)
                guard let length = wholeLength(whole, of: bytes, isFinal: isFinal) else {
                    return nil
                }
                self.walk = TarWalk(headerDistance: header - length)
                return length
            }
            guard bytes.count >= header + TarHeader.byteCount else {
                return isFinal ? plainRest(bytes, isFinal: isFinal, after: header) : nil
            }
            guard case .entry(let contentByteCount) = TarHeader(bytes, at: header) else {
                return plainRest(bytes, isFinal: isFinal, after: header)
            }
            start = header + TarHeader.byteCount
            if contentByteCount >= UInt64(parameters.ownChunkByteCount) {
                self.walk = TarWalk(contentByteCount: contentByteCount)
                return start
            }
            // Smaller than a chunk: no overflow.
            header = start + Int(TarWalk.padded(contentByteCount))
        }
    }

    /// Cuts by content alone from here to the end of the blob: the archive has ended or is broken.
    private mutating func plainRest(
        _ bytes: Span<UInt8>, isFinal: Bool, after start: Int
    ) -> Int? {
        guard let length = plainLength(bytes, isFinal: isFinal, after: start) else { return nil }
        walk = nil
        return length
    }

    // MARK: - Lengths

    /// A chunk of a length that is known beforehand, or of the rest of the blob.
    private func wholeLength(_ byteCount: Int, of bytes: Span<UInt8>, isFinal: Bool) -> Int? {
        if bytes.count >= byteCount { return byteCount }
        return isFinal ? bytes.count : nil
    }

    /// Returns the first content-defined boundary beyond `start` and at most at `last`.
    private mutating func boundary(
        of bytes: Span<UInt8>, after start: Int, through last: Int
    ) -> Int? {
        let begin = max(start + 1, parameters.minByteCount, examinedByteCount)
        let end = min(last, bytes.count, parameters.maxByteCount - 1) + 1
        guard begin < end else { return nil }
        let middle = min(max(parameters.normalByteCount, begin), end)
        let found =
            BoundaryScan.firstBoundary(
                of: bytes, in: begin..<middle, multiplier: key.multiplier,
                threshold: parameters.strictThreshold)
            ?? BoundaryScan.firstBoundary(
                of: bytes, in: middle..<end, multiplier: key.multiplier,
                threshold: parameters.looseThreshold)
        examinedByteCount = end
        return found
    }
}
