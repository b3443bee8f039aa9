// Part of Cairn, a content-addressed blob store.
//
// store   := version:u8 storeID[16] formatVersion:u16 createdAt:i64 chunker:prefixed
// account := version:u8 id[16] createdAt:i64 domainSlot:u32
// key     := version:u8 kind:u8 ownerID[16] generation:u32 wrapped:prefixed

internal import CairnCore
internal import CairnIndex

/// The version of every row of this release. On disk: a new shape takes a new number.
let rowVersion: UInt8 = 1

/// Checks the leading version byte of a row.
func readRowVersion(_ reader: inout ByteReader) throws(CoreError) {
    let version = try reader.readUInt8()
    guard version == rowVersion else {
        throw CoreError(.unsupportedVersion, "an index row has version \(version)")
    }
}

struct StoreRow: Sendable {
    var storeID: Octets16
    var createdAt: Timestamp
    var chunker: ChunkerParameters

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.append(rowVersion)
        writer.append(storeID)
        writer.append(StoreFormat.version)
        writer.append(createdAt.nanosecondsSinceEpoch)
        writer.appendLengthPrefixed(chunker.encoded)
        return writer.bytes
    }

    init(storeID: Octets16, createdAt: Timestamp, chunker: ChunkerParameters) {
        self.storeID = storeID
        self.createdAt = createdAt
        self.chunker = chunker
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        storeID = try reader.readOctets16()
        let version = try reader.readUInt16()
        guard version == StoreFormat.version else {
            throw CoreError(.unsupportedVersion, "the index has format version \(version)")
        }
        createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        chunker = try ChunkerParameters(decoding: reader.readLengthPrefixed(limit: 256))
        try reader.expectEnd()
    }
}

struct AccountRow: Sendable {
    var id: AccountID
    var createdAt: Timestamp
    /// The key slot of the account's deduplication domain.
    var domainSlot: UInt32

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.append(rowVersion)
        writer.append(id.octets)
        writer.append(createdAt.nanosecondsSinceEpoch)
        writer.append(domainSlot)
        return writer.bytes
    }

    init(id: AccountID, createdAt: Timestamp, domainSlot: UInt32) {
        self.id = id
        self.createdAt = createdAt
        self.domainSlot = domainSlot
    }

    init(_ entry: IndexEntry) throws(StoreError) {
        self = try lower(
            "reading an account",
            core: { () throws(CoreError) in
                try Self(decoding: entry.value)
            })
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        id = AccountID(octets: try reader.readOctets16())
        createdAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        domainSlot = try reader.readUInt32()
        try reader.expectEnd()
    }
}

extension Transaction {
    /// Stores a new key. A slot that is taken would lose the key in it: after a repair from an
    /// incomplete catalogue the count of slots may be behind.
    func putNewKey(_ key: KeyRow, in slot: UInt32) throws(StoreError) {
        guard try get(Tables.keys, RowKey.keySlot(slot)) == nil else {
            throw StoreError(.corrupted, "key slot \(slot) is taken; repair the store")
        }
        try put(Tables.keys, RowKey.keySlot(slot), key.encoded())
    }
}

struct KeyRow: Sendable {
    /// What a wrapped key is for. On disk: never renumber.
    enum Kind: UInt8 {
        case store = 1
        case domain = 2
        case bucketData = 3
        case bucketIndex = 4
        /// The secret of a domain that a bucket has left, as the bucket took it along.
        case domainCopy = 5
    }

    /// A wrapped key is a few hundred bytes; an external provider's may be longer.
    static let wrappedByteCountMax = 6144

    var kind: Kind
    var ownerID: Octets16
    var generation: UInt32
    var wrapped: [UInt8]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 32 + wrapped.count)
        writer.append(rowVersion)
        writer.append(kind.rawValue)
        writer.append(ownerID)
        writer.append(generation)
        writer.appendLengthPrefixed(wrapped)
        return writer.bytes
    }

    init(kind: Kind, ownerID: Octets16, generation: UInt32, wrapped: [UInt8]) {
        self.kind = kind
        self.ownerID = ownerID
        self.generation = generation
        self.wrapped = wrapped
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        guard let kind = Kind(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a key row has an unknown kind")
        }
        self.kind = kind
        ownerID = try reader.readOctets16()
        generation = try reader.readUInt32()
        wrapped = [UInt8](copying: try reader.readLengthPrefixed(limit: Self.wrappedByteCountMax))
        try reader.expectEnd()
    }
}
