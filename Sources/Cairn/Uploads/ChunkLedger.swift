// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// What an upload session will change in the chunk table at its next commit.
///
/// A reference is counted once per occurrence: when a chunk is emitted it is counted for the
/// session's spine, and when the spine becomes a node the count passes to the node. A node counts
/// its children once, however often it occurs. Whether a node is new is decided inside the
/// transaction: if its row exists, its children are counted already. Every further occurrence is
/// taken back.
struct ChunkLedger: Sendable {
    struct Entry: Sendable {
        var placement: Placement
        /// Occurrences since the last commit.
        var count: Int64
        /// Holds in the in-flight table, to be released after the commit.
        var holdCount: Int
        /// For nodes: the ids of the children, by occurrence.
        var children: [ChunkID]
    }

    private(set) var entries: [ChunkID: Entry] = [:]

    var isEmpty: Bool { entries.isEmpty }

    /// Counts one occurrence of a chunk that carries one hold.
    mutating func count(_ chunk: PlacedChunk, children: [ChunkID] = []) {
        if entries[chunk.id] == nil {
            entries[chunk.id] = Entry(
                placement: chunk.placement, count: 1, holdCount: 1, children: children)
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
    /// - Parameter dropping: occurrences that the caller gives up beside, the root of a blob
    ///   that turned out to be linked already.
    func apply(
        to transaction: Transaction, dropping: [ChunkID] = []
    ) throws(StoreError) {
        var deltas = entries.mapValues(\.count)
        for id in dropping { deltas[id, default: 0] -= 1 }
        let nodes = entries.filter { $0.value.placement.kind == .node }
        let nodeIDs = Array(nodes.keys)
        let isStored = try transaction.getMany(Tables.chunks, nodeIDs.map(\.octets.bytes))
        for (id, row) in zip(nodeIDs, isStored) {
            guard let node = nodes[id] else { continue }
            let excess = row == nil ? node.count - 1 : node.count
            for child in node.children { deltas[child, default: 0] -= excess }
        }
        try ChunkLedger.apply(deltas, placements: entries, to: transaction)
    }

    /// Changes reference counts by `deltas` and inserts chunks that are new.
    static func apply(
        _ deltas: [ChunkID: Int64], placements: [ChunkID: Entry] = [:],
        to transaction: Transaction
    ) throws(StoreError) {
        // In order of the key, so that look-ups share blocks of the index.
        let ids = deltas.keys.sorted { $0.octets < $1.octets }
        let rows = try transaction.getMany(Tables.chunks, ids.map(\.octets.bytes))
        for (id, bytes) in zip(ids, rows) {
            let row = try lower(
                "reading a chunk row",
                core: { () throws(CoreError) in
                    try bytes.map { bytes throws(CoreError) in try ChunkRow(decoding: bytes) }
                })
            try change(
                id, row, by: deltas[id] ?? 0, newPlacement: placements[id]?.placement, transaction)
        }
    }

    // MARK: -

    private static func change(
        _ id: ChunkID, _ row: ChunkRow?, by delta: Int64, newPlacement: Placement?,
        _ transaction: Transaction
    ) throws(StoreError) {
        guard let row else {
            return try insert(id, newPlacement, count: delta, transaction)
        }
        guard delta != 0 else { return }
        let (count, overflow) = Int64(clamping: row.referenceCount)
            .addingReportingOverflow(delta)
        guard !overflow, count >= 0 else {
            throw StoreError(.corrupted, "the reference count of a chunk would be \(count)")
        }
        var changed = row
        changed.referenceCount = UInt64(count)
        // A chunk that nothing referred to was stored afresh: the old record may be swept.
        if row.referenceCount == 0, let newPlacement { changed.placement = newPlacement }
        try put(id, changed, transaction)
        if count == 0 { try transaction.put(Tables.garbage, id.octets.bytes, []) }
    }

    private static func insert(
        _ id: ChunkID, _ placement: Placement?, count: Int64, _ transaction: Transaction
    ) throws(StoreError) {
        guard let placement else {
            throw StoreError(.corrupted, "a chunk that is in use has no row in the chunk table")
        }
        guard count >= 0 else {
            throw StoreError(.corrupted, "the reference count of a new chunk would be \(count)")
        }
        // A node that nothing needs still counts its children: the sweep must find it.
        guard count > 0 || placement.kind == .node else { return }
        let row = ChunkRow(placement: placement, referenceCount: UInt64(count))
        try put(id, row, transaction)
        if count == 0 { try transaction.put(Tables.garbage, id.octets.bytes, []) }
    }

    private static func put(
        _ id: ChunkID, _ row: ChunkRow, _ transaction: Transaction
    ) throws(StoreError) {
        let bytes = try lower(
            "writing a chunk row",
            core: { () throws(CoreError) in
                try row.encoded()
            })
        try transaction.put(Tables.chunks, id.octets.bytes, bytes)
    }
}
