// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// An open blob: its keys and the root of its tree are at hand.
///
/// Opening costs one index read; reading goes on when the blob is deleted from the bucket
/// meanwhile, and ends when the bucket's customer key is disabled or its data key destroyed.
/// Thread-safe; any number of readers may run at once. Nothing has to be closed.
public final class Blob: Sendable {
    enum Source: Sendable {
        /// The bytes of a blob too small for a segment.
        case inline([UInt8])
        /// The lease, if the tree needs one, is held by every reader of the source.
        case tree([TreeEntry], ChunkReader, RootLease?)
    }

    /// The digest, the length and when the blob came into its bucket.
    public let description: BlobDescription
    let source: Source
    private let keys: BucketKeys
    let engine: Engine

    init(
        _ description: BlobDescription, _ source: Source, _ keys: BucketKeys, _ engine: Engine
    ) {
        self.description = description
        self.source = source
        self.keys = keys
        self.engine = engine
    }

    /// The bytes of the blob, or of a part of it, in order.
    ///
    /// - Parameter range: bytes within the blob; nil is all of it. What lies behind the end is
    ///   left out.
    public func bytes(in range: Range<UInt64>? = nil) -> BlobBytes {
        let whole = 0..<description.byteCount
        return BlobBytes(
            source, range?.clamped(to: whole) ?? whole, keys, engine, isDelivered: true)
    }

    /// The bytes of the blob for the store's own purposes.
    var bytesWithin: BlobBytes { BlobBytes(source, 0..<description.byteCount, keys, engine) }

    /// Reads bytes into memory of the caller, and blocks the calling thread meanwhile.
    ///
    /// For threads that may block; in an async function use ``bytes(in:)``.
    ///
    /// - Parameters:
    ///   - output: filled from its start.
    ///   - offset: the first byte wanted, 0 to the length of the blob.
    /// - Returns: how many bytes were read: all of `output`, or fewer at the end of the blob.
    /// - Throws: ``StoreError`` with code `rangeInvalid` (the offset lies behind the end),
    ///   `corrupted` (nothing of the damaged chunk is in `output`), `keyDisabled`,
    ///   `keyUnavailable`, `bucketUnknown` (it was shredded), `io`, `closed`.
    public func read(
        into output: inout MutableSpan<UInt8>, at offset: UInt64
    ) throws(StoreError) -> Int {
        guard offset <= description.byteCount else {
            throw StoreError(.rangeInvalid, "offset \(offset) lies behind the end of the blob")
        }
        let count = Int(min(UInt64(output.count), description.byteCount - offset))
        try engine.checkOpen()
        try engine.keys.confirmBlocking(keys)
        var context = try WorkerContext(random: engine.random)
        do throws(StoreError) {
            try read(into: &output, range: offset..<offset + UInt64(count), &context)
        } catch {
            engine.metrics.count(error)
            throw error
        }
        engine.metrics.countDelivered(count)
        return count
    }

    /// Reads the whole blob into memory.
    ///
    /// - Parameter limit: the most bytes the caller is ready to take.
    /// - Throws: ``StoreError`` with code `limitExceeded` (the blob is longer; nothing was read),
    ///   `corrupted`, `keyDisabled`, `keyUnavailable`, `bucketUnknown` (it was shredded), `io`,
    ///   `closed`.
    public func readAll(upTo limit: Int) async throws(StoreError) -> [UInt8] {
        guard description.byteCount <= UInt64(limit) else {
            throw StoreError(
                .limitExceeded, "the blob has \(description.byteCount) bytes, not up to \(limit)")
        }
        try engine.checkOpen()
        try await engine.keys.confirm(keys)
        let bytes = try await readAll()
        engine.metrics.countDelivered(bytes.count)
        return bytes
    }

    // MARK: -

    private func readAll() async throws(StoreError) -> [UInt8] {
        if case .inline(let bytes) = source { return bytes }
        return try await engine.pool.run { [self] (context) throws(StoreError) in
            var bytes = [UInt8](repeating: 0, count: Int(description.byteCount))
            var span = bytes.mutableSpan
            try read(into: &span, range: 0..<description.byteCount, &context)
            return bytes
        }
    }

    func read(
        into output: inout MutableSpan<UInt8>, range: Range<UInt64>,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        switch source {
        case .inline(let bytes):
            output.copy(bytes.span.extracting(Int(range.lowerBound)..<Int(range.upperBound)))
        case .tree(let forest, let reader, _):
            var cursor = TreeCursor(forest: forest, range: range)
            var position = 0
            while cursor.remaining > 0 {
                let slices = try cursor.next(
                    upTo: BlobBytes.bufferByteCount, reader, &context)
                let count = slices.reduce(0) { $0 + $1.range.count }
                var target = output.part(position..<position + count)
                try reader.read(slices, into: &target, &context)
                position += count
            }
        }
    }
}
