// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// The part of one chunk that a reader wants.
struct ChunkSlice: Sendable {
    var hash: ChunkHash
    var chunkByteCount: UInt32
    var range: Range<Int>
}

/// Walks a blob's tree from left to right over a range of its bytes.
///
/// It holds one node per level. Blocking where it loads a node: use it on a worker thread.
struct TreeCursor: Sendable {
    private struct Level: Sendable {
        var entries: [TreeEntry]
        var next = 0
    }

    private var stack: [Level]
    /// Bytes still to be skipped before the first wanted one.
    private var skip: UInt64
    private(set) var remaining: UInt64

    /// - Parameters:
    ///   - forest: consecutive subtrees; one root for a whole blob.
    ///   - range: within the bytes of the forest.
    init(forest: [TreeEntry], range: Range<UInt64>) {
        stack = [Level(entries: forest)]
        skip = range.lowerBound
        remaining = range.upperBound - range.lowerBound
    }

    /// The next slices, as many as fit into `byteCount` bytes but at least one.
    ///
    /// - Returns: none at the end.
    mutating func next(
        upTo byteCount: Int, _ reader: ChunkReader, _ context: inout WorkerContext
    ) throws(StoreError) -> [ChunkSlice] {
        var slices: [ChunkSlice] = []
        var total = 0
        while remaining > 0, let entry = try peek(reader, &context) {
            let first = Int(skip)
            let count = Int(min(remaining, entry.byteCount - skip))
            if total > 0, total + count > byteCount { break }
            slices.append(
                ChunkSlice(
                    hash: entry.hash, chunkByteCount: entry.storedByteCount,
                    range: first..<first + count))
            stack[stack.count - 1].next += 1
            skip = 0
            remaining -= UInt64(count)
            total += count
        }
        return slices
    }

    // MARK: -

    // The chunk that holds the next wanted byte; it stays next.
    private mutating func peek(
        _ reader: ChunkReader, _ context: inout WorkerContext
    ) throws(StoreError) -> TreeEntry? {
        while let level = stack.last {
            guard level.next < level.entries.count else {
                stack.removeLast()
                continue
            }
            let entry = level.entries[level.next]
            if entry.byteCount <= skip {
                skip -= entry.byteCount
                stack[stack.count - 1].next += 1
            } else if entry.level == 0 {
                return entry
            } else {
                stack[stack.count - 1].next += 1
                let node = try reader.node(entry, &context)
                stack.append(Level(entries: node.entries))
            }
        }
        throw StoreError(.corrupted, "a blob's recipe ends before the blob")
    }
}
