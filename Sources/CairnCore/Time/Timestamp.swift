// Part of Cairn, a content-addressed blob store.

/// A moment in UTC, without leap seconds, to the nanosecond; from the year 1677 to 2262.
///
/// A plain value, safe to share between threads.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Nanoseconds since 1970-01-01T00:00:00Z; negative before.
    public var nanosecondsSinceEpoch: Int64

    /// The moment that many nanoseconds after 1970-01-01T00:00:00Z.
    public init(nanosecondsSinceEpoch: Int64) {
        self.nanosecondsSinceEpoch = nanosecondsSinceEpoch
    }

    /// Whether the left moment is before the right one.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.nanosecondsSinceEpoch < rhs.nanosecondsSinceEpoch
    }

    /// The moment that much later; stops at the end of the range.
    public static func + (moment: Self, duration: Duration) -> Self {
        let sum = Int128(moment.nanosecondsSinceEpoch) + nanoseconds(duration)
        return Self(nanosecondsSinceEpoch: Int64(clamping: sum))
    }

    /// The moment that much earlier; stops at the end of the range.
    public static func - (moment: Self, duration: Duration) -> Self {
        let difference = Int128(moment.nanosecondsSinceEpoch) - nanoseconds(duration)
        return Self(nanosecondsSinceEpoch: Int64(clamping: difference))
    }

    /// How long after the right moment the left one is.
    public static func - (lhs: Self, rhs: Self) -> Duration {
        .nanoseconds(lhs.nanosecondsSinceEpoch) - .nanoseconds(rhs.nanosecondsSinceEpoch)
    }

    /// The moment as RFC 3339 has it, `2026-01-31T08:09:10.123456789Z`.
    ///
    /// The fraction has nine digits, or is left out when it is zero.
    public var description: String {
        let (second, nanosecond) = Self.floored(nanosecondsSinceEpoch, 1_000_000_000)
        let (day, secondOfDay) = Self.floored(second, 86_400)
        let date = Self.civilDate(dayOfEpoch: day)
        let time = [secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60]
        let fraction = nanosecond == 0 ? "" : "." + Self.padded(nanosecond, 9)
        return Self.padded(date.year, 4) + "-" + Self.padded(date.month, 2) + "-"
            + Self.padded(date.day, 2) + "T"
            + time.map { Self.padded($0, 2) }.joined(separator: ":") + fraction + "Z"
    }

    // MARK: -

    /// Wide enough for any duration.
    private static func nanoseconds(_ duration: Duration) -> Int128 {
        let (seconds, attoseconds) = duration.components
        return Int128(seconds) * 1_000_000_000 + Int128(attoseconds / 1_000_000_000)
    }

    /// Quotient and remainder, the latter never negative.
    private static func floored(_ value: Int64, _ divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    /// The Gregorian date of a day, counted from 1970-01-01.
    ///
    /// Years begin in March here, so that the leap day is the last of its year; 400 years, an
    /// era, always have 146,097 days. After Howard Hinnant, "chrono-Compatible Low-Level Date
    /// Algorithms".
    package static func civilDate(
        dayOfEpoch: Int64
    ) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floored(dayOfEpoch + 719_468, 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// The day of a date, counted from 1970-01-01; the inverse of ``civilDate(dayOfEpoch:)``.
    package static func dayOfEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floored(shifted, 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    package static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
