// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Counts all references anew and compares with what the index says.
///
/// Independent of how the counts came about: it reads links, upload sessions, and the reference
/// lists in the segments. In several passes when there are many chunks, each over a part of the
/// ids, so that memory has a bound.
struct ReferenceAudit {
    /// Chunks of one pass: each takes about 100 bytes.
    private static let chunkCountMax: UInt64 = 1 << 19

    private struct Counted {
        var found: UInt64 = 0
        /// Nil: there is no row.
        var stored: UInt64?
    }

    /// What a page of chunk rows says.
    private struct Page: Sendable {
        var stored: [(ChunkID, UInt64)] = []
        var children: [ChunkID] = []
        var totals = ChunkTotals()
        var problems: [String] = []
        /// Where chunks that are needed lie, for comparison with damage.
        var places: [(ChunkID, SegmentNumber, Range<UInt64>)] = []
    }

    private let index: VerifiedIndex
    private let damage: [SegmentNumber: [Range<UInt64>]]
    private var isHit: [SegmentNumber: [Bool]]

    /// - Parameter damage: what was found damaged in segments.
    init(index: VerifiedIndex, damage: [SegmentNumber: [Range<UInt64>]]) {
        self.index = index
        self.damage = damage
        isHit = damage.mapValues { [Bool](repeating: false, count: $0.count) }
    }

    /// - Returns: what is stored, by the numbers of the buckets that have brought it.
    mutating func run(
        _ report: inout VerifyReport
    ) async throws(StoreError) -> [UInt32: UsageCounts] {
        let count = try await index.read { (snapshot) throws(IndexError) in
            try snapshot.count(Tables.meta, MetaKey.chunkCount)
        }
        let passCount = UInt64(max(0, count)) / Self.chunkCountMax + 1
        var stored: [UInt32: UsageCounts] = [:]
        for pass in 0..<passCount {
            let part = Part(number: pass, count: passCount)
            let totals = try await run(part, isFirst: pass == 0, &report)
            if pass == 0 { stored = totals.stored }
        }
        report.unusedDamageCount += isHit.values.reduce(0) { sum, hits in
            sum + UInt64(hits.count { !$0 })
        }
        return stored
    }

    // MARK: - One pass

    /// The ids of one pass.
    private struct Part: Sendable {
        var number: UInt64
        var count: UInt64

        func contains(_ id: ChunkID) -> Bool {
            count == 1 || id.octets.span.littleEndianWord(at: 0) % count == number
        }
    }

    private mutating func run(
        _ part: Part, isFirst: Bool, _ report: inout VerifyReport
    ) async throws(StoreError) -> ChunkTotals {
        var counts: [ChunkID: Counted] = [:]
        try await countLinks(part, isFirst, &counts, &report)
        try await countUploads(part, isFirst, &counts, &report)
        try await countParts(part, isFirst, &counts, &report)
        var totals = ChunkTotals()
        for try await rows in index.pages(of: Tables.chunks) {
            let page = try await page(rows, part, isFirst: isFirst)
            for (id, count) in page.stored { counts[id, default: Counted()].stored = count }
            for child in page.children { counts[child, default: Counted()].found += 1 }
            for problem in page.problems { report.add(problem) }
            for (id, segment, range) in page.places { note(id, segment, range, &report) }
            try totals.add(page.totals)
        }
        if isFirst { try await check(totals, &report) }
        for (id, count) in counts {
            guard let stored = count.stored else {
                report.add("chunk \(id) is in use and has no row")
                continue
            }
            guard stored != count.found else { continue }
            report.add("chunk \(id): \(stored) references stored, \(count.found) found")
        }
        return totals
    }

    // Those of deleted buckets count until the sweep has worked them off.
    private func countLinks(
        _ part: Part, _ isFirst: Bool, _ counts: inout [ChunkID: Counted],
        _ report: inout VerifyReport
    ) async throws(StoreError) {
        for try await rows in index.pages(of: Tables.links) {
            for row in rows {
                do throws(CoreError) {
                    guard let root = try LinkRow(decoding: row.value).rootID, part.contains(root)
                    else { continue }
                    counts[root, default: Counted()].found += 1
                } catch {
                    if isFirst { report.add("the link \(Hex.encode(row.key)) is damaged") }
                }
            }
        }
    }

    private func countUploads(
        _ part: Part, _ isFirst: Bool, _ counts: inout [ChunkID: Counted],
        _ report: inout VerifyReport
    ) async throws(StoreError) {
        for try await rows in index.pages(of: Tables.uploads) {
            for row in rows {
                do throws(StoreError) {
                    let id = try RowKey.uploadID(of: row.key)
                    for held in try await index.engine.heldChunks(of: row.value, id)
                    where part.contains(held) {
                        counts[held, default: Counted()].found += 1
                    }
                } catch {
                    guard error.code == .corrupted else { throw error }
                    if isFirst { report.add("an upload session's row is damaged") }
                }
            }
        }
    }

