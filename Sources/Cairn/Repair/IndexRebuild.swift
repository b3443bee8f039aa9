// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Finds the chunks of a store again and counts what refers to them.
///
/// Starts from an index that has everything else. First every whole record gets a row, then all
/// references are followed from the links down, each node once, then the rows that nothing refers
/// to go. Memory: what one segment holds, and the children of one path of nodes.
struct IndexRebuild {
    /// Rows of chunks that one transaction writes.
    private static let rowCountMax = 4096

    private let engine: Engine
    private var report: RepairReport

    init(engine: Engine, report: RepairReport) {
        self.engine = engine
        self.report = report
    }

    mutating func run() async throws(StoreError) -> RepairReport {
        var usage = UsageRebuild(engine: engine)
        try await usage.begin()
        for segment in try await engine.segmentNumbers() { try await collect(segment) }
        try await followLinks(usage.numbers)
        try await restoreRows()
        try await usage.count()
        try await usage.restoreMeters()
        try await scheduleLifecycle()
        try await dropUnused()
        try await usage.end()
        report.blobCount = try await blobCount()
        return report
    }

    // MARK: - Collecting

    private struct Found: Sendable {
        var id: ChunkID
        var placement: Placement
        var uncompressedByteCount: UInt32 = 0
    }

    private mutating func collect(_ segment: SegmentNumber) async throws(StoreError) {
        let (found, damagedRangeCount) = try await engine.pool.run {
            [engine] (_) throws(StoreError) in
            try Self.chunks(of: segment, engine)
        }
        report.damagedRangeCount += UInt64(damagedRangeCount)
        var rest = found[...]
        while !rest.isEmpty {
            let some = rest.prefix(Self.rowCountMax)
            rest = rest.dropFirst(some.count)
            try await engine.transact { (transaction) throws(StoreError) in
                for chunk in some {
                    try transaction.collect(
                        chunk.id, chunk.placement, chunk.uncompressedByteCount)
                }
            }
            try engine.checkCancellation("the repair")
        }
    }

    // Whole ones only. A node is of use only with the list of its references behind it.
    private static func chunks(
        of segment: SegmentNumber, _ engine: Engine
    ) throws(StoreError) -> ([Found], damagedRangeCount: Int) {
        var found: [Found] = []
        var node: Found?
        let report = try lower(
            "reading a segment",
            segments: { () throws(SegmentError) in
                try engine.segments.scan(segment) { (header, location) throws(SegmentError) in
                    let id = ChunkID(header.name)
                    switch header.type {
                    case .chunk:
                        found.append(
                            Found(
                                id: id, placement: Placement(location: location, kind: .data),
                                uncompressedByteCount: UInt32(header.plaintextByteCount)))
                    case .recipe:
                        node = Found(id: id, placement: Placement(location: location, kind: .node))
                        return
                    case .referenceList:
                        if let node, node.id == id, node.placement.location.isFollowed(by: location)
                        {
                            found.append(node)
                        }
                    default: break
                    }
                    node = nil
                }
            })
        return (found, report.damage.count)
    }

    // MARK: - Following

    // Who has brought a chunk is not told any more: whose link leads there first.
    private mutating func followLinks(_ numbers: [BucketID: UInt32]) async throws(StoreError) {
        for try await rows in pages(of: Tables.links) {
            var roots: [UInt32: [ChunkID]] = [:]
            for row in rows {
                // One that is damaged is reported by whoever reads it.
                guard let link = try? LinkRow(decoding: row.value), let root = link.rootID
                else { continue }
                let bucket = try RowKey.bucketID(prefixing: row.key)
                roots[numbers[bucket] ?? 0, default: []].append(root)
            }
            for (number, roots) in roots { try await follow(roots, number) }
        }
    }

    private mutating func follow(
        _ roots: [ChunkID], _ number: UInt32
    ) async throws(StoreError) {
        var nodes = try await refer(to: roots, number)
        while let node = nodes.popLast() {
            let children: [ChunkID]
            do throws(StoreError) {
                children = try await engine.references(of: node.id, at: node.placement).children
            } catch {
                guard error.code == .corrupted else { throw error }
                try await lose(node.id)
                continue
            }
            nodes += try await refer(to: children, number)
            try engine.checkCancellation("the repair")
        }
    }

