// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnSegments

/// What a chunk's records say without any customer's key.
struct NodeReferences: Sendable {
    /// The ids of a node's children, by occurrence; none for a chunk of data.
    var children: [ChunkID]
    /// The bytes of the chunk's records: a node's reference list is one of them.
    var byteCount: UInt64
}

extension Engine {
    /// The chunks that an upload session holds, from its row.
    func heldChunks(of bytes: [UInt8], _ id: UploadID) async throws(StoreError) -> [ChunkID] {
        try await pool.run { [sealingKey] (context) throws(StoreError) -> [ChunkID] in
            let row = try lower(
                "reading an upload session",
                core: { () throws(CoreError) in
                    try UploadRow(decoding: bytes)
                })
            let list = try context.open(
                row.sealedHeld, as: .referenceList, name: Octets32(padding: id.octets),
                under: sealingKey)
            return try lower(
                "reading an upload session",
                core: { () throws(CoreError) in
                    try ReferenceList.decode(list.span)
                })
        }
    }

    /// Checks that a chunk's record is where the index says; for a node, reads what it counts.
    func references(
        of id: ChunkID, at placement: Placement
    ) async throws(StoreError) -> NodeReferences {
        try await pool.run { [self] (context) throws(StoreError) -> NodeReferences in
            try references(of: id, at: placement, &context)
        }
    }

    /// The same, on a worker thread.
    func references(
        of id: ChunkID, at placement: Placement, _ context: inout WorkerContext
    ) throws(StoreError) -> NodeReferences {
        let location = placement.location
        let header = try recordHeader(at: location.offset, of: location.segment)
        guard header.name == id.octets, header.recordByteCount == Int(location.byteCount) else {
            throw StoreError(.corrupted, "its record is not where the index says")
        }
        guard placement.kind == .node else {
            return NodeReferences(children: [], byteCount: UInt64(location.byteCount))
        }
        let offset = location.offset + UInt64(location.byteCount)
        let list = try recordHeader(at: offset, of: location.segment)
        let record = try read(list.recordByteCount, at: offset, of: location.segment)
        let bytes = try context.open(
            record, as: .referenceList, name: id.octets, under: sealingKey)
        let children = try lower(
            "reading a reference list",
            core: { () throws(CoreError) in
                try ReferenceList.decode(bytes.span)
            })
        return NodeReferences(
            children: children, byteCount: UInt64(location.byteCount) + UInt64(record.count))
    }

    /// The numbers of all segments, in ascending order.
    func segmentNumbers() async throws(StoreError) -> [SegmentNumber] {
        try await pool.run { [segments] (_) throws(StoreError) in
            try lower(
                "listing segments",
                segments: { () throws(SegmentError) in
                    try segments.segments().map(\.number)
                })
        }
    }

    /// Reads every record of a segment; answers what is damaged.
    func scan(
        _ segment: SegmentNumber
    ) throws(SegmentError) -> (damage: [Range<UInt64>], byteCount: UInt64) {
        var byteCount: UInt64 = 0
        let report = try segments.scan(segment) { (_, location, _) throws(SegmentError) in
            byteCount += UInt64(location.byteCount)
        }
        return (report.damage, byteCount)
    }

    private func recordHeader(
        at offset: UInt64, of segment: SegmentNumber
    ) throws(StoreError) -> RecordHeader {
        let prefix = try read(RecordHeader.byteCountMax, at: offset, of: segment)
        return try lower(
            "reading a record",
            core: { () throws(CoreError) in
                try RecordHeader(parsing: prefix.span)
            })
    }

    private func read(
        _ byteCount: Int, at offset: UInt64, of segment: SegmentNumber
    ) throws(StoreError) -> [UInt8] {
        try lower(
            "reading a record",
            segments: { () throws(SegmentError) -> [UInt8] in
                var bytes = [UInt8](repeating: 0, count: byteCount)
                var span = bytes.mutableSpan
                try segments.read(segment: segment, offset: offset, into: &span)
                return bytes
            })
    }
}
