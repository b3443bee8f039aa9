// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// What an upload session will change in the chunk table at its next commit.
///
/// A reference is counted once per occurrence: when a chunk is emitted it is counted for the
/// session's spine, and when the spine becomes a node the count passes to the node. A node counts
/// its children once, however often it occurs. Whether a node is new is decided inside the
/// transaction: if it has the row of a node, its children are counted already. Every further
/// occurrence is taken back.
struct ChunkLedger: Sendable {
    struct Entry: Sendable {
        var placement: Placement
        /// Of the data; none for nodes.
        var byteCount: UInt32
        /// Occurrences since the last commit.
        var count: Int64
        /// Holds in the in-flight table, to be released after the commit.
        var holdCount: Int
        /// For nodes: the ids of the children, by occurrence.
        var children: [ChunkID]
    }

    private(set) var entries: [ChunkID: Entry] = [:]
    // Of chunks that somebody else keeps until the commit, and that have no hold.
    private var references: [ChunkID: Int64] = [:]

    var isEmpty: Bool { entries.isEmpty && references.isEmpty }

    /// Counts one occurrence of a chunk that is in the chunk table, and stays until the commit.
    mutating func refer(to id: ChunkID) { references[id, default: 0] += 1 }

    /// Counts one occurrence of a chunk that carries one hold.
    mutating func count(_ chunk: PlacedChunk, children: [ChunkID] = []) {
        if entries[chunk.id] == nil {
            entries[chunk.id] = Entry(
                placement: chunk.placement, byteCount: chunk.byteCount, count: 1, holdCount: 1,
                children: children)
        } else {
            entries[chunk.id]?.count += 1
            entries[chunk.id]?.holdCount += 1
        }
    }

    /// Gives all holds back; after the commit, or when there will be none.
    func release(_ table: InFlightChunks) {
        for (id, entry) in entries { table.release(id, count: entry.holdCount) }
    }

    /// Writes the changes.
    ///
    /// - Parameters:
    ///   - bucket: that has brought the chunks which are new.
    ///   - dropping: occurrences that the caller gives up beside, the root of a blob that turned
    ///     out to be linked already.
    func apply(
        to transaction: Transaction, for bucket: BucketID, dropping: [ChunkID] = []
    ) throws(StoreError) {
        var deltas = entries.mapValues(\.count)
        deltas.merge(references, uniquingKeysWith: +)
        for id in dropping { deltas[id, default: 0] -= 1 }
        let nodes = entries.filter { $0.value.placement.kind == .node }
        let nodeIDs = Array(nodes.keys)
        for (id, row) in zip(nodeIDs, try transaction.chunks(nodeIDs)) {
            guard let node = nodes[id] else { continue }
            // A node that a repair found nowhere has a row that counts no children.
            let isCounted = row?.placement.kind == .node
            let excess = isCounted ? node.count : node.count - 1
            for child in node.children { deltas[child, default: 0] -= excess }
        }
        let number = try transaction.number(of: bucket)
        let arrivals = entries.mapValues { entry in
            ChunkArrival(
                placement: entry.placement, uncompressedByteCount: entry.byteCount,
                bucketNumber: number)
        }
        try transaction.changeReferences(deltas, arrivals: arrivals)
    }
}