    private func countParts(
        _ part: Part, _ isFirst: Bool, _ counts: inout [ChunkID: Counted],
        _ report: inout VerifyReport
    ) async throws(StoreError) {
        for try await rows in index.pages(of: Tables.parts) {
            for row in rows {
                do throws(StoreError) {
                    guard let root = try Engine.decodePart(row.value).rootID, part.contains(root)
                    else { continue }
                    counts[root, default: Counted()].found += 1
                } catch {
                    guard error.code == .corrupted else { throw error }
                    if isFirst { report.add("a part of a multipart upload is damaged") }
                }
            }
        }
    }

    // The record must be where the row says and name the chunk; nodes count their children.
    private func page(
        _ rows: [IndexEntry], _ part: Part, isFirst: Bool
    ) async throws(StoreError) -> Page {
        try await index.engine.pool.run { [index] (context) throws(StoreError) -> Page in
            try index.engine.checkOpen()
            var page = Page()
            for row in rows {
                do throws(StoreError) {
                    try Self.look(at: row, part, isFirst, index, &page, &context)
                } catch {
                    switch error.code {
                    case .corrupted, .formatTooNew: break
                    default: throw error
                    }
                    guard isFirst else { continue }
                    page.problems.append("chunk \(Hex.encode(row.key)): \(error.message)")
                }
            }
            return page
        }
    }

    private static func look(
        at row: IndexEntry, _ part: Part, _ isFirst: Bool, _ index: VerifiedIndex,
        _ page: inout Page, _ context: inout WorkerContext
    ) throws(StoreError) {
        let id = try RowKey.chunkID(of: row.key)
        let chunk = try lower(
            "reading a chunk row",
            core: { () throws(CoreError) in
                try ChunkRow(decoding: row.value)
            })
        if part.contains(id) { page.stored.append((id, chunk.referenceCount)) }
        // Later passes are for the children of nodes alone.
        guard isFirst || chunk.placement.kind == .node else { return }
        page.totals.count(chunk, 1)
        if isFirst, chunk.referenceCount == 0 {
            let isListed = try lower(
                "looking for garbage",
                index: { () throws(IndexError) in
                    try index.snapshot.get(Tables.garbage, row.key) != nil
                })
            if !isListed {
                page.problems.append(
                    "chunk \(id) has no references and is not listed as garbage")
            }
        }
        let references = try index.engine.references(of: id, at: chunk.placement, &context)
        page.children += references.children.filter(part.contains)
        guard isFirst, chunk.referenceCount > 0 else { return }
        let location = chunk.placement.location
        page.places.append(
            (id, location.segment, location.offset..<location.offset + references.byteCount))
    }

    // MARK: - Comparing

    private mutating func note(
        _ id: ChunkID, _ segment: SegmentNumber, _ range: Range<UInt64>,
        _ report: inout VerifyReport
    ) {
        guard let ranges = damage[segment] else { return }
        for (number, damaged) in ranges.enumerated() where damaged.overlaps(range) {
            isHit[segment]?[number] = true
            report.add("chunk \(id): its record in the segment \(segment) is damaged")
        }
    }

    // The counters that follow the chunk table.
    private func check(
        _ found: ChunkTotals, _ report: inout VerifyReport
    ) async throws(StoreError) {
        let (count, usage) = try await index.read {
            (snapshot) throws(IndexError) -> (Int64, [[UInt8]: Int64]) in
            var usage: [[UInt8]: Int64] = [:]
            try snapshot.forEachRow(Tables.segmentUsage, prefix: []) { (row) throws(IndexError) in
                usage[row.key] = try snapshot.count(Tables.segmentUsage, row.key)
            }
            return (try snapshot.count(Tables.meta, MetaKey.chunkCount), usage)
        }
        if count != found.chunkCount {
            report.add("\(count) chunks are counted, there are \(found.chunkCount)")
        }
        var unused = usage.filter { $0.value != 0 }
        for (segment, byteCount) in found.byteCounts {
            let counted = unused.removeValue(forKey: RowKey.segment(segment)) ?? 0
            guard counted != byteCount else { continue }
            report.add("segment \(segment): \(counted) bytes are counted as used, not \(byteCount)")
        }
        for (key, counted) in unused {
            report.add("segment \(Hex.encode(key)): \(counted) bytes are counted as used, not 0")
        }
    }
}
