// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Cuts a stream into chunks and digests the blob and every chunk in the same pass.
///
/// The blob digest covers exactly the bytes that have been cut; the bytes behind the last cut are
/// the tail, and wait for their successors. A value: a copy is a checkpoint.
struct DigestStage: Sendable {
    private(set) var digests: StreamDigests
    private(set) var chunker: Chunker
    /// Bytes received but not cut yet.
    private(set) var tail: [UInt8] = []
    let hasher: SHA256
    // Bytes that were digested before the first of this stream.
    private let precedingByteCount: UInt64

    var cutByteCount: UInt64 { digests.byteCount - precedingByteCount }
    var layout: BlobLayout? { chunker.layout }

    /// A stage at the beginning of a stream, or at a cut in it.
    ///
    /// - Parameter precedingByteCount: how many bytes the digests are of that the stream does not
    ///   have: those of the parts before this one.
    init(
        digests: StreamDigests, precedingByteCount: UInt64 = 0, chunker: Chunker, domain: DomainKeys
    ) {
        self.digests = digests
        self.precedingByteCount = precedingByteCount
        self.chunker = chunker
        hasher = domain.hasher
    }

    /// Cuts and digests the next window.
    ///
    /// - Parameter buffer: the window's bytes behind `headroom` free bytes, into which the tail of
    ///   the window before is copied: the bytes themselves never move.
    mutating func process(
        _ buffer: inout [UInt8], headroom: Int, isFinal: Bool
    ) -> [CutChunk] {
        let start = takeTail(into: &buffer, headroom: headroom)
        var lengths: [Int] = []
        chunker.cut(buffer.span.extracting(start...), isFinal: isFinal, into: &lengths)
        var chunks: [CutChunk] = []
        chunks.reserveCapacity(lengths.count)
        var position = start
        for length in lengths {
            let range = position..<position + length
            chunks.append(CutChunk(hash: digest(buffer.span.extracting(range)), range: range))
            position += length
        }
        tail = [UInt8](copying: buffer.span.extracting(position...))
        return chunks
    }

    /// The digests of everything received, with `rest` behind the tail.
    func finalDigests(rest: Span<UInt8>) -> StreamDigests {
        var whole = digests
        whole.update(tail.span)
        whole.update(rest)
        return whole
    }

    // MARK: -

    private mutating func takeTail(into buffer: inout [UInt8], headroom: Int) -> Int {
        guard tail.count <= headroom else {
            // Only after a window that was cut short: rare, so a copy is no matter.
            buffer.replaceSubrange(0..<headroom, with: tail)
            return 0
        }
        let start = headroom - tail.count
        var bytes = buffer.mutableSpan
        bytes.copy(tail.span, to: start)
        return start
    }

    private mutating func digest(_ chunk: Span<UInt8>) -> ChunkHash {
        var chunkDigest = hasher
        digests.update(chunk, beside: &chunkDigest)
        return ChunkHash(chunkDigest.finalized())
    }
}
