// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Finds, reads and opens the chunks of one deduplication domain.
///
/// Every chunk is authenticated before a byte of it is used. Blocking: for worker threads.
struct ChunkReader: Sendable {
    /// One read from a segment covers at most this much.
    static let readByteCountMax = 4 << 20
    /// Gaps up to this size are read and thrown away: cheaper than another call.
    static let gapByteCountMax: UInt64 = 64 << 10

    let engine: Engine
    let domain: DomainKeys

    /// Reads slices of chunks into one buffer, in order.
    func read(
        _ slices: [ChunkSlice], _ context: inout WorkerContext
    ) throws(StoreError) -> [UInt8] {
        let byteCount = slices.reduce(0) { $0 + $1.range.count }
        var buffer = [UInt8](repeating: 0, count: byteCount)
        var span = buffer.mutableSpan
        try read(slices, into: &span, &context)
        return buffer
    }

    /// Reads slices of chunks one behind the other to the start of `output`.
    func read(
        _ slices: [ChunkSlice], into output: inout MutableSpan<UInt8>,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        let ids = slices.map { domain.chunkID($0.hash, byteCount: $0.chunkByteCount) }
        try followingMoves { () throws(StoreError) in
            try read(slices, ids, into: &output, &context)
        }
    }

    private func read(
        _ slices: [ChunkSlice], _ ids: [ChunkID], into output: inout MutableSpan<UInt8>,
        _ context: inout WorkerContext
    ) throws(StoreError) {
        let locations = try locate(ids)
        var position = 0
        var index = 0
        while index < slices.count {
            let end = Self.endOfRun(locations, from: index)
            let run = index..<end
            let raw = try readRun(locations[run])
            let base = locations[index].offset
            for item in run {
                let offset = Int(locations[item].offset - base)
                let record = raw.span.extracting(
                    offset..<offset + Int(locations[item].byteCount))
                let slice = slices[item]
                var target = output.part(position..<position + slice.range.count)
                try quarantiningDamage(of: ids[item], at: locations[item]) {
                    () throws(StoreError) in
                    try open(record, slice, ids[item], into: &target, &context)
                }
                position += slice.range.count
            }
            index = end
        }
    }

    /// Reads a recipe node.
    func node(
        _ entry: TreeEntry, _ context: inout WorkerContext
    ) throws(StoreError) -> RecipeNode {
        let id = domain.chunkID(entry.hash, byteCount: entry.storedByteCount)
        let (location, raw) = try followingMoves { () throws(StoreError) in
            let location = try locate([id])[0]
            return (location, try readRun([location]))
        }
        var bytes = [UInt8](repeating: 0, count: Int(entry.storedByteCount))
        var span = bytes.mutableSpan
        try quarantiningDamage(of: id, at: location) { () throws(StoreError) in
            try open(
                raw.span, .recipe, entry.hash, entry.storedByteCount, id, into: &span, &context)
        }
        return try lower(
            "reading a recipe",
            core: { () throws(CoreError) in
                try RecipeNode(decoding: bytes.span, level: entry.level, byteCount: entry.byteCount)
            })
    }

    // MARK: -

    /// A chunk that is moved between look-up and read takes a fresh look-up: its old segment is
    /// removed only after its row says where it is. More than a few times in a row is no move.
    private static let moveCountMax = 16

    private func followingMoves<R>(_ body: () throws(StoreError) -> R) throws(StoreError) -> R {
        var moveCount = 0
        while true {
            do throws(StoreError) {
                return try body()
            } catch {
                moveCount += 1
                guard error.isSegmentGone, moveCount <= Self.moveCountMax else { throw error }
            }
        }
    }

    // What cannot be opened is no duplicate any more: the next upload of the same bytes cures it.
    private func quarantiningDamage(
        of id: ChunkID, at location: RecordLocation, _ body: () throws(StoreError) -> Void
    ) throws(StoreError) {
        do throws(StoreError) {
            try body()
        } catch {
            if error.code == .corrupted { engine.quarantine(id, at: location) }
            throw error
        }
    }

    private func locate(_ ids: [ChunkID]) throws(StoreError) -> [RecordLocation] {
        let rows = try lower(
            "looking up chunks",
            index: { () throws(IndexError) in
                try engine.index.getMany(Tables.chunks, ids.map(\.octets.bytes))
            })
        var locations: [RecordLocation] = []
        locations.reserveCapacity(ids.count)
        for (id, row) in zip(ids, rows) {
            guard let row else {
                locations.append(try locateInFlight(id))
                continue
            }
            locations.append(
                try lower(
                    "looking up chunks",
                    core: { () throws(CoreError) in
                        try ChunkRow(decoding: row).placement.location
                    }))
        }
        return locations
    }

    // An upload session that compares bytes sent again may read what it has not committed yet.
    private func locateInFlight(_ id: ChunkID) throws(StoreError) -> RecordLocation {
        guard let placement = engine.inFlight.placement(id) else {
            throw StoreError(.corrupted, "a chunk has no row in the chunk table")
        }
        return placement.location
    }

    // Chunks that were written together lie together: one read gets them all.
    private static func endOfRun(_ locations: [RecordLocation], from start: Int) -> Int {
        let first = locations[start]
        var previous = first
        var index = start + 1
        while index < locations.count {
            let next = locations[index]
            let previousEnd = previous.offset + UInt64(previous.byteCount)
            guard next.segment == first.segment, next.offset >= previousEnd,
                next.offset - previousEnd <= gapByteCountMax,
                next.offset + UInt64(next.byteCount) - first.offset <= UInt64(readByteCountMax)
            else { break }
            previous = next
            index += 1
        }
        return index
    }

    private func readRun(_ run: ArraySlice<RecordLocation>) throws(StoreError) -> [UInt8] {
        guard let first = run.first, let last = run.last else { return [] }
        let byteCount = Int(last.offset - first.offset) + Int(last.byteCount)
        return try lower(
            "reading chunks",
            segments: { () throws(SegmentError) in
                var bytes = [UInt8](repeating: 0, count: byteCount)
                var span = bytes.mutableSpan
                try engine.segments.read(segment: first.segment, offset: first.offset, into: &span)
                return bytes
            })
    }

    private func open(
        _ record: Span<UInt8>, _ slice: ChunkSlice, _ id: ChunkID,
        into target: inout MutableSpan<UInt8>, _ context: inout WorkerContext
    ) throws(StoreError) {
        let byteCount = Int(slice.chunkByteCount)
        guard slice.range.count < byteCount else {
            return try open(
                record, .chunk, slice.hash, slice.chunkByteCount, id, into: &target, &context)
        }
        var whole = [UInt8](repeating: 0, count: byteCount)
        var span = whole.mutableSpan
        try open(record, .chunk, slice.hash, slice.chunkByteCount, id, into: &span, &context)
        target.copy(whole.span.extracting(slice.range))
    }

    private func open(
        _ record: Span<UInt8>, _ type: RecordType, _ hash: ChunkHash, _ byteCount: UInt32,
        _ id: ChunkID, into target: inout MutableSpan<UInt8>, _ context: inout WorkerContext
    ) throws(StoreError) {
        do throws(CoreError) {
            try domain.withChunkKey(hash, byteCount: byteCount) { (key) throws(CoreError) in
                try context.sealer.open(
                    record, expecting: type, suite: .convergent, name: id.octets, key: key,
                    scope: domain.scope, into: &target)
            }
        } catch {
            throw StoreError(.corrupted, "stored bytes are damaged", cause: error)
        }
    }
}
