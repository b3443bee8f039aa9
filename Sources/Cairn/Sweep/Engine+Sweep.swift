// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// A chunk without references, as the sweep found it.
private struct Candidate: Sendable {
    enum State {
        /// Gone, or needed again: only the entry in the garbage table is left.
        case stale
        /// Its references cannot be read, so they cannot be taken back.
        case damaged
        case dead(ChunkRow, NodeReferences)
    }

    var id: ChunkID
    var state: State

    var dead: (row: ChunkRow, references: NodeReferences)? {
        if case .dead(let row, let references) = state { (row, references) } else { nil }
    }
}

extension Engine {
    /// Rows that one transaction of the sweep touches: a few milliseconds of the committer, which
    /// serves everybody else meanwhile. A node alone may have 1024 children.
    private static let sweptRowCountMax = 1024
    private static let candidateCountMax = sweptRowCountMax
    /// Chunks whose last reference the sweep has taken and that it remembers instead of looking
    /// for them once more among all garbage: 2 MiB of ids.
    private static let orphanCountMax = 65_536

    /// Sweeps until nothing is left but what is leased.
    func sweepGarbage(_ report: inout SweepReport) async throws(StoreError) {
        while true {
            let before = report.chunkCount
            (report.leasedCount, report.damagedCount) = (0, 0)
            try await sweepOnce(&report)
            // What was freed may have freed its children, anywhere in the order of the ids.
            guard report.chunkCount > before else { return }
        }
    }

    /// Goes through the garbage table once, and down from whatever is found there.
    private func sweepOnce(_ report: inout SweepReport) async throws(StoreError) {
        var after: ChunkID?
        var orphans: [ChunkID] = []
        while true {
            let isFollowing = !orphans.isEmpty
            let ids =
                isFollowing
                ? orphans.suffix(Self.candidateCountMax).reversed()
                : try await garbage(after: after)
            let found = try await candidates(ids)
            guard let last = found.last else { return }
            if isFollowing { orphans.removeLast(found.count) } else { after = last.id }
            let more = try await free(found, &report)
            // What is not remembered is found in the table, by the next pass if not by this one.
            orphans += more.prefix(Self.orphanCountMax - orphans.count)
            try checkCancellation("the sweep")
        }
    }

    private func garbage(after: ChunkID?) async throws(StoreError) -> [ChunkID] {
        let entries = try await read("looking for garbage") { (index) throws(IndexError) in
            try index.scan(
                Tables.garbage, prefix: [], after: after?.octets.bytes,
                limit: Self.candidateCountMax)
        }
        return try entries.map { entry throws(StoreError) in try RowKey.chunkID(of: entry.key) }
    }

    // The first of some chunks, as many as one transaction takes.
    private func candidates(_ ids: [ChunkID]) async throws(StoreError) -> [Candidate] {
        try await pool.run { [self] (context) throws(StoreError) -> [Candidate] in
            try checkOpen()
            let rows = try lower(
                "reading chunk rows",
                index: { () throws(IndexError) in
                    try index.getMany(Tables.chunks, ids.map(\.octets.bytes))
                })
            var candidates: [Candidate] = []
            var rowCount = 0
            for (id, row) in zip(ids, rows) where rowCount < Self.sweptRowCountMax {
                let candidate = Candidate(id: id, state: try state(of: id, row, &context))
                candidates.append(candidate)
                rowCount += 1 + (candidate.dead?.references.children.count ?? 0)
            }
            return candidates
        }
    }

