// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// One run of compaction over the segments of a store.
struct Compaction {
    /// Records that one transaction moves: a few milliseconds of the committer.
    private static let movedCountMax = 256
    /// Bytes that are read and appended at a time.
    private static let movedByteCountMax = 4 << 20
    /// Records whose rows are looked up together.
    private static let lookUpCountMax = 1024

    let engine: Engine
    let configuration: CompactionConfiguration
    private var report = CompactionReport()
    private let pace: Pace

    init(engine: Engine, configuration: CompactionConfiguration) {
        self.engine = engine
        self.configuration = configuration
        pace = Pace(byteRateMax: configuration.byteRateMax)
    }

    mutating func run() async throws(StoreError) -> CompactionReport {
        var outOfSpace: StoreError?
        for segment in try await chosen() {
            try engine.checkCancellation("the compaction")
            do throws(StoreError) {
                if segment.usedByteCount > 0 { try await empty(segment) }
                try await remove(segment)
            } catch {
                // Another compaction was faster.
                if error.isSegmentGone { continue }
                // One that holds less may still fit; those come first, so hardly ever.
                guard error.code == .outOfSpace else { throw error }
                outOfSpace = error
            }
        }
        if let outOfSpace, report.segmentCount == 0 { throw outOfSpace }
        try await tidyCatalogue()
        return report
    }

    // The catalogue's dead bytes are changes that later ones undid.
    private func tidyCatalogue() async throws(StoreError) {
        guard !engine.catalogue.isFoldDue else {
            do throws(StoreError) { return try await engine.foldCatalogue() } catch {
                // It stays as it is, and says so; what was freed was freed.
                guard error.code == .outOfSpace else { throw error }
                return
            }
        }
        try await engine.pool.run { [engine] (_) throws(StoreError) in
            try engine.catalogue.sync()
        }
    }

    // MARK: - Choosing

    /// A segment and how many of its bytes are alive.
    private struct Segment {
        var number: SegmentNumber
        var isSealed: Bool
        var byteCount: UInt64
        var usedByteCount: UInt64
    }

    // The least alive first: they give the most for the least, also when the disk is nearly full.
    private func chosen() async throws(StoreError) -> [Segment] {
        var all = try await segments()
        if all.contains(where: { !$0.isSealed && isWorthSealing($0) }) {
            try await seal()
            all = try await segments()
        }
        all.removeAll { !$0.isSealed }
        let isSmall = { (segment: Segment) in
            segment.byteCount < engine.segmentByteCount / 8
        }
        let mergesSmall = all.count(where: isSmall) > configuration.smallSegmentCountMax
        return all.filter { segment in
            segment.usedByteCount == 0 || isMostlyDead(segment)
                || (mergesSmall && isSmall(segment))
        }.sorted { $0.usedByteCount < $1.usedByteCount }
    }

    private func isMostlyDead(_ segment: Segment) -> Bool {
        let dead = Double(segment.byteCount - min(segment.usedByteCount, segment.byteCount))
        return dead >= configuration.deadShareMin * Double(segment.byteCount)
    }

    // What is being written is not touched, unless it holds much and most of that is dead.
    private func isWorthSealing(_ segment: Segment) -> Bool {
        segment.byteCount >= engine.segmentByteCount / 8 && isMostlyDead(segment)
    }

    private func seal() async throws(StoreError) {
        try await engine.pool.run { [engine] (_) throws(StoreError) in
            try lower(
                "sealing a segment",
                segments: { () throws(SegmentError) in
                    try engine.segments.seal()
                })
        }
    }

    private func segments() async throws(StoreError) -> [Segment] {
        try await engine.pool.run { [engine] (_) throws(StoreError) -> [Segment] in
            try engine.checkOpen()
            let summaries = try lower(
                "listing segments",
                segments: { () throws(SegmentError) in
                    try engine.segments.segments()
                })
            return try lower(
                "listing segments",
                index: { () throws(IndexError) in
                    let snapshot = try engine.index.snapshot()
                    var segments: [Segment] = []
                    for summary in summaries {
                        let used = try snapshot.count(
                            Tables.segmentUsage, RowKey.segment(summary.number))
                        segments.append(
                            Segment(
                                number: summary.number, isSealed: summary.isSealed,
                                byteCount: summary.byteCount,
                                usedByteCount: UInt64(max(0, used))))
                    }
                    return segments
                })
        }
    }

    // MARK: - Moving

    /// A chunk as it lies in the segment; a node together with its reference list.
    private struct Item: Sendable {
        var id: ChunkID
        var location: RecordLocation
        var byteCount: Int
    }

    private mutating func empty(_ segment: Segment) async throws(StoreError) {
        let engine = engine
        let items = try await engine.pool.run { (_) throws(StoreError) -> [Item] in
            try Self.items(of: segment.number, engine)
        }
        var rest = items[...]
        while !rest.isEmpty {
            let some = rest.prefix(Self.lookUpCountMax)
            rest = rest.dropFirst(some.count)
            var live = try await alive(Array(some))[...]
            while !live.isEmpty {
                let batch = Self.takeBatch(&live)
                try await move(batch)
                try engine.checkCancellation("the compaction")
            }
        }
    }

