// Part of Cairn, a content-addressed blob store.
//
// usage   := version:u8 counterCount:u8 count:i64* day:u32 since:i64 series*
//   day: the one that is not closed yet, counted from 1970-01-01; since: the last change
//   series: three times, of what is charged logically, uniquely, by fair share
//     series := start:u64 integral:u128       (at the beginning of the day; until the last change)
// day     := version:u8 series2*              (under account ‖ bucket ‖ day)
//     series2 := start:u64 end:u64 integral:u128
// traffic := version:u8 count:u64*            (bytes by class, then requests by kind)
// quota   := sealed                           (metadata record, store key, bound to the owner)
//   sealed := version:u8 limit:u64* warningPercent:u8 charging:u8 changeCount:u16 change*
//             isPublic:u8 allowance*
//     limit: five of them, all ones for none; change := day:u32 charging:u8
//     allowance: four of them := action:u8 amount:u64, an action of 255 for none
// sharer  := version:u8 byteCount:u64 share:u64 linkCount:u32 isOwner:u8 since:i64
//                                             (under root ‖ bucket)
// owner   := account[16] number:u32           (under the id of the bucket)
//          | bucket[16] account[16]           (under the number)

internal import CairnCore

/// What a bucket, an account or the store has, and what has come of it today.
struct UsageRow: Sendable {
    var counts = UsageCounts()
    var meter: Meter

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.append(rowVersion)
        writer.append(UInt8(UsageCounter.allCases.count))
        for counter in UsageCounter.allCases { writer.append(counts[counter]) }
        writer.append(meter.day)
        writer.append(meter.since.nanosecondsSinceEpoch)
        for series in meter.series {
            writer.append(series.start)
            writer.append(series.integral)
        }
        return writer.bytes
    }

    /// Of somebody who has nothing yet.
    init(beginningAt now: Timestamp) { meter = Meter(beginningAt: now) }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        // A release with fewer counters has written fewer.
        let counterCount = Int(try reader.readUInt8())
        guard counterCount <= UsageCounter.allCases.count else {
            throw CoreError(.unsupportedVersion, "a row of usage has \(counterCount) counters")
        }
        var counts = UsageCounts()
        for counter in UsageCounter.allCases.prefix(counterCount) {
            counts[counter] = try reader.readInt64()
        }
        self.counts = counts
        let day = try reader.readUInt32()
        let since = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        guard since >= Meter.start(ofDay: min(day, Meter.dayMax)), day <= Meter.dayMax else {
            throw CoreError(.corrupted, "a row of usage has an impossible time")
        }
        meter = Meter(day: day, since: since)
        for index in meter.series.indices {
            meter.series[index].start = try reader.readUInt64()
            meter.series[index].integral = try reader.readUInt128()
        }
        try reader.expectEnd()
    }
}

/// What has come of one bucket on one day.
struct MeteredDay: Hashable, Sendable {
    struct Series: Hashable, Sendable {
        var start: UInt64
        var end: UInt64
        /// Bytes times nanoseconds.
        var integral: UInt128
    }

    var series: [Series]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.append(rowVersion)
        for series in series {
            writer.append(series.start)
            writer.append(series.end)
            writer.append(series.integral)
        }
        return writer.bytes
    }

    init(series: [Series]) { self.series = series }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        series = []
        for _ in ChargingMode.allCases {
            series.append(
                Series(
                    start: try reader.readUInt64(), end: try reader.readUInt64(),
                    integral: try reader.readUInt128()))
        }
        try reader.expectEnd()
    }
}

/// What was delivered and asked for on one day.
struct TrafficRow: Hashable, Sendable {
    var traffic: Traffic

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.append(rowVersion)
        for count in traffic.all { writer.append(count) }
        return writer.bytes
    }

    init(traffic: Traffic) { self.traffic = traffic }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        // A release that counts less has written less.
        var counts: [UInt64] = []
        while reader.remainingByteCount > 0, counts.count < Traffic.countMax {
            counts.append(try reader.readUInt64())
        }
        traffic = Traffic(counts: counts)
        try reader.expectEnd()
    }
}

/// What is set for a bucket or an account beside everything else.
struct QuotaRow: Hashable, Sendable {
    /// Years of changes every month.
    static let changeCountMax = 600

    struct ChargingChange: Hashable, Sendable {
        /// From the beginning of this day on.
        var day: UInt32
        var mode: ChargingMode
    }

