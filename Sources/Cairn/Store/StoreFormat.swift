// Part of Cairn, a content-addressed blob store.
//
// CAIRN := magic:"CairnSto" formatVersion:u16 reserved:u16(0) storeID[16] crc32c:u32

internal import CairnCore

/// The names and numbers of a store's directory. Formats/Store.md describes it.
enum StoreFormat {
    /// On disk: raised when an older release could not read what this one writes.
    static let version: UInt16 = 1
    /// The key that seals the store's own records.
    static let storeKeySlot: UInt32 = 1
    /// The first slot for keys of accounts and buckets.
    static let firstKeySlot: UInt32 = 2

    /// Written last when a store is created: what has no marker is no store.
    static let marker = "CAIRN"
    /// Written first when a store is created: its presence tells an interrupted creation from a
    /// store that lost its marker.
    static let creating = "CAIRN.creating"
    static let lock = "lock"
    static let keyring = "keyring"
    static let keyFile = "keyring.key"
    static let index = "index"
    /// An index that a repair is building.
    static let newIndex = "index.new"
    /// What a repair has replaced; later ones get a number behind it.
    static let oldIndex = "index.old"
    static let segments = "segments"
    static let catalogue = "catalogue"
    static let audit = "audit"

    private static let magic = Array("CairnSto".utf8)
    static let markerByteCountMax = 4096

    static func encodeMarker(_ storeID: Octets16) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.append(magic)
        writer.append(version)
        writer.append(UInt16(0))
        writer.append(storeID)
        writer.appendChecksum()
        return writer.bytes
    }

    /// The store's id.
    static func decodeMarker(_ bytes: [UInt8]) throws(StoreError) -> Octets16 {
        try lower(
            "reading the store's marker",
            core: { () throws(CoreError) in
                var reader = ByteReader(bytes.span)
                guard try reader.readBytes(magic.count).hasSameBytes(as: magic.span) else {
                    throw CoreError(.corrupted, "the marker does not begin as one")
                }
                let found = try reader.readUInt16()
                guard found == version else {
                    throw CoreError(
                        found > version ? .unsupportedVersion : .corrupted,
                        "the store has format version \(found), this release reads \(version)")
                }
                try reader.readZeros(2)
                let storeID = try reader.readOctets16()
                try reader.readChecksum()
                try reader.expectEnd()
                return storeID
            })
    }
}
