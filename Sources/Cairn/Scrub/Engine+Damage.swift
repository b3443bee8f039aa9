// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

extension Engine {
    /// Notes damage that a reader met; the reader does not wait for it.
    ///
    /// Should the note get lost, the next reader or the scrub makes it again.
    func quarantine(_ id: ChunkID, at location: RecordLocation) {
        submit { (transaction) throws(StoreError) in
            try transaction.quarantine(id, at: location)
        } completion: { _ in
        }
    }

    /// The chunks that are known to be damaged.
    func damagedChunks() async throws(StoreError) -> Set<ChunkID> {
        var damaged: Set<ChunkID> = []
        for try await rows in pages(of: Tables.damage, for: "listing damage") {
            for row in rows { damaged.insert(try RowKey.chunkID(of: row.key)) }
        }
        return damaged
    }

    /// Adds to `chunks` every node above one of them, whatever its level.
    ///
    /// Reads all reference lists, once for each level that adds something: only damage costs that.
    func addAncestors(to chunks: inout Set<ChunkID>) async throws(StoreError) {
        while true {
            let before = chunks
            for try await rows in pages(of: Tables.chunks, for: "looking for damaged blobs") {
                chunks.formUnion(try await ancestors(of: before, among: rows))
            }
            if chunks.count == before.count { return }
        }
    }

    private func ancestors(
        of chunks: Set<ChunkID>, among rows: [IndexEntry]
    ) async throws(StoreError) -> [ChunkID] {
        try await pool.run { [self] (context) throws(StoreError) -> [ChunkID] in
            var found: [ChunkID] = []
            for row in rows {
                let id = try RowKey.chunkID(of: row.key)
                guard !chunks.contains(id), let chunk = try? ChunkRow(decoding: row.value),
                    chunk.placement.kind == .node
                else { continue }
                // One whose list cannot be read is damaged itself, or moved while we look.
                guard let node = try? references(of: id, at: chunk.placement, &context) else {
                    continue
                }
                if node.children.contains(where: chunks.contains) { found.append(id) }
            }
            return found
        }
    }
}
