// Part of Cairn, a content-addressed blob store.
//
// link := version:u8 flags:u8 rootID[32] byteCount:u64 createdAt:i64 referenceCount:u32
//         capability:prefixed              (metadata record, data key, bound to the link's name)
//         leaseEnd:i64?                    (with flag 2)
//   flags: bit 0 pinned, bit 1 inline, bit 2 leased, never with bit 0; others zero
//   capability := digestAlgorithm:u8 digest:prefixed byteCount:u64 layout:u8 level:u8
//                 domainSlot:u32 rootByteCount:u32 rootHash[32]   (layout 0: inline, rest zero)

internal import CairnCore

/// What a bucket's index says of one blob without any key of the bucket.
struct LinkRow: Sendable {
    /// A sealed capability has about 250 bytes.
    static let capabilityByteCountMax = 1024

    private struct Flags {
        static let pinned: UInt8 = 1
        static let inline: UInt8 = 2
        static let leased: UInt8 = 4
    }

    /// Uploaded or mounted as a blob: lives until it is deleted. Otherwise it is the body of an
    /// object and goes with the last object that refers to it.
    var isPinned: Bool
    /// The root of the blob's tree; nil when the bytes are in the small-blob table.
    var rootID: ChunkID?
    var byteCount: UInt64
    var createdAt: Timestamp
    /// How many objects of the bucket refer to the blob.
    var referenceCount: UInt32
    var sealedCapability: [UInt8]
    /// Until then the blob stays also without an object that refers to it. Each lease has a row in
    /// the table of leases.
    var leaseEnd: Timestamp?

    /// Whether the blob stays until then, whatever becomes of objects.
    func isHeld(until end: Timestamp) -> Bool {
        isPinned || leaseEnd.map { $0 >= end } ?? false
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + sealedCapability.count)
        writer.append(rowVersion)
        writer.append(
            (isPinned ? Flags.pinned : 0) | (rootID == nil ? Flags.inline : 0)
                | (leaseEnd == nil ? 0 : Flags.leased))
        writer.append(rootID?.octets ?? Octets32())
        writer.append(byteCount)
        writer.append(createdAt.nanosecondsSinceEpoch)
        writer.append(referenceCount)
        writer.appendLengthPrefixed(sealedCapability)
        if let leaseEnd { writer.append(leaseEnd.nanosecondsSinceEpoch) }
        return writer.bytes
    }

    init(
        _ hold: BlobHold, rootID: ChunkID?, byteCount: UInt64, createdAt: Timestamp,
        referenceCount: UInt32, sealedCapability: [UInt8]
    ) {
        isPinned = hold == .pin
        if case .lease(let end) = hold { leaseEnd = end }
        self.rootID = rootID
        self.byteCount = byteCount
        self.createdAt = createdAt
        self.referenceCount = referenceCount
        self.sealedCapability = sealedCapability
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        let flags = try reader.readUInt8()
        guard flags & ~(Flags.pinned | Flags.inline | Flags.leased) == 0,
            flags & (Flags.pinned | Flags.leased) != Flags.pinned | Flags.leased
        else {
            throw CoreError(.corrupted, "a link has unknown flags")
        }
        isPinned = flags & Flags.pinned != 0
        let root = try reader.readOctets32()
        let isInline = flags & Flags.inline != 0
        guard !isInline || root == Octets32() else {
            throw CoreError(.corrupted, "a link has both a root and inline bytes")
        }
        rootID = isInline ? nil : ChunkID(root)
        byteCount = try reader.readUInt64()
        createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        referenceCount = try reader.readUInt32()
        let capability = try reader.readLengthPrefixed(limit: Self.capabilityByteCountMax)
        sealedCapability = [UInt8](copying: capability)
        if flags & Flags.leased != 0 {
            leaseEnd = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        }
        try reader.expectEnd()
    }
}

/// What lets its holder read a blob: the secret hash of the root of its tree.
///
/// It never leaves the process but sealed under the data key of the bucket that links the blob.
struct Capability: Sendable {
    var digest: Digest
    var byteCount: UInt64
    /// nil: the bytes are in the small-blob table under the link's name.
    var root: BlobRoot?

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.append(digest.algorithm.rawValue)
        writer.appendLengthPrefixed(digest.bytes)
        writer.append(byteCount)
        writer.append(root?.layout.rawValue ?? 0)
        writer.append(root?.entry.level ?? 0)
        writer.append(root?.domainSlot ?? 0)
        writer.append(root?.entry.storedByteCount ?? 0)
        writer.append(root?.entry.hash.octets ?? Octets32())
        return writer.bytes
    }

    init(digest: Digest, byteCount: UInt64, root: BlobRoot?) {
        self.digest = digest
        self.byteCount = byteCount
        self.root = root
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        guard let algorithm = Digest.Algorithm(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a capability has an unknown digest algorithm")
        }
        digest = try Digest(algorithm: algorithm, bytes: reader.readLengthPrefixed(limit: 64))
        byteCount = try reader.readUInt64()
        let layout = try reader.readUInt8()
        let level = try reader.readUInt8()
        let domainSlot = try reader.readUInt32()
        let storedByteCount = try reader.readUInt32()
        let hash = ChunkHash(try reader.readOctets32())
        try reader.expectEnd()
        guard layout != 0 else { return }
        guard let layout = BlobLayout(rawValue: layout), level <= RecipeNode.levelMax else {
            throw CoreError(.corrupted, "a capability has an unknown layout or level")
        }
        root = BlobRoot(
            layout: layout, domainSlot: domainSlot,
            entry: TreeEntry(
                hash: hash, storedByteCount: storedByteCount, byteCount: byteCount, level: level))
    }
}
