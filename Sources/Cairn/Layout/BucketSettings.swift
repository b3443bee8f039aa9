// Part of Cairn, a content-addressed blob store.
//
// settings := version:u8(1) versioning:u8
//           | version:u8(2) versioning:u8 retentionMode:u8 retentionSeconds:u64 lifecycle?
//   retentionMode: 0 for no default retention; then retentionSeconds is 0 too
//   lifecycle := ruleCount:u16 dueRule* sealed:prefixed          (absent where there are no rules)
//   dueRule   := flags:u8 prefix:prefixed byteCountMin:u64 byteCountMax:u64 expiration:i64
//                noncurrentSeconds:u64 uploadSeconds:u64
//     of an enabled rule: what the store must know without a key of the bucket
//     flags: bit 0 expires after days, bit 1 expires at a time, bit 2 older versions expire,
//            bit 3 delete markers go
//     expiration: days with bit 0, nanoseconds since 1970 with bit 1, else 0
//     noncurrentSeconds: 0 too where newest versions are kept: then any write may make one due
//   sealed (metadata record, data key, bound to the bucket) := rules, see LifecycleCoding

internal import CairnCore

/// What was set of a bucket beside its keys.
struct BucketSettings: Hashable, Sendable {
    private static let version: UInt8 = 2

    var versioning = Versioning.off
    var retention: DefaultRetention?
    var dueRules: [DueRule] = []
    /// The lifecycle rules as they were given; empty when there are none.
    var sealedRules: [UInt8] = []

    func encoded() -> [UInt8] {
        guard retention != nil || !sealedRules.isEmpty else {
            return [rowVersion, versioning.rawValue]
        }
        var writer = ByteWriter(capacity: 16)
        writer.append(Self.version)
        writer.append(versioning.rawValue)
        writer.append(retention?.mode.rawValue ?? 0)
        writer.append(UInt64(clamping: retention?.period.components.seconds ?? 0))
        guard !sealedRules.isEmpty else { return writer.bytes }
        writer.append(UInt16(dueRules.count))  // at most ruleCountMax
        for rule in dueRules { rule.write(to: &writer) }
        writer.appendLengthPrefixed(sealedRules)
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
            retention = try Self.readRetention(&reader)
            if reader.remainingByteCount > 0 { try readLifecycle(&reader) }
            guard retention != nil || !sealedRules.isEmpty else {
                throw CoreError(.corrupted, "the settings of a bucket set nothing")
            }
        }
        try reader.expectEnd()
    }

    private static func readRetention(
        _ reader: inout ByteReader
    ) throws(CoreError) -> DefaultRetention? {
        let modeNumber = try reader.readUInt8()
        let seconds = try reader.readUInt64()
        if modeNumber == 0, seconds == 0 { return nil }
        let longest = UInt64(86_400 * Retention.dayCountMax)
        guard let mode = Retention.Mode(rawValue: modeNumber), (1...longest).contains(seconds)
        else { throw CoreError(.corrupted, "the default retention of a bucket is impossible") }
        return DefaultRetention(mode, for: .seconds(Int64(seconds)))  // at most 2^32
    }

    private mutating func readLifecycle(_ reader: inout ByteReader) throws(CoreError) {
        let count = try reader.readUInt16()
        guard count <= LifecycleRule.ruleCountMax else {
            throw CoreError(.corrupted, "a bucket has \(count) lifecycle rules")
        }
        for _ in 0..<count { dueRules.append(try DueRule(reading: &reader)) }
        sealedRules = [UInt8](copying: try reader.readLengthPrefixed(limit: Int(UInt32.max)))
        guard !sealedRules.isEmpty else {
            throw CoreError(.corrupted, "the lifecycle rules of a bucket are missing")
        }
    }
}

