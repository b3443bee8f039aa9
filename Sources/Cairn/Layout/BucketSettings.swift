// Part of Cairn, a content-addressed blob store.
//
// settings := version:u8(1) versioning:u8

internal import CairnCore

/// What was set of a bucket beside its keys.
struct BucketSettings: Sendable {
    var versioning: Versioning

    func encoded() -> [UInt8] { [rowVersion, versioning.rawValue] }

    init(versioning: Versioning) { self.versioning = versioning }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        guard let versioning = Versioning(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "the settings of a bucket name an unknown versioning")
        }
        self.versioning = versioning
        try reader.expectEnd()
    }
}