    var quota = Quota.unlimited
    /// Of an account: as it is now.
    var charging = ChargingMode.logical
    /// When it changed for bills, the oldest first.
    var changes: [ChargingChange] = []
    /// Of a bucket: whether everybody may read it.
    var isPublic = false
    /// Of an account.
    var allowances = Allowances.unlimited

    static let none = QuotaRow()

    /// How bills count a day.
    func charging(onDay day: UInt32) -> ChargingMode {
        changes.last { $0.day <= day }?.mode ?? .logical
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.append(rowVersion)
        for limit in Quota.Limit.allCases { writer.append(quota[limit] ?? .max) }
        writer.append(UInt8(quota.warningPercent ?? 0))  // at most 100
        writer.append(charging.rawValue)
        writer.append(UInt16(changes.count))  // at most changeCountMax
        for change in changes {
            writer.append(change.day)
            writer.append(change.mode.rawValue)
        }
        writer.append(UInt8(isPublic ? 1 : 0))
        for kind in Allowances.Kind.allCases {
            writer.append(allowances[kind]?.action.rawValue ?? .max)
            writer.append(allowances[kind]?.amount ?? 0)
        }
        return writer.bytes
    }

    init() {}

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        func limit(_ reader: inout ByteReader) throws(CoreError) -> UInt64? {
            let count = try reader.readUInt64()
            return count == .max ? nil : count
        }
        quota.byteCount = try limit(&reader)
        quota.blobCount = try limit(&reader)
        quota.objectCount = try limit(&reader)
        quota.blobByteCount = try limit(&reader)
        quota.uploadCount = try limit(&reader)
        let percent = Int(try reader.readUInt8())
        guard percent <= 100 else {
            throw CoreError(.corrupted, "a quota warns at \(percent) percent")
        }
        quota.warningPercent = percent == 0 ? nil : percent
        charging = try Self.readMode(&reader)
        for _ in 0..<(try reader.readUInt16()) {
            let day = try reader.readUInt32()
            changes.append(ChargingChange(day: day, mode: try Self.readMode(&reader)))
        }
        isPublic = try reader.readUInt8() == 1
        for kind in Allowances.Kind.allCases {
            let number = try reader.readUInt8()
            let amount = try reader.readUInt64()
            if number == .max { continue }
            guard let action = Allowances.Action(rawValue: number) else {
                throw CoreError(.corrupted, "an allowance has an unknown action")
            }
            allowances[kind] = Allowances.Allowance(amount, action)
        }
        try reader.expectEnd()
    }

    private static func readMode(_ reader: inout ByteReader) throws(CoreError) -> ChargingMode {
        guard let mode = ChargingMode(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "an account is charged in an unknown way")
        }
        return mode
    }
}

/// One bucket's part in a tree of chunks that several may link.
struct SharerRow: Hashable, Sendable {
    var byteCount: UInt64
    /// The part of the bytes that the bucket stands for.
    var share: UInt64
    /// By how many digests the bucket links it.
    var linkCount: UInt32 = 1
    /// Whether it pays where the first one pays.
    var isOwner: Bool
    var since: Timestamp

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.append(rowVersion)
        writer.append(byteCount)
        writer.append(share)
        writer.append(linkCount)
        writer.append(UInt8(isOwner ? 1 : 0))
        writer.append(since.nanosecondsSinceEpoch)
        return writer.bytes
    }

    init(byteCount: UInt64, share: UInt64, isOwner: Bool, since: Timestamp) {
        self.byteCount = byteCount
        self.share = share
        self.isOwner = isOwner
        self.since = since
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        byteCount = try reader.readUInt64()
        share = try reader.readUInt64()
        linkCount = try reader.readUInt32()
        let flag = try reader.readUInt8()
        guard flag <= 1, linkCount > 0, share <= byteCount else {
            throw CoreError(.corrupted, "a sharer of a blob has an impossible row")
        }
        isOwner = flag == 1
        since = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        try reader.expectEnd()
    }
}

/// Which account a bucket belongs to, and the number by which chunks name the bucket.
struct OwnerRow: Hashable, Sendable {
    var account: AccountID
    var number: UInt32

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 20)
        writer.append(account.octets)
        writer.append(number)
        return writer.bytes
    }

    init(account: AccountID, number: UInt32) {
        self.account = account
        self.number = number
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        account = AccountID(octets: try reader.readOctets16())
        number = try reader.readUInt32()
        try reader.expectEnd()
    }
}
