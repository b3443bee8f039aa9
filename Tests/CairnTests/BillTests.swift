// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnIndex
import CairnTestSupport
import CairnTesting
import Testing

@testable import Cairn

@Suite struct BillTests {
    private static let hour = Duration.seconds(3600)
    private static let day = Duration.seconds(86_400)
    private static let dayNanoseconds: UInt128 = 86_400_000_000_000
    // The clock of a simulated store begins with this month.
    private static let january = CalendarMonth(of: ManualClock().now())
    private static let february = january.next

    private static func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        TestData.random(count, seed: seed)
    }

    @Test func `months are those of the calendar`() throws {
        #expect(Self.january.dayCount == 31 && Self.february.dayCount == 28)
        #expect(CalendarMonth(year: 2028, month: 2)?.dayCount == 29)
        #expect(CalendarMonth(year: 2100, month: 2)?.dayCount == 28)
        #expect(CalendarMonth(year: 2261, month: 12)?.dayCount == 31)
        #expect(CalendarMonth("2026-01") == Self.january)
        #expect(Self.january.description == "2026-01" && Self.january < Self.february)
        for text in ["2026-13", "2026-1", "26-01", "2026-00", "1969-12", "2026-01-01", "+026-01"] {
            #expect(CalendarMonth(text) == nil, "\(text)")
        }
        // Each day belongs to the month that it is in.
        for day in stride(from: 0, to: 90_000, by: 7) {
            let month = CalendarMonth(of: Meter.start(ofDay: UInt32(day)))
            #expect((month.firstDay..<month.next.firstDay).contains(UInt32(day)))
        }
    }

    @Test func `bytes are metered to the nanosecond, by day`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        let bucket = try await account.createBucket("metered")
        simulated.clock.advance(by: Self.hour)
        let first = try await bucket.put(Self.bytes(1000, 1)).digest
        simulated.clock.advance(by: .nanoseconds(7))
        try await bucket.put(Self.bytes(500, 2))
        simulated.clock.advance(by: Self.day)
        try await bucket.deleteBlob(first)
        simulated.clock.advance(by: Self.day * 40)
        let bill = try await account.bill(Self.january)
        #expect(bill.isFinal && bill.buckets.count == 1 && bill.charging == .logical)
        let days = try #require(bill.buckets.first?.days)
        #expect(days.map(\.day) == Array(1...31))
        let hour: UInt128 = 3_600_000_000_000
        #expect(days[0].startByteCount == 0 && days[0].endByteCount == 1500)
        #expect(
            days[0].total.byteNanoseconds
                == 1000 * 7 + 1500 * (Self.dayNanoseconds - hour - 7))
        #expect(
            days[1].total.byteNanoseconds
                == 1500 * (hour + 7) + 500 * (Self.dayNanoseconds - hour - 7))
        for day in days.dropFirst(2) {
            #expect(day.startByteCount == 500 && day.endByteCount == 500)
            #expect(day.total.byteNanoseconds == 500 * Self.dayNanoseconds)
        }
        #expect(bill.total.byteNanoseconds == days.reduce(0) { $0 + $1.total.byteNanoseconds })
        // The month that is not over goes to the present.
        let open = try await account.bill(Self.february)
        #expect(!open.isFinal && open.end == simulated.clock.now())
        let elapsed = UInt128(
            (simulated.clock.now() - Meter.start(ofDay: Self.february.firstDay)).components.seconds)
        #expect(open.total.byteSeconds == 500 * elapsed)
        #expect(open.buckets[0].days.last?.day == 11)
        let whole = ByteTime(byteNanoseconds: 2_000_000_000 * 31 * Self.dayNanoseconds)
        #expect(whole.gigabyteMonths(of: Self.january) == 2)
        try await store.close()
        let again = try await simulated.open(seed: 2)
        #expect(try await again.defaultAccount.bill(Self.january) == bill)
        try await again.close()
    }

    @Test func `bills that cannot be are refused`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        #expect(await code { _ = try await account.bill(Self.february) } == .invalidArgument)
        let early = try #require(CalendarMonth(year: 2024, month: 1))
        #expect(await code { _ = try await account.bill(early) } == .invalidArgument)
        #expect(try await account.bill(Self.january).buckets == [])
        try await store.close()
    }

    @Test func `a bill made of the events of a month is the same to the bit`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        let pool = ContentPool(seed: 9)
        var generator = SeededGenerator(seed: 9)
        var buckets: [Bucket] = []
        for number in 0..<4 { buckets.append(try await account.createBucket("bucket/\(number)")) }
        var events: [String: [BucketEvent]] = [:]
        var cursors: [String: EventCursor] = [:]
        for _ in 0..<120 {
            let bucket = buckets[Int.random(in: 0..<buckets.count, using: &generator)]
            let number = Int.random(in: 0..<pool.blobs.count, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0, 1: try await bucket.put(pool.blobs[number])
            case 2: _ = await code { try await bucket.deleteBlob(pool.digests[number]) }
            default:
                let blob = pool.blobs[number]
                try await bucket.putObject("key", blob.span)
            }
            // Now and then somebody sets the clock, also back.
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: simulated.clock.step(by: .seconds(-7200))
            case 1: simulated.clock.step(by: .seconds(1800))
            default:
                simulated.clock.advance(
                    by: .nanoseconds(Int.random(in: 0..<30_000_000_000_000, using: &generator)))
            }
            // A feed is kept for a week.
            let page = try await bucket.events(after: cursors[bucket.name])
            events[bucket.name, default: []] += page.events
            cursors[bucket.name] = page.next
        }
        for bucket in buckets {
            events[bucket.name, default: []] += try await bucket.events(
                after: cursors[bucket.name]
            ).events
        }
        let bill = try await account.bill(Self.january)
        #expect(bill.total.byteNanoseconds > 0)
        for bucket in bill.buckets {
            let feed = try #require(events[bucket.name])
            #expect(zip(feed, feed.dropFirst()).allSatisfy { $0.time <= $1.time })
            #expect(bucket.days == Self.days(of: feed, in: Self.january, until: bill.end))
        }
        try await store.close()
    }

    // From the beginning of the bucket on.
    private static func days(
        of feed: [BucketEvent], in month: CalendarMonth, until end: Timestamp
    ) -> [DayBill] {
        var days: [DayBill] = []
        var held: UInt64 = 0
        var rest = feed[...]
        for day in month.firstDay..<month.next.firstDay {
            let (first, last) = (Meter.start(ofDay: day), min(end, Meter.start(ofDay: day + 1)))
            guard first < end else { break }
            let start = held
            var (since, integral) = (first, UInt128(0))
            func close(_ moment: Timestamp) {
                integral +=
                    UInt128(held)
                    * UInt128(moment.nanosecondsSinceEpoch - since.nanosecondsSinceEpoch)
                since = moment
            }
            while let event = rest.first, event.time < Meter.start(ofDay: day + 1) {
                rest.removeFirst()
                close(event.time)
                if event.kind == .blobAdded { held += event.byteCount ?? 0 }
                if event.kind == .blobRemoved { held -= event.byteCount ?? 0 }
            }
            close(last)
            guard integral > 0 || held > 0 else { continue }
            days.append(
                DayBill(
                    day: Int(day - month.firstDay) + 1, startByteCount: start, endByteCount: held,
                    total: ByteTime(byteNanoseconds: integral), traffic: Traffic()))
        }
        return days
    }

    @Test func `time never runs backwards, whatever is done to the clock`() async throws {
        let simulated = SimulatedStore()
        var store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("metered")
        simulated.clock.advance(by: Self.day)
        let digest = try await bucket.put(Self.bytes(100, 1)).digest
        // Steps while the store is open change nothing.
        simulated.clock.step(by: Self.day * -20)
        simulated.clock.advance(by: .seconds(10))
        simulated.clock.step(by: Self.day * 300)
        simulated.clock.advance(by: .seconds(10))
        try await bucket.deleteBlob(digest)
        var bill = try await store.defaultAccount.bill(Self.january)
        #expect(bill.total.byteSeconds == 100 * 20)
        let again = try await bucket.put(Self.bytes(100, 2)).digest
        try await store.close()
        // A clock that was set back before the store is opened: time goes on from the last change.
        simulated.clock.step(by: Self.day * -300 - Self.hour)
        store = try await simulated.open(seed: 2)
        simulated.clock.advance(by: Self.hour / 2)
        let reopened = try await store.defaultAccount.bucket("metered")
        try await reopened.deleteBlob(again)
        bill = try await store.defaultAccount.bill(Self.january)
        #expect(bill.total.byteSeconds == 100 * 20 + 100 * 1800)
        try await check(store)
        try await store.close()
    }

    @Test func `a deleted bucket is billed for its time, and forgotten after that of bills`()
        async throws
    {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        for seed in 1...2 as ClosedRange<UInt64> {
            let bucket = try await account.createBucket("short")
            try await bucket.put(Self.bytes(100_000, seed))
            simulated.clock.advance(by: .seconds(30))
            try await account.deleteBucket("short", contents: .delete)
            simulated.clock.advance(by: .seconds(30))
        }
        try await store.sweep()
        simulated.clock.advance(by: Self.day * 3)
        let bill = try await account.bill(Self.january)
        #expect(bill.buckets.map(\.name) == ["short", "short"])
        #expect(bill.buckets.map(\.total.byteSeconds) == [3_000_000, 3_000_000])
        #expect(bill.buckets.allSatisfy { $0.days.count == 1 })
        try await check(store)
        simulated.clock.advance(by: Self.day * 396)
        try await store.sweep()
        #expect(try await account.bill(Self.january).buckets.count == 2)
        simulated.clock.advance(by: Self.day * 3)
        try await store.sweep()
        for table in [Tables.meteredDays, Tables.removedBuckets] {
            let rows = try await store.engine.read("looking for bills") {
                (index) throws(IndexError) in
                try index.scan(table, from: [], before: nil, limit: 10)
            }
            #expect(rows.isEmpty)
        }
        try await store.close()
    }

    @Test func `days of a bucket that lives on have a bound`() async throws {
        var simulated = SimulatedStore()
        simulated.configuration.meteredDayCount = 62
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("metered")
        for number in 0..<200 {
            try await bucket.putObject("key", Self.bytes(number + 1, UInt64(number)).span)
            simulated.clock.advance(by: Self.day)
        }
        let rows = try await store.engine.read("counting days") { (index) throws(IndexError) in
            try index.scan(Tables.meteredDays, from: [], before: nil, limit: 1000)
        }
        #expect((62...64).contains(rows.count))
        try await store.close()
    }

    @Test func `who pays changes for bills with the month, and for quotas at once`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let account = store.defaultAccount
        try await account.setCharging(.unique)
        let first = try await account.createBucket("first")
        let second = try await account.createBucket("second")
        let digest = try await first.put(Self.bytes(90_000, 1)).digest
        try await second.mountBlob(digest, from: first)
        #expect(try await second.usage().chargedByteCount == 0)
        simulated.clock.advance(by: Self.day)
        try await account.setCharging(.fairShare)
        #expect(try await second.usage().chargedByteCount == 45_000)
        try await account.setQuota(Quota(byteCount: 100_000))
        // The account pays for a blob once.
        let third = try await account.createBucket("third")
        try await third.mountBlob(digest, from: first)
        simulated.clock.advance(by: Self.day * 40)
        let january = try await account.bill(Self.january)
        #expect(january.charging == .unique)
        #expect(january.buckets.map(\.name) == ["first"])
        #expect(january.total.byteSeconds == 90_000 * 31 * 86_400)
        let february = try await account.bill(Self.february)
        #expect(february.charging == .fairShare)
        #expect(february.buckets.map(\.name) == ["first", "second", "third"])
        #expect(Set(february.buckets.map(\.total)).count == 1)
        try await check(store)
        try await store.close()
    }

    @Test func `bills outlive the index, as far as days were closed`() async throws {
        let simulated = SimulatedStore()
        let store = try await simulated.open()
        let bucket = try await store.defaultAccount.createBucket("metered")
        try await bucket.put(Self.bytes(100, 1))
        simulated.clock.advance(by: Self.day * 2)
        try await bucket.put(Self.bytes(50, 2))
        simulated.clock.advance(by: Self.day * 30)
        let bill = try await store.defaultAccount.bill(Self.january)
        try await store.close()
        simulated.loseIndex()
        _ = try await simulated.repair()
        let again = try await simulated.open(seed: 3)
        let found = try await again.defaultAccount.bill(Self.january)
        #expect(found.buckets[0].days.first == bill.buckets[0].days.first)
        // Of the day after the last one that was closed on it is what there is now.
        #expect(found.buckets[0].days[1].startByteCount == 150)
        #expect(found.buckets[0].days.last == bill.buckets[0].days.last)
        try await check(again)
        try await again.close()
    }
}
