// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Account {
    /// What the account has held in a month, down to buckets and days, as of one moment.
    ///
    /// Days are those of the store's meter: between two openings of the store its time goes with
    /// the time that has passed, whatever is done to the clock, and it never runs backwards. Should
    /// the index be lost, what a bucket has after the repair is taken to have been there since the
    /// last day on which it is known to have changed.
    ///
    /// - Throws: ``StoreError`` with code `invalidArgument` (a month that has not begun, or of
    ///   which days are not kept any more, see ``StoreConfiguration/meteredDayCount``),
    ///   `cancelled`, `corrupted`, `io`, `closed`.
    /// - Complexity: O(buckets and the days of the month on which they changed).
    public func bill(_ month: CalendarMonth) async throws(StoreError) -> Bill {
        let today = Meter.day(of: engine.ledger.meterClock.now())
        guard month <= CalendarMonth(of: Meter.start(ofDay: today)),
            today - month.firstDay <= engine.ledger.meteredDayCount
        else {
            throw StoreError(
                .invalidArgument, "there is no bill for \(month): not yet, or not any more")
        }
        // What was counted and not written yet is on the bill too.
        try await engine.flushTraffic()
        let snapshot = try await engine.read("making a bill") { (index) throws(IndexError) in
            try index.snapshot()
        }
        let now = engine.ledger.meterClock.now()
        let charging = try await engine.settings(of: row.id.octets).charging(
            onDay: month.firstDay)
        let end = min(now, Meter.start(ofDay: month.days.upperBound))
        var buckets: [BucketBill] = []
        for (table, names) in [
            (Tables.bucketNames, row.id.octets.bytes), (Tables.removedBuckets, []),
        ] {
            let pages = engine.pages(
                of: table, prefix: names, in: snapshot, for: "the making of a bill")
            for try await rows in pages {
                let metered = try await metered(rows, of: table, in: month, snapshot)
                for var bucket in metered {
                    if let sealed = bucket.quota {
                        bucket.isPublic = try await engine.openSettings(
                            sealed, of: bucket.id.octets
                        ).isPublic
                    }
                    if let bill = try bucket.bill(month, until: end, charging) {
                        buckets.append(bill)
                    }
                }
            }
        }
        return Bill(
            month: month, end: end, isFinal: month < CalendarMonth(of: now), charging: charging,
            buckets: buckets.sorted { ($0.name, $0.id) < ($1.name, $1.id) })
    }

    // Rows are names of buckets, or of those that were removed.
    private func metered(
        _ rows: [IndexEntry], of table: IndexTable, in month: CalendarMonth,
        _ snapshot: any IndexSnapshot
    ) async throws(StoreError) -> [MeteredBucket] {
        let account = row.id.octets
        return try await engine.read("making a bill") {
            (_) throws(IndexError) -> [MeteredBucket] in
            var buckets: [MeteredBucket] = []
            for row in rows {
                guard var bucket = MeteredBucket(row, of: table, account) else { continue }
                bucket.days = try snapshot.scan(
                    Tables.meteredDays,
                    from: RowKey.meteredDay(account, bucket.id, month.firstDay),
                    before: RowKey.meteredDay(account, bucket.id, .max),
                    limit: month.dayCount + 1)
                bucket.traffic = try snapshot.scan(
                    Tables.traffic,
                    from: RowKey.meteredDay(account, bucket.id, month.firstDay),
                    before: RowKey.meteredDay(account, bucket.id, month.days.upperBound),
                    limit: month.dayCount)
                if !bucket.isRemoved {
                    bucket.usage = try snapshot.get(Tables.usage, bucket.id.octets.bytes)
                    bucket.quota = try snapshot.get(Tables.quotas, bucket.id.octets.bytes)
                }
                buckets.append(bucket)
            }
            return buckets
        }
    }
}

/// What was metered of one bucket.
private struct MeteredBucket: Sendable {
    var id: BucketID
    var name: String
    var isRemoved: Bool
    /// From the month on: one more than the month can have.
    var days: [IndexEntry] = []
    var traffic: [IndexEntry] = []
    var usage: [UInt8]?
    var quota: [UInt8]?
    var isPublic = false

