// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// One call of the scrub: reads segments from where the last one ended.
struct Scrub {
    let engine: Engine
    let configuration: ScrubConfiguration
    private var report = ScrubReport()
    private let pace: Pace

    init(engine: Engine, configuration: ScrubConfiguration) {
        self.engine = engine
        self.configuration = configuration
        pace = Pace(byteRateMax: configuration.byteRateMax)
    }

    mutating func run() async throws(StoreError) -> ScrubReport {
        let cursor = configuration.startsOver ? nil : try await cursor()
        let segments = try await segments(after: cursor)
        for segment in segments {
            try engine.checkCancellation("the scrub")
            if let limit = configuration.byteCountMax, report.byteCount >= limit { return report }
            try await scrub(segment)
            try await setCursor(segment)
            try await pace.keep(report.byteCount, "the scrub")
        }
        report.isRoundComplete = true
        engine.metrics.countScrubRound()
        try await setCursor(nil)
        return report
    }

    // MARK: - One segment

    private mutating func scrub(_ segment: SegmentNumber) async throws(StoreError) {
        let engine = engine
        let (damage, byteCount) = try await engine.pool.run {
            (_) throws(StoreError) -> ([Range<UInt64>], UInt64) in
            try Self.read(segment, engine)
        }
        report.segmentCount += 1
        report.byteCount += byteCount
        engine.metrics.countScrubbed(byteCount)
        guard !damage.isEmpty else { return }
        var hit = [Bool](repeating: false, count: damage.count)
        for (id, placement) in try await chunks(of: segment) {
            let location = placement.location
            let places = try await extent(of: id, placement)
            let hits = damage.indices.filter { damage[$0].overlaps(places) }
            guard !hits.isEmpty else { continue }
            for place in hits { hit[place] = true }
            let isNews = try await engine.transact { (transaction) throws(StoreError) in
                try transaction.quarantine(id, at: location)
            }
            guard isNews else { continue }
            report.damagedChunkCount += 1
            engine.metrics.countDamagedChunk()
        }
        report.unusedDamageCount += UInt64(hit.count { !$0 })
        engine.metrics.countUnusedDamage(hit.count { !$0 })
    }

    private static func read(
        _ segment: SegmentNumber, _ engine: Engine
    ) throws(StoreError) -> ([Range<UInt64>], UInt64) {
        var byteCount: UInt64 = 0
        do throws(SegmentError) {
            let report = try engine.segments.scan(segment) {
                (_, location, _) throws(SegmentError) in
                byteCount += UInt64(location.byteCount)
            }
            return (report.damage, byteCount)
        } catch {
            // Compacted away since it was listed: nothing is in it any more.
            if error.code == .segmentUnknown { return ([], 0) }
            throw StoreError(error, while: "scrubbing the segment \(segment)")
        }
    }

    // Only damage costs a walk over the chunk table: no other index leads from a place to a chunk.
    private func chunks(
        of segment: SegmentNumber
    ) async throws(StoreError) -> [(ChunkID, Placement)] {
        var found: [(ChunkID, Placement)] = []
        for try await rows in engine.pages(of: Tables.chunks, for: "the scrub") {
            for row in rows {
                guard let chunk = try? ChunkRow(decoding: row.value),
                    chunk.placement.location.segment == segment
                else { continue }
                found.append((try RowKey.chunkID(of: row.key), chunk.placement))
            }
        }
        return found
    }

    // Where a chunk's records lie: a node's reference list is one of them. One whose length cannot
    // be read begins where the node ends.
    private func extent(
        of id: ChunkID, _ placement: Placement
    ) async throws(StoreError) -> Range<UInt64> {
        let start = placement.location.offset
        var byteCount = UInt64(placement.location.byteCount)
        if placement.kind == .node {
            do throws(StoreError) {
                byteCount = try await engine.references(of: id, at: placement).byteCount
            } catch {
                guard error.code == .corrupted else { throw error }
                byteCount += 1
            }
        }
        return start..<start + byteCount
    }

    // MARK: - Where it is

    private func segments(after cursor: SegmentNumber?) async throws(StoreError) -> [SegmentNumber]
    {
        try await engine.pool.run { [engine] (_) throws(StoreError) -> [SegmentNumber] in
            try engine.checkOpen()
            return try lower(
                "listing segments",
                segments: { () throws(SegmentError) in
                    try engine.segments.segments().filter(\.isSealed).map(\.number)
                }
            ).filter { number in cursor.map { number > $0 } ?? true }
        }
    }

    private func cursor() async throws(StoreError) -> SegmentNumber? {
        let bytes = try await engine.read("reading where the scrub is") {
            (index) throws(IndexError) in
            try index.get(Tables.meta, MetaKey.scrubbedSegment)
        }
        return bytes.flatMap(RowKey.number).map { SegmentNumber($0) }
    }

    private func setCursor(_ segment: SegmentNumber?) async throws(StoreError) {
        try await engine.transact { (transaction) throws(StoreError) in
            guard let segment else {
                return try transaction.delete(Tables.meta, MetaKey.scrubbedSegment)
            }
            try transaction.put(
                Tables.meta, MetaKey.scrubbedSegment, RowKey.segment(segment))
        }
    }
}