    // Counts references; returns the nodes among the chunks whose own are to be followed now.
    private mutating func refer(
        to ids: [ChunkID], _ number: UInt32
    ) async throws(StoreError) -> [Found] {
        guard !ids.isEmpty else { return [] }
        var counts: [ChunkID: UInt64] = [:]
        for id in ids { counts[id, default: 0] += 1 }
        let added = counts
        let (nodes, lostCount) = try await engine.transact {
            (transaction) throws(StoreError) -> ([Found], Int) in
            var nodes: [Found] = []
            var lostCount = 0
            let ids = added.keys.sorted { $0.octets < $1.octets }
            for (id, row) in zip(ids, try transaction.chunks(ids)) {
                let count = added[id] ?? 0
                guard let row else {
                    try transaction.putLost(id, referenceCount: count)
                    lostCount += 1
                    continue
                }
                var named = row
                if row.bucketNumber == 0 { named.bucketNumber = number }
                try transaction.put(id, named, referenceCount: row.referenceCount + count)
                if row.referenceCount == 0, row.placement.kind == .node {
                    nodes.append(Found(id: id, placement: row.placement))
                }
            }
            return (nodes, lostCount)
        }
        report.lostChunkCount += UInt64(lostCount)
        return nodes
    }

    private mutating func lose(_ id: ChunkID) async throws(StoreError) {
        try await engine.transact { (transaction) throws(StoreError) in
            let count = try transaction.chunks([id])[0]?.referenceCount ?? 0
            try transaction.putLost(id, referenceCount: count)
        }
        report.lostChunkCount += 1
    }

    // MARK: - Counting

    // What the catalogue does not keep, for other rows tell it.
    private func restoreRows() async throws(StoreError) {
        for try await rows in pages(of: Tables.links) {
            try await engine.transact { (transaction) throws(StoreError) in
                for row in rows { try transaction.putLease(ofLink: row) }
            }
        }
        for table in [Tables.objects, Tables.objectVersions] {
            for try await rows in pages(of: table) {
                if table == Tables.objectVersions {
                    try await engine.transact { (transaction) throws(StoreError) in
                        for row in rows { try transaction.noteNullVersion(row) }
                    }
                }
                try await engine.transact { (transaction) throws(StoreError) in
                    for row in rows { try transaction.putLock(ofObject: row) }
                }
                try await putReferences(of: rows, naming: Self.referenceKeys(ofObject:))
            }
        }
        for try await rows in pages(of: Tables.objectReferences) {
            try await putReferences(of: rows, naming: Self.referenceKeys(ofReferencesRow:))
        }
    }

    /// Rows of one transaction: one object may name ten thousand blobs under a long key.
    private static let referenceCountMax = 8192

    private func putReferences(
        of rows: [IndexEntry], naming keys: (IndexEntry) throws(StoreError) -> [[UInt8]]
    ) async throws(StoreError) {
        var pending: [[UInt8]] = []
        for row in rows {
            pending += try keys(row)
            while pending.count >= Self.referenceCountMax || row == rows.last && !pending.isEmpty {
                let part = Array(pending.prefix(Self.referenceCountMax))
                pending.removeFirst(part.count)
                try await engine.transact { (transaction) throws(StoreError) in
                    for key in part { try transaction.put(Tables.references, key, []) }
                }
            }
        }
    }

    // One that is damaged is reported by whoever reads it.
    private static func referenceKeys(ofObject row: IndexEntry) throws(StoreError) -> [[UInt8]] {
        guard let object = try? ObjectRow(decoding: row.value), !object.isDeleteMarker else {
            return []
        }
        let key = RowKey.objectKey(ofVersionName: row.key.dropFirst(Octets16.byteCount))
        return try referenceKeys(
            [object.bodyName] + object.ownReferences, of: row,
            RowKey.versionName(key, token: object.token))
    }

    private static func referenceKeys(
        ofReferencesRow row: IndexEntry
    ) throws(StoreError) -> [[UInt8]] {
        guard let references = try? ObjectReferencesRow(decoding: row.value) else { return [] }
        return try referenceKeys(
            references.names, of: row, Array(row.key.dropFirst(Octets16.byteCount)))
    }

    private static func referenceKeys(
        _ names: [LinkName], of row: IndexEntry, _ version: [UInt8]
    ) throws(StoreError) -> [[UInt8]] {
        let bucket = try RowKey.bucketID(prefixing: row.key)
        return names.map { RowKey.link(bucket, $0) + version }
    }

    // Those of deleted buckets are nobody's.
    private func blobCount() async throws(StoreError) -> UInt64 {
        let storeID = engine.storeID
        let row = try await engine.read("counting blobs") { (index) throws(IndexError) in
            try index.get(Tables.usage, storeID.bytes)
        }
        return try Engine.decodeUsage(row).magnitude(.blobs)
    }

