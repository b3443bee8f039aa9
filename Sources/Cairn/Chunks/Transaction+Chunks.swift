// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

// The chunk table, and the counters that follow it: the number of its rows, for each segment the
// bytes of the records that rows name, and for each bucket those of the chunks that it has brought.
// All of it changes here, but for a repair, which makes it anew.
extension Transaction {
    /// Changes reference counts, and inserts chunks that are new.
    ///
    /// - Parameter arrivals: where the caller has stored or found the chunks.
    /// - Returns: the chunks among them that nothing refers to now.
    @discardableResult
    func changeReferences(
        _ deltas: [ChunkID: Int64], arrivals: [ChunkID: ChunkArrival] = [:]
    ) throws(StoreError) -> [ChunkID] {
        // In order of the key, so that look-ups share blocks of the index.
        let ids = deltas.keys.sorted { $0.octets < $1.octets }
        let rows = try chunks(ids)
        var totals = ChunkTotals()
        var orphans: [ChunkID] = []
        for (id, row) in zip(ids, rows) {
            let delta = deltas[id] ?? 0
            if try change(id, row, by: delta, arrivals[id], &totals) == 0 { orphans.append(id) }
        }
        try add(totals)
        return orphans
    }

    /// The rows of chunks, in the order of the ids.
    func chunks(_ ids: [ChunkID]) throws(StoreError) -> [ChunkRow?] {
        var rows: [ChunkRow?] = []
        rows.reserveCapacity(ids.count)
        for bytes in try getMany(Tables.chunks, ids.map(\.octets.bytes)) {
            rows.append(
                try lower(
                    "reading a chunk row",
                    core: { () throws(CoreError) in
                        try bytes.map { bytes throws(CoreError) in try ChunkRow(decoding: bytes) }
                    }))
        }
        return rows
    }

    /// Notes that the record of a chunk does not give its bytes, unless it was replaced since.
    ///
    /// - Returns: whether that is news.
    @discardableResult
    func quarantine(_ id: ChunkID, at location: RecordLocation) throws(StoreError) -> Bool {
        guard var row = try chunks([id])[0], row.placement.location == location, !row.isDamaged
        else { return false }
        row.isDamaged = true
        try put(id, row)
        try put(Tables.damage, id.octets.bytes, [])
        return true
    }

    /// Deletes the rows of chunks that nothing needs.
    func deleteChunks(_ chunks: [(ChunkID, ChunkRow)]) throws(StoreError) {
        var totals = ChunkTotals()
        for (id, row) in chunks {
            try delete(Tables.chunks, id.octets.bytes)
            try delete(Tables.garbage, id.octets.bytes)
            if row.isDamaged { try delete(Tables.damage, id.octets.bytes) }
            totals.count(row, -1)
        }
        try add(totals)
    }

    /// Notes that a chunk lies elsewhere now.
    func move(
        _ id: ChunkID, _ row: ChunkRow, to location: RecordLocation
    ) throws(StoreError) {
        var totals = ChunkTotals()
        var moved = row
        moved.placement.location = location
        totals.replace(row, by: moved)
        try put(id, moved)
        try add(totals)
    }

    // MARK: -

    // Answers how many references there are now.
    private func change(
        _ id: ChunkID, _ row: ChunkRow?, by delta: Int64, _ arrival: ChunkArrival?,
        _ totals: inout ChunkTotals
    ) throws(StoreError) -> Int64 {
        guard let row else {
            try insert(id, arrival, count: delta, &totals)
            return delta
        }
        let isCured =
            row.isDamaged
            && arrival.map { $0.placement.location != row.placement.location } ?? false
        let (count, overflow) = Int64(clamping: row.referenceCount)
            .addingReportingOverflow(delta)
        guard delta != 0 || isCured else { return count }
        guard !overflow, count >= 0 else {
            throw StoreError(.corrupted, "the reference count of a chunk would be \(count)")
        }
        var changed = row
        changed.referenceCount = UInt64(count)
        // A chunk that nothing referred to, or that was damaged, was stored afresh: its old record
        // is dead.
        if row.referenceCount == 0 || isCured, let arrival {
            changed = ChunkRow(arrival, referenceCount: UInt64(count))
            changed.isDamaged = row.isDamaged && !isCured
        }
        if isCured { try delete(Tables.damage, id.octets.bytes) }
        totals.replace(row, by: changed)
        try put(id, changed)
        if count == 0 { try put(Tables.garbage, id.octets.bytes, []) }
        return count
    }

    private func insert(
        _ id: ChunkID, _ arrival: ChunkArrival?, count: Int64, _ totals: inout ChunkTotals
    ) throws(StoreError) {
        guard let arrival else {
            throw StoreError(.corrupted, "a chunk that is in use has no row in the chunk table")
        }
        guard count >= 0 else {
            throw StoreError(.corrupted, "the reference count of a new chunk would be \(count)")
        }
        // A node that nothing needs still counts its children: the sweep must find it.
        guard count > 0 || arrival.placement.kind == .node else { return }
        let row = ChunkRow(arrival, referenceCount: UInt64(count))
        try put(id, row)
        totals.count(row, 1)
        if count == 0 { try put(Tables.garbage, id.octets.bytes, []) }
    }

    func put(_ id: ChunkID, _ row: ChunkRow) throws(StoreError) {
        let bytes = try lower(
            "writing a chunk row",
            core: { () throws(CoreError) in
                try row.encoded()
            })
        try put(Tables.chunks, id.octets.bytes, bytes)
    }

    func add(_ totals: ChunkTotals) throws(StoreError) {
        try add(Tables.meta, MetaKey.chunkCount, totals.chunkCount)
        for (segment, byteCount) in totals.byteCounts {
            try add(Tables.segmentUsage, RowKey.segment(segment), byteCount)
        }
        for (number, counts) in totals.stored where !counts.isZero {
            try add(stored: counts, by: number)
        }
    }
}

/// What belongs into the counters beside the chunk table for some of its rows.
struct ChunkTotals {
    private(set) var chunkCount: Int64 = 0
    private(set) var byteCounts: [SegmentNumber: Int64] = [:]

    /// By the numbers of the buckets that have brought them.
    private(set) var stored: [UInt32: UsageCounts] = [:]

    /// Counts a row in, or out with a sign of -1.
    mutating func count(_ row: ChunkRow, _ sign: Int64) {
        chunkCount += sign
        let byteCount = sign * Int64(row.placement.location.byteCount)
        byteCounts[row.placement.location.segment, default: 0] += byteCount
        // Sums of 32-bit numbers over at most 2^31 rows.
        stored[row.bucketNumber, default: UsageCounts()][.storedBytes] += byteCount
        stored[row.bucketNumber, default: UsageCounts()][.uncompressedBytes] +=
            sign * Int64(row.uncompressedByteCount)
    }

    mutating func replace(_ old: ChunkRow, by new: ChunkRow) {
        count(old, -1)
        count(new, 1)
    }

    mutating func add(_ other: ChunkTotals) throws(StoreError) {
        chunkCount += other.chunkCount
        byteCounts.merge(other.byteCounts, uniquingKeysWith: +)
        for (number, counts) in other.stored {
            try stored[number, default: UsageCounts()].add(counts)
        }
    }
}
