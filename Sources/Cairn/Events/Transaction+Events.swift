// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// How many events a bucket keeps.
struct EventRetention: Sendable {
    /// Bytes of rows; 0 keeps none.
    var byteCountMax: UInt64
    var lifetime: Duration

    func isOver(_ head: EventHeadRow, at now: Timestamp) -> Bool {
        head.byteCount > byteCountMax || head.firstTime + lifetime < now
    }
}

extension Transaction {
    /// Events that go when one comes: more than one, so that a bound that was lowered is reached.
    private static let removedEventCountMax = 4

    func note(
        _ kind: BucketEvent.Kind, _ row: ObjectRow, of key: String, in bucket: BucketID
    ) throws(StoreError) {
        try note(
            kind,
            .object(
                key: key, ObjectVersionID(sequence: row.sequence, token: row.token),
                etag: row.etag ?? Octets16(), byteCount: row.byteCount, body: row.bodyName),
            in: bucket)
    }

    /// Adds an event behind all others of the bucket, and lets go of the oldest ones.
    func note(
        _ kind: BucketEvent.Kind, _ subject: EventRow.Subject, in bucket: BucketID
    ) throws(StoreError) {
        guard events.byteCountMax > 0 else { return }
        let event = EventRow(kind, cause, at: now, subject).encoded()
        let headKey = bucket.octets.bytes
        let found = try row(Tables.eventHeads, headKey) { (bytes) throws(CoreError) in
            try EventHeadRow(decoding: bytes)
        }
        var head =
            found
            ?? EventHeadRow(
                epoch: UInt64(max(1, now.nanosecondsSinceEpoch)), firstTime: now)
        if head.first == head.next { head.firstTime = now }
        try put(Tables.events, RowKey.event(bucket, head.next), event)
        head.next += 1
        head.byteCount += UInt64(event.count)
        if events.isOver(head, at: now) { try removeOldest(&head, in: bucket) }
        try put(Tables.eventHeads, headKey, head.encoded())
    }

    private func removeOldest(
        _ head: inout EventHeadRow, in bucket: BucketID
    ) throws(StoreError) {
        let oldest = try scan(
            Tables.events, from: RowKey.event(bucket, head.first), prefix: bucket.octets.bytes,
            limit: Self.removedEventCountMax + 1)
        for entry in oldest {
            let event = try lower(
                "reading an event",
                core: { () throws(CoreError) in
                    try EventRow(decoding: entry.value)
                })
            head.firstTime = event.time
            guard head.first < head.next, events.isOver(head, at: now) else { return }
            guard entry != oldest.last || oldest.count <= Self.removedEventCountMax else { return }
            try delete(Tables.events, entry.key)
            head.first += 1
            head.byteCount -= min(head.byteCount, UInt64(entry.value.count))
        }
    }
}
