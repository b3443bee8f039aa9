// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// Adds up bytes over time for one bucket, exactly, a day at a time.
///
/// Whatever is charged is constant between two changes: each change closes the time since the last
/// one with the amount that held until then. Bytes times nanoseconds in 128 bits, nothing is
/// rounded.
struct Meter: Hashable, Sendable {
    /// In the year 2261.
    static let dayMax: UInt32 = 106_500
    static let nanosecondsPerDay: Int64 = 86_400_000_000_000

    struct Series: Hashable, Sendable {
        /// Bytes at the beginning of the day.
        var start: UInt64 = 0
        /// Bytes times nanoseconds from there to the last change.
        var integral: UInt128 = 0
    }

    /// The day that is not closed yet, counted from 1970-01-01.
    private(set) var day: UInt32
    /// The last change.
    private(set) var since: Timestamp
    /// For each way of charging.
    var series = [Series](repeating: Series(), count: ChargingMode.allCases.count)

    init(day: UInt32, since: Timestamp) {
        self.day = day
        self.since = since
    }

    init(beginningAt now: Timestamp) { self.init(day: Self.day(of: now), since: now) }

    /// Of somebody who has had the same since the beginning of a day.
    init(holding charged: [UInt64], sinceDay day: UInt32) {
        self.init(day: day, since: Self.start(ofDay: day))
        for index in series.indices { series[index].start = charged[index] }
    }

    static func day(of moment: Timestamp) -> UInt32 {
        UInt32(clamping: moment.nanosecondsSinceEpoch / nanosecondsPerDay)
    }

    static func start(ofDay day: UInt32) -> Timestamp {
        Timestamp(nanosecondsSinceEpoch: Int64(day) * nanosecondsPerDay)  // to the year 2262
    }

    /// The bytes that hold, for each way of charging.
    static func charged(_ counts: UsageCounts) -> [UInt64] {
        ChargingMode.allCases.map { UInt64(max(0, counts.chargedBytes($0))) }
    }

    /// Closes the time until now, in which these bytes were held. Time never runs backwards: a
    /// moment before the last change counts as that one.
    ///
    /// - Returns: the day that is over with that, if it is.
    mutating func advance(
        to now: Timestamp, holding charged: [UInt64]
    ) -> (day: UInt32, MeteredDay)? {
        let now = max(now, since)
        let today = Self.day(of: now)
        guard today > day else {
            close(until: now, charged)
            return nil
        }
        close(until: Self.start(ofDay: day + 1), charged)
        let (closedDay, closed) = (day, closed(at: charged))
        self = Meter(holding: charged, sinceDay: today)
        close(until: now, charged)
        return (closedDay, closed)
    }

    /// The day as it is at the last change.
    ///
    /// - Parameter counts: behind that.
    func closed(at counts: UsageCounts) -> MeteredDay { closed(at: Self.charged(counts)) }

    private func closed(at charged: [UInt64]) -> MeteredDay {
        MeteredDay(
            series: zip(series, charged).map { series, end in
                MeteredDay.Series(start: series.start, end: end, integral: series.integral)
            })
    }

    private mutating func close(until end: Timestamp, _ charged: [UInt64]) {
        let elapsed = UInt128(max(0, end.nanosecondsSinceEpoch - since.nanosecondsSinceEpoch))
        for index in series.indices {
            series[index].integral &+= UInt128(charged[index]) &* elapsed
        }
        since = end
    }
}

/// The time by which usage is metered and events are dated: it never runs backwards.
///
/// At the opening of a store it is that of the clock, or that of the last change if the clock was
/// set back behind it; from there on it goes with the time that has passed, whatever is done to the
/// clock.
final class MeterClock: Sendable {
    private let clock: any StoreClock
    private let start: Timestamp
    private let startUptime: Duration
    private let latest: Mutex<Timestamp>

    init(_ clock: any StoreClock, notBefore last: Timestamp) {
        self.clock = clock
        start = max(clock.now(), last)
        startUptime = clock.uptime()
        latest = Mutex(start)
    }

    func now() -> Timestamp {
        let now = start + (clock.uptime() - startUptime)
        return latest.withLock { latest in
            latest = max(latest, now)
            return latest
        }
    }
}
