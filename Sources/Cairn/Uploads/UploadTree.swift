// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// The tree that an upload session grows, and what of it is not committed yet.
struct UploadTree: Sendable {
    private(set) var builder: RecipeBuilder
    private(set) var ledger = ChunkLedger()
    /// The bytes placed since the ledger was last taken.
    private(set) var byteCountSinceCheckpoint: UInt64 = 0
    /// The bytes for which nothing had to be stored.
    private(set) var duplicateByteCount: UInt64 = 0

    init(builder: RecipeBuilder = RecipeBuilder()) { self.builder = builder }

    /// Adds the chunks of a window, in order, storing every node that fills up.
    mutating func add(
        _ chunks: [CutChunk], _ placed: [PlacedChunk], layout: BlobLayout, _ placer: ChunkPlacer,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        // Counted before anything can fail, so that every hold is in the ledger.
        for chunk in placed { ledger.count(chunk) }
        placer.engine.metrics.countDuplicates(of: chunks, placed)
        for (chunk, placed) in zip(chunks, placed) {
            let count = chunk.range.count
            byteCountSinceCheckpoint += UInt64(count)
            if placed.isDuplicate { duplicateByteCount += UInt64(count) }
            let entry = TreeEntry(
                hash: chunk.hash, storedByteCount: UInt32(count), byteCount: UInt64(count),
                level: 0)
            try add(IdentifiedEntry(entry: entry, id: placed.id), layout, placer, &context)
        }
    }

    /// Adds a chunk or a node that is in the chunk table behind everything.
    mutating func add(
        existing entry: IdentifiedEntry, layout: BlobLayout, _ placer: ChunkPlacer,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        ledger.refer(to: entry.id)
        try add(tree: entry, layout: layout, placer, &context)
    }

    /// Adds a whole tree behind everything, whose root somebody has counted: that reference is the
    /// session's now.
    mutating func add(
        tree root: IdentifiedEntry, layout: BlobLayout, _ placer: ChunkPlacer,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        while let children = builder.close(below: root.entry.level) {
            try add(placeNode(over: children, layout, placer, &context), layout, placer, &context)
        }
        try add(root, layout, placer, &context)
    }

    /// Closes the tree.
    ///
    /// - Returns: its root; nil when nothing was ever added.
    mutating func finish(
        layout: BlobLayout, _ placer: ChunkPlacer, _ context: inout WorkerContext
    ) throws(StoreError) -> IdentifiedEntry? {
        while true {
            switch builder.finish() {
            case .empty: return nil
            case .root(let root): return root
            case .node(let children):
                try add(
                    placeNode(over: children, layout, placer, &context), layout, placer, &context)
            }
        }
    }

    /// Takes the uncommitted changes, to be committed now.
    mutating func takeLedger() -> ChunkLedger {
        defer {
            ledger = ChunkLedger()
            byteCountSinceCheckpoint = 0
        }
        return ledger
    }

    // MARK: -

    private mutating func add(
        _ entry: IdentifiedEntry, _ layout: BlobLayout, _ placer: ChunkPlacer,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        var next = entry
        while let children = builder.add(next) {
            next = try placeNode(over: children, layout, placer, &context)
        }
    }

    private mutating func placeNode(
        over children: [IdentifiedEntry], _ layout: BlobLayout, _ placer: ChunkPlacer,
        _ context: inout WorkerContext
    ) throws(StoreError) -> IdentifiedEntry {
        let level = (children.first?.entry.level ?? 0) + 1
        let node = RecipeNode(layout: layout, level: level, entries: children.map(\.entry))
        let ids = children.map(\.id)
        let (entry, placement) = try placer.place(node, over: ids, &context)
        ledger.count(PlacedChunk(id: entry.id, placement: placement, byteCount: 0), children: ids)
        return entry
    }
}