    // When anything is due was only in the index, and so were events.
    private func scheduleLifecycle() async throws(StoreError) {
        for try await rows in pages(of: Tables.buckets) {
            try await engine.transact { (transaction) throws(StoreError) in
                for row in rows {
                    try transaction.beginEvents(of: RowKey.bucketID(of: row.key))
                }
            }
        }
        let now = engine.clock.now()
        for try await rows in pages(of: Tables.bucketSettings) {
            for row in rows {
                guard let settings = try? BucketSettings(decoding: row.value),
                    !settings.dueRules.isEmpty
                else { continue }
                let bucket = try RowKey.bucketID(of: row.key)
                try await engine.transact { (transaction) throws(StoreError) in
                    try transaction.scheduleLifecycleWalk(of: bucket, at: now)
                }
            }
        }
    }

    private mutating func dropUnused() async throws(StoreError) {
        for try await rows in pages(of: Tables.chunks) {
            let kept = try await engine.transact { (transaction) throws(StoreError) in
                try transaction.settle(rows)
            }
            report.chunkCount += UInt64(kept)
        }
        report.chunkCount -= report.lostChunkCount
    }

    private func pages(of table: IndexTable) -> RowPages {
        engine.pages(of: table, for: "the repair")
    }
}

extension RecordLocation {
    fileprivate func isFollowed(by other: RecordLocation) -> Bool {
        segment == other.segment && offset + UInt64(byteCount) == other.offset
    }
}

// MARK: - Rows

// The counters beside the chunk table follow at the end, in one go.
extension Transaction {
    /// Notes where a chunk lies. Of several places the last counts.
    fileprivate func collect(
        _ id: ChunkID, _ placement: Placement, _ uncompressedByteCount: UInt32
    ) throws(StoreError) {
        let arrival = ChunkArrival(
            placement: placement, uncompressedByteCount: uncompressedByteCount, bucketNumber: 0)
        try put(id, ChunkRow(arrival, referenceCount: 0))
    }

    fileprivate func put(
        _ id: ChunkID, _ row: ChunkRow, referenceCount: UInt64
    ) throws(StoreError) {
        var row = row
        row.referenceCount = referenceCount
        try put(id, row)
    }

    /// A row for a chunk that is needed and nowhere: damaged, so that the next upload of the same
    /// bytes puts it in its place. It counts no children, so it is no node, whatever it was.
    fileprivate func putLost(_ id: ChunkID, referenceCount: UInt64) throws(StoreError) {
        var row = ChunkRow(placement: .nowhere, referenceCount: referenceCount)
        row.isDamaged = true
        try put(id, row)
        try put(Tables.damage, id.octets.bytes, [])
    }

    /// Drops what nothing refers to, and brings the counters up to date for the rest.
    ///
    /// - Returns: how many are left.
    fileprivate func settle(_ rows: [IndexEntry]) throws(StoreError) -> Int {
        var totals = ChunkTotals()
        for row in rows {
            let chunk = try lower(
                "reading a chunk row",
                core: { () throws(CoreError) in
                    try ChunkRow(decoding: row.value)
                })
            if chunk.referenceCount == 0 {
                try delete(Tables.chunks, row.key)
            } else {
                totals.count(chunk, 1)
            }
        }
        try add(totals)
        return Int(totals.chunkCount)
    }

    fileprivate func noteNullVersion(_ row: IndexEntry) throws(StoreError) {
        guard let object = try? ObjectRow(decoding: row.value), object.token == 0 else { return }
        try noteNullVersion(
            of: RowKey.objectKey(ofVersionName: row.key.dropFirst(Octets16.byteCount)),
            sequence: object.sequence, in: RowKey.bucketID(prefixing: row.key))
    }

    fileprivate func putLock(ofObject row: IndexEntry) throws(StoreError) {
        guard let object = try? ObjectRow(decoding: row.value), let end = object.lock.end else {
            return
        }
        let key = RowKey.objectKey(ofVersionName: row.key.dropFirst(Octets16.byteCount))
        let bucket = try RowKey.bucketID(prefixing: row.key)
        try put(
            Tables.objectLocks, RowKey.objectLock(bucket, end, key, token: object.token), [])
    }

    fileprivate func putLease(ofLink row: IndexEntry) throws(StoreError) {
        guard let link = try? LinkRow(decoding: row.value), let end = link.leaseEnd else { return }
        try put(
            Tables.blobLeases,
            RowKey.blobLease(
                end, RowKey.bucketID(prefixing: row.key), RowKey.linkName(of: row.key)), [])
    }
}

extension Placement {
    /// Of a chunk that no segment has; the numbers of segments begin with 1.
    static let nowhere = Placement(
        location: RecordLocation(segment: SegmentNumber(0), offset: 0, byteCount: 8), kind: .data)
}
