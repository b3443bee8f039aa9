// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Follows references on a snapshot, as if some of them were taken back, and adds up what would
/// be freed. Memory: about 100 bytes for each chunk that it meets.
struct GarbageWalk {
    let engine: Engine
    let snapshot: any IndexSnapshot
    private(set) var report = SweepReport()
    /// What would be freed, by the numbers of the buckets that have brought it.
    private(set) var byteCounts: [UInt32: UInt64] = [:]
    // What is left of the references of chunks that were met.
    private var remaining: [ChunkID: UInt64] = [:]

    init(engine: Engine, snapshot: any IndexSnapshot) {
        self.engine = engine
        self.snapshot = snapshot
    }

    /// Frees a chunk that has no references as it is.
    mutating func free(_ root: ChunkID) async throws(StoreError) {
        guard remaining[root] == nil, let row = try await chunk(root), row.referenceCount == 0
        else { return }
        guard !engine.leases.isLeased(root) else {
            report.leasedCount += 1
            return
        }
        remaining[root] = 0
        try await follow(root, row)
    }

    /// Takes back one link to a blob.
    mutating func release(_ link: LinkRow) async throws(StoreError) {
        guard let root = link.rootID else {
            report.byteCount += link.byteCount
            return
        }
        if let row = try await release(root) { try await follow(root, row) }
    }

    // MARK: -

    private mutating func follow(_ root: ChunkID, _ row: ChunkRow) async throws(StoreError) {
        var pending = [(root, row)]
        while let (id, row) = pending.popLast() {
            guard let references = try await readable(id, row.placement) else {
                report.damagedCount += 1
                continue
            }
            report.chunkCount += 1
            report.byteCount += references.byteCount
            byteCounts[row.bucketNumber, default: 0] += UInt64(row.placement.location.byteCount)
            for child in references.children {
                if let row = try await release(child) { pending.append((child, row)) }
            }
        }
    }

    // The row of a chunk whose last reference this was; nil for all others.
    private mutating func release(_ id: ChunkID) async throws(StoreError) -> ChunkRow? {
        guard let row = try await chunk(id) else { return nil }
        let count = remaining[id] ?? row.referenceCount
        guard count > 0 else { return nil }
        remaining[id] = count - 1
        return count == 1 ? row : nil
    }

    // Nil: the records are damaged, and the sweep leaves them alone.
    private func readable(
        _ id: ChunkID, _ placement: Placement
    ) async throws(StoreError) -> NodeReferences? {
        do throws(StoreError) {
            return try await engine.references(of: id, at: placement)
        } catch {
            guard error.code == .corrupted else { throw error }
            return nil
        }
    }

    private func chunk(_ id: ChunkID) async throws(StoreError) -> ChunkRow? {
        let bytes = try await engine.read("reading a chunk row") {
            [snapshot] (_) throws(IndexError) in
            try snapshot.get(Tables.chunks, id.octets.bytes)
        }
        return try lower(
            "reading a chunk row",
            core: { () throws(CoreError) in
                try bytes.map { bytes throws(CoreError) in try ChunkRow(decoding: bytes) }
            })
    }
}
