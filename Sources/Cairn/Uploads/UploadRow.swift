// Part of Cairn, a content-addressed blob store.
//
// upload := version:u8 checkpointID[16] startedAt:i64 expiresAt:i64 receivedByteCount:u64
//           held:prefixed state:prefixed
//   held  (reference list, store key, named by the session)  := chunkID[32]*
//   state (metadata record, data key, named by the session)  :=
//     algorithm:u8 blob:prefixed blob512:prefixed chunker:prefixed tail:prefixed
//     levelCount:u8 (entryCount:u32 (hash[32] storedByteCount:u32 byteCount:u64 id[32])*)*
//     domainSlot:u32?                (absent: the first domain that the bucket had)
//     isPart:u8? checksums?          (absent: no part, and no checksums)

internal import CairnCore

/// The durable state of an upload session: its last checkpoint.
struct UploadRow: Sendable {
    /// Bounds what a damaged row can demand: a tail of one window, three full levels.
    static let sealedByteCountMax = 4 << 20

    /// Random: who goes on from this checkpoint can tell that it is still the last one.
    var checkpointID: Octets16
    var startedAt: Timestamp
    var expiresAt: Timestamp
    var receivedByteCount: UInt64
    /// The chunks of the spine, each counted once by the session.
    var sealedHeld: [UInt8]
    var sealedState: [UInt8]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + sealedHeld.count + sealedState.count)
        writer.append(rowVersion)
        writer.append(checkpointID)
        writer.append(startedAt.nanosecondsSinceEpoch)
        writer.append(expiresAt.nanosecondsSinceEpoch)
        writer.append(receivedByteCount)
        writer.appendLengthPrefixed(sealedHeld)
        writer.appendLengthPrefixed(sealedState)
        return writer.bytes
    }

    init(
        checkpointID: Octets16, startedAt: Timestamp, expiresAt: Timestamp,
        receivedByteCount: UInt64, sealedHeld: [UInt8], sealedState: [UInt8]
    ) {
        self.checkpointID = checkpointID
        self.startedAt = startedAt
        self.expiresAt = expiresAt
        self.receivedByteCount = receivedByteCount
        self.sealedHeld = sealedHeld
        self.sealedState = sealedState
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        checkpointID = try reader.readOctets16()
        startedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        expiresAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        receivedByteCount = try reader.readUInt64()
        let held = try reader.readLengthPrefixed(limit: Self.sealedByteCountMax)
        sealedHeld = [UInt8](copying: held)
        let state = try reader.readLengthPrefixed(limit: Self.sealedByteCountMax)
        sealedState = [UInt8](copying: state)
        try reader.expectEnd()
    }
}

/// Where an upload stands: enough to go on without reading or hashing a byte again.
struct UploadState: Sendable {
    var digests: StreamDigests
    var chunker: [UInt8]
    /// Received but not cut yet, behind everything in the tree.
    var tail: [UInt8]
    var builder: RecipeBuilder
    private let ownDomainSlot: UInt32?
    /// Nobody goes on with a part: it is sent anew.
    let isPart: Bool

    var heldIDs: [ChunkID] { builder.forest.map(\.id) }

    /// The key slot of the domain that the tree lies in.
    func domainSlot(in keys: BucketKeys) -> UInt32 {
        ownDomainSlot ?? keys.domains.first?.slot ?? keys.domain.slot
    }

    init(
        stage: DigestStage, tail: [UInt8], builder: RecipeBuilder, domainSlot: UInt32, isPart: Bool
    ) {
        ownDomainSlot = domainSlot
        self.isPart = isPart
        digests = stage.digests
        chunker = stage.chunker.savedState
        self.tail = tail
        self.builder = builder
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: tail.count + 1024)
        writer.append(digests.algorithm.rawValue)
        digests.write(digestsTo: &writer)
        writer.appendLengthPrefixed(chunker)
        writer.appendLengthPrefixed(tail)
        writer.append(UInt8(builder.levels.count))
        for level in builder.levels {
            writer.append(UInt32(level.count))
            for item in level {
                writer.append(item.entry.hash.octets)
                writer.append(item.entry.storedByteCount)
                writer.append(item.entry.byteCount)
                writer.append(item.id.octets)
            }
        }
        if let ownDomainSlot { writer.append(ownDomainSlot) }
        let hasChecksums = !digests.checksumAlgorithms.isEmpty
        if isPart || hasChecksums { writer.append(UInt8(isPart ? 1 : 0)) }
        if hasChecksums { digests.write(checksumsTo: &writer) }
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        guard let algorithm = Digest.Algorithm(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "an upload has an unknown digest algorithm")
        }
        digests = try StreamDigests(algorithm, reading: &reader)
        chunker = [UInt8](copying: try reader.readLengthPrefixed(limit: 1024))
        tail = [UInt8](copying: try reader.readLengthPrefixed(limit: UploadRow.sealedByteCountMax))
        var levels: [[IdentifiedEntry]] = []
        for level in 0..<(try reader.readUInt8()) {
            guard level <= RecipeNode.levelMax else {
                throw CoreError(.corrupted, "an upload's tree is too high")
            }
            levels.append(try Self.readLevel(level, &reader))
        }
        builder = RecipeBuilder(levels: levels)
        ownDomainSlot = reader.remainingByteCount > 0 ? try reader.readUInt32() : nil
        var kind: UInt8?
        if reader.remainingByteCount > 0 { kind = try reader.readUInt8() }
        isPart = kind == 1
        if reader.remainingByteCount > 0 { digests = try digests.reading(checksums: &reader) }
        guard kind ?? 1 <= 1, kind != 0 || !digests.checksumAlgorithms.isEmpty else {
            throw CoreError(.corrupted, "an upload is of an unknown kind")
        }
        try reader.expectEnd()
    }

    private static func readLevel(
        _ level: UInt8, _ reader: inout ByteReader
    ) throws(CoreError) -> [IdentifiedEntry] {
        let count = try reader.readUInt32()
        guard count < RecipeNode.entryCountMax else {
            throw CoreError(.corrupted, "a level of an upload's tree is too wide")
        }
        var entries: [IdentifiedEntry] = []
        for _ in 0..<count {
            let hash = ChunkHash(try reader.readOctets32())
            let storedByteCount = try reader.readUInt32()
            let byteCount = try reader.readUInt64()
            let entry = TreeEntry(
                hash: hash, storedByteCount: storedByteCount, byteCount: byteCount, level: level)
            entries.append(IdentifiedEntry(entry: entry, id: ChunkID(try reader.readOctets32())))
        }
        return entries
    }
}
