// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct TimestampTests {
    /// Computed with GNU date.
    static let texts: [(Int64, String)] = [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
        (951_868_799_500_000_000, "2000-02-29T23:59:59.500000000Z"),
        (1_767_225_600_000_000_000, "2026-01-01T00:00:00Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z"),
        (.max, "2262-04-11T23:47:16.854775807Z"),
        (.min, "1677-09-21T00:12:43.145224192Z"),
    ]

    @Test(arguments: texts.indices)
    func `a moment reads as RFC 3339 has it`(index: Int) {
        let (nanoseconds, text) = Self.texts[index]
        #expect(Timestamp(nanosecondsSinceEpoch: nanoseconds).description == text)
    }

    @Test func `durations move a moment, and stop at the ends`() {
        let moment = Timestamp(nanosecondsSinceEpoch: 1_000)
        #expect(moment + .nanoseconds(5) == Timestamp(nanosecondsSinceEpoch: 1_005))
        #expect(moment - .seconds(1) == Timestamp(nanosecondsSinceEpoch: -999_999_000))
        #expect(moment + .seconds(-1) == moment - .seconds(1))
        #expect((moment + .seconds(3)) - moment == .seconds(3))
        #expect(moment - (moment + .seconds(3)) == .seconds(-3))
        #expect(moment < moment + .nanoseconds(1))
        let (last, first) = (
            Timestamp(nanosecondsSinceEpoch: .max), Timestamp(nanosecondsSinceEpoch: .min)
        )
        #expect(moment + .seconds(Int64.max) == last)
        #expect(moment - .seconds(Int64.max) == first)
        #expect(moment + .seconds(Int64.min) == first)
        #expect(last + .nanoseconds(1) == last)
        #expect(first - .nanoseconds(1) == first)
        #expect(last - first == .nanoseconds(Int64.max) + .nanoseconds(Int64.max) + .nanoseconds(1))
    }

    @Test func `the system's clock is past the year 2025`() {
        let now = SystemClock().now()
        #expect(now > Timestamp(nanosecondsSinceEpoch: 1_750_000_000_000_000_000))
    }

    @Test func `a manual clock moves when told to`() {
        let clock = ManualClock()
        let start = clock.now()
        #expect(clock.now() == start)
        clock.advance(by: .seconds(5))
        #expect(clock.now() - start == .seconds(5))
        clock.advance(by: .seconds(-10))
        #expect(clock.now() - start == .seconds(-5))
    }
}
