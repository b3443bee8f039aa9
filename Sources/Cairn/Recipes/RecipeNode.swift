// Part of Cairn, a content-addressed blob store.
//
// node  := kind:u8(1) version:u8(1) layout:u8 level:u8 entryCount:u32 entry{entryCount}
// entry := hash[32] storedByteCount:u32                      at level 1, whose children are chunks
//        | hash[32] storedByteCount:u32 byteCount:u64        above, whose children are nodes
//
// A blob is a tree of nodes over chunks. A tree of one chunk has no node at all.

internal import CairnCore

/// A child of a recipe node, or the root of a tree.
struct TreeEntry: Sendable {
    /// What opens the child: secret.
    var hash: ChunkHash
    /// The child's own plaintext length: chunk bytes or node bytes.
    var storedByteCount: UInt32
    /// The bytes of the blob below the child.
    var byteCount: UInt64
    /// 0 for a chunk of data, the node's level otherwise.
    var level: UInt8
}

/// The root of a blob's tree, how the blob was cut, and whose chunks they are.
struct BlobRoot: Sendable {
    var layout: BlobLayout
    /// The key slot of the deduplication domain.
    var domainSlot: UInt32
    var entry: TreeEntry
}

/// One node of a blob's tree: some consecutive children.
struct RecipeNode: Sendable {
    /// On disk: never renumber. Later kinds may rebuild a blob in other ways.
    private static let kind: UInt8 = 1
    private static let version: UInt8 = 1
    private static let headerByteCount = 8

    /// 1024 × 36 bytes: large enough that a node costs 0.02 % of what it describes (16 KiB
    /// chunks), small enough that a session may hold one unfinished node per level.
    static let entryCountMax = 1024
    /// 1024⁶ chunks of the smallest size are more than 2⁶⁴ bytes.
    static let levelMax: UInt8 = 6

    var layout: BlobLayout
    var level: UInt8
    var entries: [TreeEntry]

    var byteCount: UInt64 { entries.reduce(0) { $0 + $1.byteCount } }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.headerByteCount + entries.count * 44)
        writer.append(Self.kind)
        writer.append(Self.version)
        writer.append(layout.rawValue)
        writer.append(level)
        writer.append(UInt32(entries.count))
        for entry in entries {
            writer.append(entry.hash.octets)
            writer.append(entry.storedByteCount)
            if level > 1 { writer.append(entry.byteCount) }
        }
        return writer.bytes
    }

    init(layout: BlobLayout, level: UInt8, entries: [TreeEntry]) {
        self.layout = layout
        self.level = level
        self.entries = entries
    }

    /// Decodes a node that its parent says to be at `level` with `byteCount` bytes below it.
    init(decoding bytes: Span<UInt8>, level: UInt8, byteCount: UInt64) throws(CoreError) {
        var reader = ByteReader(bytes)
        guard try reader.readUInt8() == Self.kind, try reader.readUInt8() == Self.version else {
            throw CoreError(.unsupportedVersion, "a recipe has an unknown kind or version")
        }
        guard let layout = BlobLayout(rawValue: try reader.readUInt8()),
            try reader.readUInt8() == level, level >= 1
        else { throw CoreError(.corrupted, "a recipe node is not what its parent names") }
        let count = try reader.readUInt32()
        guard count >= 1, count <= Self.entryCountMax else {
            throw CoreError(.corrupted, "a recipe node has \(count) entries")
        }
        self.layout = layout
        self.level = level
        entries = []
        entries.reserveCapacity(Int(count))
        var total: UInt64 = 0
        for _ in 0..<count {
            let entry = try TreeEntry(reading: &reader, below: level)
            let (sum, overflow) = total.addingReportingOverflow(entry.byteCount)
            guard !overflow, entry.byteCount > 0 else {
                throw CoreError(.corrupted, "a recipe node has an impossible length")
            }
            total = sum
            entries.append(entry)
        }
        try reader.expectEnd()
        guard total == byteCount else {
            throw CoreError(.corrupted, "a recipe node is not as long as its parent says")
        }
    }
}

extension TreeEntry {
    fileprivate init(reading reader: inout ByteReader, below level: UInt8) throws(CoreError) {
        hash = ChunkHash(try reader.readOctets32())
        storedByteCount = try reader.readUInt32()
        byteCount = level > 1 ? try reader.readUInt64() : UInt64(storedByteCount)
        self.level = level - 1
    }
}

/// The chunk ids of a node's children, in order: what the store may know without the node's key.
///
/// referenceList := id[32]*
enum ReferenceList {
    static func encode(_ ids: [ChunkID]) -> [UInt8] {
        var writer = ByteWriter(capacity: ids.count * Octets32.byteCount)
        for id in ids { writer.append(id.octets) }
        return writer.bytes
    }

    static func decode(_ bytes: Span<UInt8>) throws(CoreError) -> [ChunkID] {
        var reader = ByteReader(bytes)
        var ids: [ChunkID] = []
        ids.reserveCapacity(bytes.count / Octets32.byteCount)
        while reader.remainingByteCount > 0 { ids.append(ChunkID(try reader.readOctets32())) }
        return ids
    }
}
