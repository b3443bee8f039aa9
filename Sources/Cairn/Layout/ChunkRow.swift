// Part of Cairn, a content-addressed blob store.
//
// chunk := segment:u32 offset:u32(in units of 8 bytes) recordByteCount:u32 kind:u8
//          referenceCount:u64                                                        (21 bytes)
//          (bucketNumber:u32 uncompressedByteCount:u32)?                             (29 bytes)
//   kind: ChunkKind, and 0x80 for a record that is known to be damaged
//   bucketNumber: of the bucket that has brought the chunk; absent where that is not known
//
// No version byte: the table is the largest of all, and the length tells the shape.

internal import CairnCore
internal import CairnSegments

/// What a record in a segment holds. On disk: never renumber.
enum ChunkKind: UInt8, Sendable {
    /// Bytes of a blob.
    case data = 0
    /// A recipe node; its reference list is the next record of the segment.
    case node = 1
}

/// Where a chunk lies, and what it is.
struct Placement: Hashable, Sendable {
    var location: RecordLocation
    var kind: ChunkKind
}

/// A chunk that was stored, or found stored, for a bucket.
struct ChunkArrival: Sendable {
    var placement: Placement
    var uncompressedByteCount: UInt32
    /// Of that bucket.
    var bucketNumber: UInt32
}

struct ChunkRow: Sendable {
    private static let byteCountMax = 29
    static let offsetUnit: UInt64 = 8
    /// Bounds what a damaged row can make a reader allocate.
    static let recordByteCountMax = RecordHeader.recordByteCount(
        suite: .convergent, plaintextByteCount: RecordHeader.plaintextByteCountMax)

    var placement: Placement
    /// How often recipe nodes, links, upload sessions and parts name the chunk.
    ///
    /// Zero means that nothing needs it: it is no longer a duplicate of anything, and the sweep
    /// may take it.
    var referenceCount: UInt64
    /// Whether the record is known not to give the chunk's bytes: it is no duplicate of anything
    /// then, and the next upload of the same bytes puts a sound one in its place.
    var isDamaged = false
    /// The number of the bucket that has brought the chunk; 0 where that is not known.
    var bucketNumber: UInt32 = 0
    /// Of the data before it was compressed; 0 for nodes.
    var uncompressedByteCount: UInt32 = 0

    /// On disk: never change.
    private static let damaged: UInt8 = 0x80

    func encoded() throws(CoreError) -> [UInt8] {
        let location = placement.location
        let units = location.offset / Self.offsetUnit
        guard location.offset.isMultiple(of: Self.offsetUnit), let offset = UInt32(exactly: units)
        else { throw CoreError(.limitExceeded, "a record lies beyond what a chunk row can name") }
        var writer = ByteWriter(capacity: Self.byteCountMax)
        writer.append(location.segment.rawValue)
        writer.append(offset)
        writer.append(location.byteCount)
        writer.append(placement.kind.rawValue | (isDamaged ? Self.damaged : 0))
        writer.append(referenceCount)
        if bucketNumber != 0 || uncompressedByteCount != 0 {
            writer.append(bucketNumber)
            writer.append(uncompressedByteCount)
        }
        return writer.bytes
    }

    init(placement: Placement, referenceCount: UInt64) {
        self.placement = placement
        self.referenceCount = referenceCount
    }

    init(_ arrival: ChunkArrival, referenceCount: UInt64) {
        placement = arrival.placement
        self.referenceCount = referenceCount
        bucketNumber = arrival.bucketNumber
        uncompressedByteCount = arrival.uncompressedByteCount
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        let segment = SegmentNumber(try reader.readUInt32())
        let offset = UInt64(try reader.readUInt32()) * Self.offsetUnit
        let byteCount = try reader.readUInt32()
        guard byteCount > 0, byteCount.isMultiple(of: UInt32(Self.offsetUnit)),
            Int(byteCount) <= Self.recordByteCountMax
        else { throw CoreError(.corrupted, "a chunk row has an impossible length") }
        let flags = try reader.readUInt8()
        isDamaged = flags & Self.damaged != 0
        guard let kind = ChunkKind(rawValue: flags & ~Self.damaged) else {
            throw CoreError(.corrupted, "a chunk row has an unknown kind")
        }
        let location = RecordLocation(segment: segment, offset: offset, byteCount: byteCount)
        placement = Placement(location: location, kind: kind)
        referenceCount = try reader.readUInt64()
        if reader.remainingByteCount > 0 {
            bucketNumber = try reader.readUInt32()
            uncompressedByteCount = try reader.readUInt32()
        }
        try reader.expectEnd()
    }
}