    private func state(
        of id: ChunkID, _ bytes: [UInt8]?, _ context: inout WorkerContext
    ) throws(StoreError) -> Candidate.State {
        guard let bytes else { return .stale }
        let row = try lower(
            "reading a chunk row",
            core: { () throws(CoreError) in
                try ChunkRow(decoding: bytes)
            })
        guard row.referenceCount == 0 else { return .stale }
        guard row.placement.kind == .node else {
            let byteCount = UInt64(row.placement.location.byteCount)
            return .dead(row, NodeReferences(children: [], byteCount: byteCount))
        }
        do throws(StoreError) {
            return .dead(row, try references(of: id, at: row.placement, &context))
        } catch {
            // Moved since, when its row says otherwise by now: the next pass finds it there.
            if error.isSegmentGone, try self.row(of: id) != bytes { return .stale }
            guard error.code == .corrupted else { throw error }
            return .damaged
        }
    }

    private func row(of id: ChunkID) throws(StoreError) -> [UInt8]? {
        try lower(
            "reading a chunk row",
            index: { () throws(IndexError) in
                try index.get(Tables.chunks, id.octets.bytes)
            })
    }

    // Answers the chunks that nothing refers to any more now.
    private func free(
        _ candidates: [Candidate], _ report: inout SweepReport
    ) async throws(StoreError) -> [ChunkID] {
        let dead = candidates.filter { $0.dead != nil }
        let condemned = leases.condemn(dead.map(\.id))
        defer { leases.absolve(condemned) }
        let doomed = Set(condemned)
        let (freed, orphans) = try await transact {
            (transaction) throws(StoreError) -> ([NodeReferences], [ChunkID]) in
            try transaction.sweep(candidates) { doomed.contains($0) }
        }
        let byteCount = freed.reduce(0) { $0 + $1.byteCount }
        metrics.countSwept(chunkCount: freed.count, byteCount: byteCount)
        report.chunkCount += UInt64(freed.count)
        report.byteCount += byteCount
        report.leasedCount += UInt64(dead.count - condemned.count)
        report.damagedCount += UInt64(
            candidates.count { if case .damaged = $0.state { true } else { false } })
        return orphans
    }

    func checkCancellation(_ work: String) throws(StoreError) {
        if Task.isCancelled { throw StoreError(.cancelled, "\(work) was cancelled") }
    }
}

extension Transaction {
    /// Deletes what is still dead and takes back the references of nodes among it.
    fileprivate func sweep(
        _ candidates: [Candidate], isDoomed: (ChunkID) -> Bool
    ) throws(StoreError) -> (freed: [NodeReferences], orphans: [ChunkID]) {
        var rows: [(ChunkID, ChunkRow)] = []
        var freed: [NodeReferences] = []
        for (candidate, row) in zip(candidates, try chunks(candidates.map(\.id))) {
            guard let row, row.referenceCount == 0 else {
                try delete(Tables.garbage, candidate.id.octets.bytes)
                continue
            }
            // Stored anew or moved meanwhile: what was read of it may not count. The next pass.
            guard let dead = candidate.dead, dead.row.placement == row.placement,
                isDoomed(candidate.id)
            else { continue }
            rows.append((candidate.id, row))
            freed.append(dead.references)
        }
        var deltas: [ChunkID: Int64] = [:]
        for references in freed {
            for child in references.children { deltas[child, default: 0] -= 1 }
        }
        let orphans = try changeReferences(deltas)
        try deleteChunks(rows)
        return (freed, orphans)
    }
}

// MARK: - Preview

extension Engine {
    /// Follows references from the garbage down, on one snapshot.
    func previewSweep() async throws(StoreError) -> SweepReport { try await walkGarbage().report }

    /// The same, with whose it is.
    func walkGarbage() async throws(StoreError) -> GarbageWalk {
        // What the snapshot names stays where it is.
        let pin = segmentPins.pin()
        defer { withExtendedLifetime(pin) {} }
        let snapshot = try await read("looking for garbage") { (index) throws(IndexError) in
            try index.snapshot()
        }
        var walk = GarbageWalk(engine: self, snapshot: snapshot)
        let pages = pages(of: Tables.garbage, in: snapshot, for: "the preview of a sweep")
        for try await rows in pages {
            for row in rows { try await walk.free(RowKey.chunkID(of: row.key)) }
        }
        return walk
    }
}