    private static func items(
        of segment: SegmentNumber, _ engine: Engine
    ) throws(StoreError) -> [Item] {
        var items: [Item] = []
        _ = try lower(
            "reading a segment",
            segments: { () throws(SegmentError) in
                try engine.segments.scan(segment) { (header, location) throws(SegmentError) in
                    switch header.type {
                    case .chunk, .recipe:
                        items.append(
                            Item(
                                id: ChunkID(header.name), location: location,
                                byteCount: Int(location.byteCount)))
                    case .referenceList:
                        // Follows its node; alone it belongs to nothing.
                        guard let node = items.last, node.id.octets == header.name,
                            node.location.offset + UInt64(node.byteCount) == location.offset
                        else { return }
                        items[items.count - 1].byteCount += Int(location.byteCount)
                    default: break
                    }
                }
            })
        return items
    }

    // Those that the chunk table still names here.
    private func alive(_ items: [Item]) async throws(StoreError) -> [Item] {
        let rows = try await engine.read("looking up chunks") { (index) throws(IndexError) in
            try index.getMany(Tables.chunks, items.map(\.id.octets.bytes))
        }
        return try lower(
            "looking up chunks",
            core: { () throws(CoreError) in
                var live: [Item] = []
                for (item, bytes) in zip(items, rows) {
                    guard let bytes else { continue }
                    let row = try ChunkRow(decoding: bytes)
                    if row.placement.location == item.location { live.append(item) }
                }
                return live
            })
    }

    private static func takeBatch(_ items: inout ArraySlice<Item>) -> [Item] {
        var batch: [Item] = []
        var byteCount = 0
        while let next = items.first, batch.count < movedCountMax,
            batch.isEmpty || byteCount + next.byteCount <= movedByteCountMax
        {
            batch.append(next)
            byteCount += next.byteCount
            items.removeFirst()
        }
        return batch
    }

    private mutating func move(_ items: [Item]) async throws(StoreError) {
        let engine = engine
        let copies = try await engine.pool.run { (_) throws(StoreError) -> [RecordLocation?] in
            var copies: [RecordLocation?] = []
            for item in items { copies.append(try Self.copy(item, engine)) }
            return copies
        }
        try await engine.transact(needsSegments: true) { (transaction) throws(StoreError) in
            let rows = try transaction.chunks(items.map(\.id))
            for (index, item) in items.enumerated() {
                guard let row = rows[index], let copy = copies[index],
                    row.placement.location == item.location
                else { continue }
                try transaction.move(item.id, row, to: copy)
            }
        }
        let byteCount = items.reduce(0) { $0 + UInt64($1.byteCount) }
        report.movedByteCount += byteCount
        engine.metrics.countCompaction(movedByteCount: byteCount)
        try await pace.keep(2 * report.movedByteCount, "the compaction")
    }

    // Nil when a record is damaged: it stays where it is, and so does its segment.
    private static func copy(_ item: Item, _ engine: Engine) throws(StoreError) -> RecordLocation? {
        var bytes = [UInt8](repeating: 0, count: item.byteCount)
        let first = Int(item.location.byteCount)
        do throws(SegmentError) {
            var span = bytes.mutableSpan
            try engine.segments.read(
                segment: item.location.segment, offset: item.location.offset, into: &span)
        } catch {
            throw StoreError(error, while: "reading a record to be moved")
        }
        do throws(CoreError) {
            try Record.verifyChecksums(bytes.span.extracting(..<first))
            if first < bytes.count { try Record.verifyChecksums(bytes.span.extracting(first...)) }
        } catch {
            return nil
        }
        let record = bytes
        let base = try lower(
            "moving a record",
            segments: { () throws(SegmentError) in
                try engine.segments.append(byteCount: record.count, for: .reclaiming) {
                    (out) throws(CoreError) in
                    out.copy(record.span)
                }
            })
        return RecordLocation(
            segment: base.segment, offset: base.offset, byteCount: item.location.byteCount)
    }

    // MARK: - Removing

    private mutating func remove(_ segment: Segment) async throws(StoreError) {
        let engine = engine
        let isRemoved = try await engine.pool.run { (_) throws(StoreError) -> Bool in
            // No row names the segment, unless an upload that found a chunk there commits. Such
            // uploads either have not made their find known yet, and are waited for ...
            engine.placing.waitForEarlier()
            // ... or are in the table of chunks in flight.
            guard !engine.inFlight.refers(to: segment.number), engine.segmentPins.isFree else {
                return false
            }
            let used = try lower(
                "looking at a segment",
                index: { () throws(IndexError) in
                    try engine.index.snapshot().count(
                        Tables.segmentUsage, RowKey.segment(segment.number))
                })
            guard used == 0 else { return false }
            try lower(
                "removing a segment",
                segments: { () throws(SegmentError) in
                    try engine.segments.delete(segment.number)
                })
            return true
        }
        guard isRemoved else {
            report.heldSegmentCount += 1
            return
        }
        report.segmentCount += 1
        report.freedByteCount += segment.byteCount
        engine.metrics.countCompaction(freedByteCount: segment.byteCount)
        let key = RowKey.segment(segment.number)
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.delete(Tables.segmentUsage, key)
        }
    }
}
