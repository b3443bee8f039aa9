// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Cuts a stream into chunks and digests the blob and every chunk in the same pass.
///
/// The blob digest covers exactly the bytes that have been cut; the bytes behind the last cut are
/// the tail, and wait for their successors. A value: a copy is a checkpoint.
struct DigestStage: Sendable {
    private(set) var blob = SHA256()
    private(set) var blob512: SHA512?
    private(set) var chunker: Chunker
    /// Bytes received but not cut yet.
    private(set) var tail: [UInt8] = []
    let hasher: SHA256

    var cutByteCount: UInt64 { blob.byteCount }
    var layout: BlobLayout? { chunker.layout }
    var algorithm: Digest.Algorithm { blob512 == nil ? .sha256 : .sha512 }

    init(algorithm: Digest.Algorithm, chunker: Chunker, domain: DomainKeys) {
        blob512 = algorithm == .sha512 ? SHA512() : nil
        self.chunker = chunker
        hasher = domain.hasher
    }

    /// Restores a stage at a cut.
    init(blob: SHA256, blob512: SHA512?, chunker: Chunker, domain: DomainKeys) {
        self.blob = blob
        self.blob512 = blob512
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

    /// The digest of everything received, with `rest` behind the tail.
    func finalDigest(rest: Span<UInt8>) -> Digest {
        if var whole = blob512 {
            whole.update(tail.span)
            whole.update(rest)
            return whole.digest
        }
        var whole = blob
        whole.update(tail.span)
        whole.update(rest)
        return whole.digest
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
        SHA256.update(&blob, &chunkDigest, with: chunk)
        blob512?.update(chunk)
        return ChunkHash(chunkDigest.finalized())
    }
}

extension SHA256 {
    var digest: Digest {
        // A digest of 32 bytes always makes a SHA-256 digest.
        Digest(sha256: finalized())
    }
}