    /// Nil for a removed bucket of another account, and for a damaged row.
    init?(_ row: IndexEntry, of table: IndexTable, _ account: Octets16) {
        if table == Tables.bucketNames {
            guard row.value.count == Octets16.byteCount else { return nil }
            id = BucketID(octets: Octets16(row.value.span))
            name = String(decoding: row.key.dropFirst(Octets16.byteCount), as: UTF8.self)
            isRemoved = false
        } else {
            let owner = row.key.dropFirst(4)
            guard owner.count == 2 * Octets16.byteCount, owner.starts(with: account.bytes)
            else { return nil }
            let bytes = Array(owner.suffix(Octets16.byteCount))
            id = BucketID(octets: Octets16(bytes.span))
            guard let flag = row.value.first else { return nil }
            isPublic = flag == 1
            name = String(decoding: row.value.dropFirst(), as: UTF8.self)
            isRemoved = true
        }
    }

    /// Nil when the bucket held nothing in the month.
    func bill(
        _ month: CalendarMonth, until end: Timestamp, _ charging: ChargingMode
    ) throws(StoreError) -> BucketBill? {
        var (changes, present) = try changes(in: month, until: end, Int(charging.rawValue))
        var days: [DayBill] = []
        let trafficByDay = try trafficByDay()
        for day in month.days where Meter.start(ofDay: day) <= end {
            // Until its next change a bucket has what it had before it.
            let held = changes.first?.series.start ?? present
            var series = MeteredDay.Series(
                start: held, end: held, integral: Self.integral(of: held, onDay: day, until: end))
            if let next = changes.first, next.day <= day {
                series = next.series
                present = series.end
                changes.removeFirst()
            }
            let traffic = trafficByDay[day] ?? Traffic()
            guard series.integral > 0 || series.end > 0 || !traffic.isZero else { continue }
            days.append(
                DayBill(
                    day: Int(day - month.firstDay) + 1, startByteCount: series.start,
                    endByteCount: series.end, total: ByteTime(byteNanoseconds: series.integral),
                    traffic: traffic))
        }
        guard !days.isEmpty else { return nil }
        return BucketBill(name: name, id: id.text, isPublic: isPublic, days: days)
    }

    private func trafficByDay() throws(StoreError) -> [UInt32: Traffic] {
        var days: [UInt32: Traffic] = [:]
        for row in traffic {
            guard let day = RowKey.day(ofMetered: row.key) else { continue }
            days[day] = try Engine.decodeTraffic(row.value)
        }
        return days
    }

    // Days from the month on with a change, in order, and what there is behind all of them.
    private func changes(
        in month: CalendarMonth, until end: Timestamp, _ number: Int
    ) throws(StoreError) -> ([(day: UInt32, series: MeteredDay.Series)], UInt64) {
        var changes: [(day: UInt32, series: MeteredDay.Series)] = []
        for row in days {
            guard let day = RowKey.day(ofMetered: row.key) else { continue }
            let metered = try lower(
                "reading a metered day",
                core: { () throws(CoreError) in try MeteredDay(decoding: row.value) })
            changes.append((day, metered.series[number]))
        }
        guard let usage else { return (changes, changes.last?.series.end ?? 0) }
        let row = try Engine.decodeUsageRow(usage)
        let present = Meter.charged(row.counts)[number]
        let (meter, open) = (row.meter, row.meter.series[number])
        // The day that is not closed yet.
        guard meter.day >= month.firstDay else { return (changes, present) }
        let until = min(end, Meter.start(ofDay: meter.day + 1))
        let elapsed = UInt128(
            max(0, until.nanosecondsSinceEpoch - meter.since.nanosecondsSinceEpoch))
        changes.append(
            (
                meter.day,
                MeteredDay.Series(
                    start: open.start, end: present,
                    integral: open.integral + UInt128(present) * elapsed)
            ))
        return (changes, present)
    }

    private static func integral(
        of byteCount: UInt64, onDay day: UInt32, until end: Timestamp
    ) -> UInt128 {
        let start = Meter.start(ofDay: day)
        let last = min(end, Meter.start(ofDay: day + 1))
        return UInt128(byteCount)
            * UInt128(last.nanosecondsSinceEpoch - start.nanosecondsSinceEpoch)
    }
}
