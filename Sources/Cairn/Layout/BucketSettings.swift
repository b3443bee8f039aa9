// Part of Cairn, a content-addressed blob store.
//
// settings := version:u8(1) versioning:u8
//           | version:u8(2) versioning:u8 retentionMode:u8 retentionSeconds:u64
//   retentionMode: 0 for no default retention; then retentionSeconds is 0 too

internal import CairnCore

/// What was set of a bucket beside its keys.
struct BucketSettings: Hashable, Sendable {
    private static let version: UInt8 = 2

    var versioning = Versioning.off
    var retention: DefaultRetention?

    func encoded() -> [UInt8] {
        guard let retention else { return [rowVersion, versioning.rawValue] }
        var writer = ByteWriter(capacity: 16)
        writer.append(Self.version)
        writer.append(versioning.rawValue)
        writer.append(retention.mode.rawValue)
        writer.append(UInt64(clamping: retention.period.components.seconds))
        return writer.bytes
    }

    /// Those of a bucket of which nothing was set.
    init() {}

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        let version = try reader.readUInt8()
        guard version == rowVersion || version == Self.version else {
            throw CoreError(.unsupportedVersion, "the settings of a bucket have version \(version)")
        }
        guard let versioning = Versioning(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "the settings of a bucket name an unknown versioning")
        }
        self.versioning = versioning
        if version == Self.version {
            guard let mode = Retention.Mode(rawValue: try reader.readUInt8()) else {
                throw CoreError(.corrupted, "the settings of a bucket name an unknown retention")
            }
            let seconds = try reader.readUInt64()
            let longest = UInt64(86_400 * Retention.dayCountMax)
            guard (1...longest).contains(seconds) else {
                throw CoreError(.corrupted, "the default retention of a bucket is too long")
            }
            retention = DefaultRetention(mode, for: .seconds(Int64(seconds)))  // at most 2^32
        }
        try reader.expectEnd()
    }
}
