// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What an account has held in one month, down to buckets and days.
///
/// Exact: each figure is a sum of bytes times nanoseconds in whole numbers.
public struct Bill: Hashable, Sendable {
    /// The month, in UTC.
    public let month: CalendarMonth
    /// Until when it was counted: the end of the month, or the present.
    public let end: Timestamp
    /// Whether the month is over, so that the bill never changes any more.
    public let isFinal: Bool
    /// Who pays for bytes that several buckets share.
    public let charging: ChargingMode
    /// Those that have held anything, in the order of their names.
    public let buckets: [BucketBill]

    /// What all buckets together have held.
    public var total: ByteTime { ByteTime(of: buckets.map(\.total)) }
    /// What all buckets together have delivered, and were asked for.
    public var traffic: Traffic { buckets.reduce(Traffic()) { $0 + $1.traffic } }
}

/// What one bucket has held in a month.
public struct BucketBill: Hashable, Sendable {
    /// The name of the bucket.
    public let name: String
    /// A UUID that outlives no bucket: two of the same name may follow each other.
    public let id: String
    /// Whether everybody may read it, or might when it was deleted.
    public let isPublic: Bool
    /// Days on which it has held anything, or was used, in order.
    public let days: [DayBill]

    /// What it has held in the month.
    public var total: ByteTime { ByteTime(of: days.map(\.total)) }
    /// What was delivered and asked for.
    public var traffic: Traffic { days.reduce(Traffic()) { $0 + $1.traffic } }
}

/// What one bucket has held on one day.
public struct DayBill: Hashable, Sendable {
    /// The day of the month, from 1 on.
    public let day: Int
    /// Bytes at the beginning of the day.
    public let startByteCount: UInt64
    /// Bytes at the end of the day, or at present.
    public let endByteCount: UInt64
    /// Bytes over the time of the day.
    public let total: ByteTime
    /// What was delivered and asked for.
    public let traffic: Traffic
}

/// Bytes that were held over time.
public struct ByteTime: Hashable, Comparable, Sendable {
    /// Bytes times nanoseconds, exact.
    public var byteNanoseconds: UInt128

    /// An amount.
    public init(byteNanoseconds: UInt128) { self.byteNanoseconds = byteNanoseconds }

    /// The sum of some amounts.
    public init(of parts: [ByteTime]) {
        byteNanoseconds = parts.reduce(0) { $0 + $1.byteNanoseconds }
    }

    /// Bytes times seconds; the rest of a byte-second is left out.
    public var byteSeconds: UInt128 { byteNanoseconds / 1_000_000_000 }

    /// The gigabytes, of 10^9 bytes, which held for the whole month would have come to the same.
    public func gigabyteMonths(of month: CalendarMonth) -> Double {
        let whole = UInt128(month.dayCount) * UInt128(Meter.nanosecondsPerDay) * 1_000_000_000
        return Double(byteNanoseconds) / Double(whole)
    }

    /// The bytes which held for the whole month would have come to the same, rounded down.
    func wholeMonthByteCount(of month: CalendarMonth) -> UInt64 {
        let whole = UInt128(month.dayCount) * UInt128(Meter.nanosecondsPerDay)
        return UInt64(clamping: byteNanoseconds / whole)
    }

    /// Whether the left amount is smaller.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.byteNanoseconds < rhs.byteNanoseconds
    }
}
