// Part of Cairn, a content-addressed blob store.
//
// file   := magic:"CAIRNCAT" version:u32 number:u32 storeID[16] preceding:u64 kind:u8
//           isComplete:u8 zero[18] crc32c:u32 frame*
// frame  := magic:"CRNF" byteCount:u32 sequence:u64 durable:u64 kind:u8 zero[3]
//           payloadCRC32C:u32 headerCRC32C:u32 payload[byteCount]
// change := table:u8 operation:u8 keyByteCount:u16 valueByteCount:u32 key value

internal import CairnCore
internal import CairnIndex

/// The files of the catalogue: a second copy, outside of the index, of what cannot be computed
/// from the segments. Formats/Catalogue.md describes them.
enum CatalogueFormat {
    static let version: UInt32 = 1
    static let headerByteCount = 64
    static let frameHeaderByteCount = 36
    /// A transaction's changes, with room for the header of each.
    static let payloadByteCountMax = 4 * IndexLimits.transactionByteCountMax

    private static let magic = Array("CAIRNCAT".utf8)
    private static let frameMagic: UInt32 = 0x464E_5243  // "CRNF"

    // MARK: - Names

    /// What a file holds. On disk: never renumber.
    enum FileKind: UInt8 {
        /// All rows as of one moment.
        case base = 1
        /// The changes since, in the order of the commits.
        case log = 2

        fileprivate var suffix: String {
            switch self {
            case .base: ".base"
            case .log: ".log"
            }
        }
    }

    static func name(_ kind: FileKind, _ number: UInt32) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits + kind.suffix
    }

    /// What a file is called while it is written.
    static let partialBase = "base.partial"

    /// The number of a file of this kind; nil for all other names.
    static func number(_ kind: FileKind, ofFile name: String) -> UInt32? {
        guard name.hasSuffix(kind.suffix), let number = UInt32(name.prefix(8), radix: 16),
            self.name(kind, number) == name
        else { return nil }
        return number
    }

    // MARK: - File

    struct Header: Hashable, Sendable {
        var kind: FileKind
        var number: UInt32
        var storeID: Octets16
        /// The number of the last transaction before those in the file; of a base: in it.
        var preceding: UInt64
        /// Whether a base and logs told all changes up to there when the file was begun.
        var isComplete: Bool
    }

    static func encode(_ header: Header) -> [UInt8] {
        var writer = ByteWriter(capacity: headerByteCount)
        writer.append(magic)
        writer.append(version)
        writer.append(header.number)
        writer.append(header.storeID)
        writer.append(header.preceding)
        writer.append(header.kind.rawValue)
        writer.append(header.isComplete ? UInt8(1) : 0)
        writer.append([UInt8](repeating: 0, count: 18))
        writer.appendChecksum()
        return writer.bytes
    }

    static func decodeHeader(_ bytes: Span<UInt8>) throws(CoreError) -> Header {
        // First: a damaged version is damage and not a later release.
        guard bytes.count == headerByteCount,
            bytes.littleEndian(UInt32.self, at: headerByteCount - 4)
                == CRC32C.checksum(bytes.extracting(..<(headerByteCount - 4)))
        else { throw CoreError(.corrupted, "a file of the catalogue has a damaged header") }
        var reader = ByteReader(bytes)
        guard try reader.readBytes(magic.count).hasSameBytes(as: magic.span) else {
            throw CoreError(.corrupted, "a file of the catalogue does not begin as one")
        }
        let found = try reader.readUInt32()
        guard found == version else {
            throw CoreError(
                .unsupportedVersion,
                "the catalogue has version \(found); this release reads \(version)")
        }
        let number = try reader.readUInt32()
        let storeID = try reader.readOctets16()
        let preceding = try reader.readUInt64()
        guard let kind = FileKind(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a file of the catalogue has an unknown kind")
        }
        let isComplete = try reader.readUInt8()
        try reader.readZeros(18)
        try reader.readChecksum()
        try reader.expectEnd()
        return Header(
            kind: kind, number: number, storeID: storeID, preceding: preceding,
            isComplete: isComplete == 1)
    }

    // MARK: - Frame

    /// What a frame holds. On disk: never renumber.
    enum FrameKind: UInt8 {
        case changes = 1
        /// The last frame of a base, without a payload.
        case end = 2
        /// Says how far the index is durable, without a payload.
        case durable = 3
        /// The last frame of a log whose store was closed in order, without a payload.
        case closed = 4
    }

    struct Frame: Hashable, Sendable {
        var kind: FrameKind
        /// Of a log: the number of the transaction. Of a base: that of the last one in it.
        var sequence: UInt64
        /// The number of a transaction that the index cannot lose any more.
        var durable: UInt64
        var payloadByteCount: Int
        var payloadChecksum: UInt32
    }

    static func append(
        _ kind: FrameKind, _ sequence: UInt64, durable: UInt64, _ payload: [UInt8] = [],
        to bytes: inout [UInt8]
    ) {
        var writer = ByteWriter(capacity: frameHeaderByteCount)
        writer.append(frameMagic)
        writer.append(UInt32(payload.count))  // at most payloadByteCountMax
        writer.append(sequence)
        writer.append(durable)
        writer.append(kind.rawValue)
        writer.append([0, 0, 0])
        writer.append(CRC32C.checksum(payload.span))
        writer.appendChecksum()
        bytes += writer.bytes
        bytes += payload
    }

    static func decodeFrame(_ bytes: Span<UInt8>) throws(CoreError) -> Frame {
        var reader = ByteReader(bytes)
        guard try reader.readUInt32() == frameMagic else {
            throw CoreError(.corrupted, "no frame of the catalogue begins here")
        }
        let byteCount = Int(try reader.readUInt32())
        let sequence = try reader.readUInt64()
        let durable = try reader.readUInt64()
        let kind = FrameKind(rawValue: try reader.readUInt8())
        try reader.readZeros(3)
        let checksum = try reader.readUInt32()
        try reader.readChecksum()
        guard let kind, byteCount <= payloadByteCountMax else {
            throw CoreError(.corrupted, "a frame of the catalogue has an unknown kind or length")
        }
        return Frame(
            kind: kind, sequence: sequence, durable: durable, payloadByteCount: byteCount,
            payloadChecksum: checksum)
    }
}

