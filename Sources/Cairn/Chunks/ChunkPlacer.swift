// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// A slice of a buffer that is to be stored as one chunk.
struct CutChunk: Sendable {
    var hash: ChunkHash
    var range: Range<Int>
}

/// A chunk whose bytes are in a segment, brought by this session or an earlier one.
struct PlacedChunk: Sendable {
    var id: ChunkID
    var placement: Placement
    /// Of the data before it was compressed; none for nodes.
    var byteCount: UInt32
    /// Whether nothing had to be stored for it.
    var isDuplicate = false
}

/// Finds or writes the chunks of one deduplication domain.
///
/// Every chunk it returns carries one hold in the in-flight table; on failure all holds are given
/// back. Blocking: call it on a worker thread. A value, thread-safe.
struct ChunkPlacer: Sendable {
    let engine: Engine
    private let domain: DomainKeys
    private let domainSlot: UInt32

    init(_ domain: OpenDomain, _ engine: Engine) {
        self.engine = engine
        self.domain = domain.keys
        domainSlot = domain.slot
    }

    /// Places the chunks of a buffer, looking all of them up in one batch.
    func place(
        _ chunks: [CutChunk], of buffer: [UInt8], compress: Bool, _ context: inout WorkerContext
    ) throws(StoreError) -> [PlacedChunk] {
        let byteCounts = chunks.map { UInt32($0.range.count) }  // at most 1 MiB
        return try place(
            zip(chunks, byteCounts).map { domain.chunkID($0.hash, byteCount: $1) }, byteCounts,
            &context
        ) { (index, id, context: inout WorkerContext) throws(StoreError) in
            let chunk = chunks[index]
            return try write(
                buffer.span.extracting(chunk.range), chunk.hash, id, compress: compress, &context)
        }
    }

    /// Places a recipe node over `children`.
    func place(
        _ node: RecipeNode, over children: [ChunkID], _ context: inout WorkerContext
    ) throws(StoreError) -> (IdentifiedEntry, Placement) {
        let bytes = node.encoded()
        let hash = domain.chunkHash(of: bytes.span)
        let id = domain.chunkID(hash, byteCount: UInt32(bytes.count))
        let placed = try place([id], [0], &context) {
            (_, id, context: inout WorkerContext) throws(StoreError) in
            try write(bytes, hash, id, children: children, &context)
        }
        let entry = TreeEntry(
            hash: hash, storedByteCount: UInt32(bytes.count), byteCount: node.byteCount,
            level: node.level)
        return (IdentifiedEntry(entry: entry, id: id), placed[0].placement)
    }

    // MARK: -

    private struct Found {
        var placement: Placement
        var isDuplicate: Bool
    }

    private typealias Write = (Int, ChunkID, inout WorkerContext) throws(StoreError) -> Placement

    private func place(
        _ ids: [ChunkID], _ byteCounts: [UInt32], _ context: inout WorkerContext, _ write: Write
    ) throws(StoreError) -> [PlacedChunk] {
        // From the look-up on until what was found is in the table of chunks in flight, no segment
        // may go that a row named.
        let pass = engine.placing.enter()
        defer { engine.placing.leave(pass) }
        var placements = [Found?](repeating: nil, count: ids.count)
        do throws(StoreError) {
            var owned: [Int] = []
            var pending: [Int] = []
            for (index, id) in ids.enumerated() {
                switch engine.inFlight.claim(id) {
                case .own: owned.append(index)
                case .placed(let placement):
                    placements[index] = Found(placement: placement, isDuplicate: true)
                case .pending: pending.append(index)
                }
            }
            try settle(owned, ids, &placements, &context, write)
            // Nothing of this session is unsettled from here on, so waiting is safe.
            for index in pending {
                if let placement = engine.inFlight.wait(ids[index]) {
                    placements[index] = Found(placement: placement, isDuplicate: true)
                } else {
                    try settle([index], ids, &placements, &context, write)
                }
            }
        } catch {
            for (index, id) in ids.enumerated() where placements[index] != nil {
                engine.inFlight.release(id, count: 1)
            }
            throw error
        }
        return ids.indices.compactMap { index in
            placements[index].map {
                PlacedChunk(
                    id: ids[index], placement: $0.placement, byteCount: byteCounts[index],
                    isDuplicate: $0.isDuplicate)
            }
        }
    }

