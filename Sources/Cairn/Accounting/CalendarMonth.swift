// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// A month of the Gregorian calendar, in UTC.
public struct CalendarMonth: Hashable, Comparable, Sendable, LosslessStringConvertible {
    /// The year, 1970 to 2261.
    public let year: Int
    /// The month, 1 to 12.
    public let month: Int

    /// A month; nil outside of 1970 to 2261.
    public init?(year: Int, month: Int) {
        guard (1970...2261).contains(year), (1...12).contains(month) else { return nil }
        (self.year, self.month) = (year, month)
    }

    /// The month that a moment is in; that of 1970 for what was before.
    public init(of moment: Timestamp) {
        let date = Timestamp.civilDate(dayOfEpoch: Int64(Meter.day(of: moment)))
        (year, month) = (Int(date.year), Int(date.month))
    }

    /// Reads `YYYY-MM`.
    public init?(_ description: String) {
        let parts = description.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].count == 4, parts[1].count == 2,
            parts.allSatisfy({
                $0.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains)
            }),
            let year = Int(parts[0]), let month = Int(parts[1])
        else { return nil }
        self.init(year: year, month: month)
    }

    /// The month as `YYYY-MM`.
    public var description: String {
        Timestamp.padded(Int64(year), 4) + "-" + Timestamp.padded(Int64(month), 2)
    }

    /// Whether the left month comes before the right one.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.year, lhs.month) < (rhs.year, rhs.month)
    }

    /// The days that it has.
    public var dayCount: Int { days.count }

    /// Counted from 1970-01-01.
    var days: Range<UInt32> { firstDay..<next.firstDay }

    // The first one after those that can be named ends at the end of time.
    var next: Self {
        Self(unchecked: month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1)
    }

    /// Counted from 1970-01-01.
    var firstDay: UInt32 {
        UInt32(Timestamp.dayOfEpoch(year: Int64(year), month: Int64(month), day: 1))
    }

    private init(unchecked year: Int, _ month: Int) { (self.year, self.month) = (year, month) }
}