/// What must be known of a lifecycle rule to tell when something may be due. It may be due for more
/// than the rule concerns: whoever looks then sees the whole rule.
struct DueRule: Hashable, Sendable {
    private struct Flags {
        static let expiresAfter: UInt8 = 1
        static let expiresAt: UInt8 = 2
        static let older: UInt8 = 4
        static let markers: UInt8 = 8
    }

    var prefix: String
    var byteCountMin: UInt64
    var byteCountMax: UInt64
    var expiration: LifecycleRule.Expiration?
    /// From the moment on at which a version became an older one.
    var olderPeriod: Duration?
    var removesMarkers: Bool
    var uploadPeriod: Duration?

    init(_ rule: LifecycleRule) {
        prefix = rule.prefix
        byteCountMin = rule.byteCountMin
        byteCountMax = rule.byteCountMax
        expiration = rule.expiration
        // Where some are kept, every new one may be the end of an old one.
        olderPeriod = rule.noncurrentExpiration.map {
            $0.keepingNewest > 0 ? .zero : .days($0.days)
        }
        removesMarkers = rule.removesExpiredDeleteMarkers
        uploadPeriod = rule.incompleteUploadDays.map { .days($0) }
    }

    func write(to writer: inout ByteWriter) {
        var flags: UInt8 = 0
        var value: Int64 = 0
        switch expiration {
        case .after(let days): (flags, value) = (Flags.expiresAfter, Int64(days))
        case .at(let moment): (flags, value) = (Flags.expiresAt, moment.nanosecondsSinceEpoch)
        case nil: break
        }
        if olderPeriod != nil { flags |= Flags.older }
        if removesMarkers { flags |= Flags.markers }
        writer.append(flags)
        writer.appendLengthPrefixed(prefix)
        writer.append(byteCountMin)
        writer.append(byteCountMax)
        writer.append(value)
        writer.append(UInt64(clamping: olderPeriod?.components.seconds ?? 0))
        writer.append(UInt64(clamping: uploadPeriod?.components.seconds ?? 0))
    }

    init(reading reader: inout ByteReader) throws(CoreError) {
        let flags = try reader.readUInt8()
        prefix = try reader.readString(limit: Names.objectKeyByteCount.upperBound)
        byteCountMin = try reader.readUInt64()
        byteCountMax = try reader.readUInt64()
        let value = try reader.readInt64()
        let older = try reader.readUInt64()
        let upload = try reader.readUInt64()
        let longest = UInt64(86_400 * LifecycleRule.dayCountMax)
        let impossible = CoreError(.corrupted, "a lifecycle rule of a bucket is impossible")
        guard flags <= 0xF, older <= longest, upload <= longest else { throw impossible }
        switch flags & (Flags.expiresAfter | Flags.expiresAt) {
        case Flags.expiresAfter:
            guard (1...Int64(LifecycleRule.dayCountMax)).contains(value) else { throw impossible }
            expiration = .after(days: Int(value))
        case Flags.expiresAt: expiration = .at(Timestamp(nanosecondsSinceEpoch: value))
        case 0: guard value == 0 else { throw impossible }
        default: throw impossible
        }
        let hasOlder = flags & Flags.older != 0
        guard hasOlder || older == 0 else { throw impossible }
        olderPeriod = hasOlder ? .seconds(Int64(older)) : nil  // at most 2^32
        removesMarkers = flags & Flags.markers != 0
        uploadPeriod = upload > 0 ? .seconds(Int64(upload)) : nil  // at most 2^32
    }

    func concerns(_ key: String) -> Bool { key.utf8.starts(with: prefix.utf8) }

    /// When a version that was written may expire; nil is never.
    func expiry(of row: ObjectRow) -> Timestamp? {
        guard (byteCountMin...max(byteCountMin, byteCountMax)).contains(row.byteCount) else {
            return nil
        }
        switch expiration {
        case .after(let days): return row.modifiedAt + .days(days)
        case .at(let moment): return moment
        case nil: return nil
        }
    }
}