// MARK: - Changes

/// A row that was put or deleted.
struct CatalogueChange: Hashable, Sendable {
    var table: IndexTable
    var key: [UInt8]
    /// Nil: deleted.
    var value: [UInt8]?

    private enum Operation {
        static let put: UInt8 = 1
        static let delete: UInt8 = 2
    }

    func append(to bytes: inout [UInt8]) {
        var writer = ByteWriter(capacity: 8 + key.count + (value?.count ?? 0))
        writer.append(CatalogueTables.number(of: table) ?? 0)
        writer.append(value == nil ? Operation.delete : Operation.put)
        writer.append(UInt16(key.count))  // at most IndexLimits.keyByteCountMax
        writer.append(UInt32(value?.count ?? 0))  // at most IndexLimits.valueByteCountMax
        writer.append(key)
        if let value { writer.append(value) }
        bytes += writer.bytes
    }

    @_lifetime(reader: copy reader)
    init(reading reader: inout ByteReader) throws(CoreError) {
        guard let table = CatalogueTables.table(try reader.readUInt8()) else {
            throw CoreError(.corrupted, "the catalogue names an unknown table")
        }
        let operation = try reader.readUInt8()
        let keyByteCount = Int(try reader.readUInt16())
        let valueByteCount = Int(try reader.readUInt32())
        self.table = table
        key = [UInt8](copying: try reader.readBytes(keyByteCount))
        let value = [UInt8](copying: try reader.readBytes(valueByteCount))
        switch operation {
        case Operation.put: self.value = value
        case Operation.delete where value.isEmpty: self.value = nil
        default: throw CoreError(.corrupted, "the catalogue has an unknown operation")
        }
    }

    init(table: IndexTable, key: [UInt8], value: [UInt8]?) {
        self.table = table
        self.key = key
        self.value = value
    }
}

/// Which rows the catalogue keeps: those that nothing else on disk tells.
enum CatalogueTables {
    // The place in the list, from 1, is on disk: append, never reorder.
    static let all = [
        Tables.meta, Tables.accounts, Tables.bucketNames, Tables.buckets, Tables.keys,
        Tables.links, Tables.smallBlobs, Tables.objects, Tables.deletedBuckets,
        Tables.domains, Tables.objectReferences, Tables.objectVersions, Tables.bucketSettings,
        Tables.quotas, Tables.meteredDays, Tables.removedBuckets, Tables.traffic,
    ]
    private static let metaKeys = Set([
        MetaKey.store, MetaKey.nextKeySlot, MetaKey.keyringRevision, MetaKey.auditHead,
    ])
    private static let numbers = Dictionary(
        uniqueKeysWithValues: zip(all.map(\.name), UInt8(1)...))

    static func number(of table: IndexTable) -> UInt8? { numbers[table.name] }

    static func table(_ number: UInt8) -> IndexTable? {
        (1...all.count).contains(Int(number)) ? all[Int(number) - 1] : nil
    }

    static func keeps(_ table: IndexTable, _ key: [UInt8]) -> Bool {
        guard numbers[table.name] != nil else { return false }
        return table.name != Tables.meta.name || metaKeys.contains(key)
    }

    /// Calls `body` with every row of an index that the catalogue keeps, in the order of tables.
    static func forEachRow(
        of index: any IndexReader, _ body: (CatalogueChange) throws(IndexError) -> Void
    ) throws(IndexError) {
        for table in all {
            try index.forEachRow(table, prefix: []) { (row) throws(IndexError) in
                guard keeps(table, row.key) else { return }
                try body(CatalogueChange(table: table, key: row.key, value: row.value))
            }
        }
    }
}