    // Looks owned chunks up and writes those that the index does not have.
    private func settle(
        _ owned: [Int], _ ids: [ChunkID], _ placements: inout [Found?],
        _ context: inout WorkerContext, _ write: Write
    ) throws(StoreError) {
        var settledCount = 0
        do throws(StoreError) {
            let known = try lookUp(owned.map { ids[$0] })
            for (index, known) in zip(owned, known) {
                let placement =
                    if let known { known } else { try write(index, ids[index], &context) }
                placements[index] = Found(placement: placement, isDuplicate: known != nil)
                engine.inFlight.settle(ids[index], placement)
                settledCount += 1
            }
        } catch {
            for index in owned.dropFirst(settledCount) {
                engine.inFlight.settle(ids[index], nil)
            }
            throw error
        }
    }

    private func lookUp(_ ids: [ChunkID]) throws(StoreError) -> [Placement?] {
        guard !ids.isEmpty else { return [] }
        let rows = try lower(
            "looking up chunks",
            index: { () throws(IndexError) in
                try engine.index.getMany(Tables.chunks, ids.map(\.octets.bytes))
            })
        return try lower(
            "looking up chunks",
            core: { () throws(CoreError) in
                var placements: [Placement?] = []
                placements.reserveCapacity(rows.count)
                for bytes in rows {
                    let row = try bytes.map { bytes throws(CoreError) in
                        try ChunkRow(decoding: bytes)
                    }
                    // One that nothing refers to may be swept at any time, one that is damaged
                    // takes these bytes as its cure: neither is a duplicate.
                    let isSound = row.map { $0.referenceCount > 0 && !$0.isDamaged } ?? false
                    placements.append(isSound ? row?.placement : nil)
                }
                return placements
            })
    }

    private func write(
        _ bytes: Span<UInt8>, _ hash: ChunkHash, _ id: ChunkID, compress: Bool,
        _ context: inout WorkerContext
    ) throws(StoreError) -> Placement {
        let plan = try lower(
            "sealing a chunk",
            core: { () throws(CoreError) in
                try context.sealer.plan(bytes, compress: compress, suite: .convergent)
            })
        let location = try lower(
            "appending a chunk",
            segments: { () throws(SegmentError) in
                try engine.segments.append(byteCount: plan.recordByteCount) {
                    (out) throws(CoreError) in
                    try domain.withChunkKey(hash, byteCount: UInt32(bytes.count)) {
                        (key) throws(CoreError) in
                        try context.sealer.seal(
                            plan, bytes, type: .chunk, name: id.octets, keySlot: domainSlot,
                            key: key,
                            scope: domain.scope, into: &out)
                    }
                }
            })
        return Placement(location: location, kind: .data)
    }

    // A node and the ids of its children are neighbours, so that one read gets both.
    private func write(
        _ node: [UInt8], _ hash: ChunkHash, _ id: ChunkID, children: [ChunkID],
        _ context: inout WorkerContext
    ) throws(StoreError) -> Placement {
        let list = ReferenceList.encode(children)
        let nodeByteCount = RecordHeader.recordByteCount(
            suite: .convergent, plaintextByteCount: node.count)
        let byteCount =
            nodeByteCount
            + RecordHeader.recordByteCount(suite: .committed, plaintextByteCount: list.count)
        let location = try lower(
            "appending a recipe",
            segments: { () throws(SegmentError) in
                try engine.segments.append(byteCount: byteCount) { (out) throws(CoreError) in
                    var first = out.part(0..<nodeByteCount)
                    try seal(node, hash, id, into: &first, &context)
                    var second = out.part(nodeByteCount..<byteCount)
                    try seal(list, of: id, into: &second, &context)
                }
            })
        return Placement(
            location: RecordLocation(
                segment: location.segment, offset: location.offset,
                byteCount: UInt32(nodeByteCount)),
            kind: .node)
    }

    private func seal(
        _ node: [UInt8], _ hash: ChunkHash, _ id: ChunkID, into out: inout MutableSpan<UInt8>,
        _ context: inout WorkerContext
    ) throws(CoreError) {
        let plan = try context.sealer.plan(node.span, compress: false, suite: .convergent)
        try domain.withChunkKey(hash, byteCount: UInt32(node.count)) { (key) throws(CoreError) in
            try context.sealer.seal(
                plan, node.span, type: .recipe, name: id.octets, keySlot: domainSlot, key: key,
                scope: domain.scope, into: &out)
        }
    }

    private func seal(
        _ list: [UInt8], of id: ChunkID, into out: inout MutableSpan<UInt8>,
        _ context: inout WorkerContext
    ) throws(CoreError) {
        let plan = try context.sealer.plan(list.span, compress: false, suite: .committed)
        try engine.storeKey.withSpan { (key) throws(CoreError) in
            try context.sealer.seal(
                plan, list.span, type: .referenceList, name: id.octets,
                keySlot: StoreFormat.storeKeySlot, key: key, scope: engine.storeScope, into: &out)
        }
    }
}
