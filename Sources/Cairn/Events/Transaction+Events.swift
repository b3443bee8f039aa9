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
                key: key, row.versionID, etag: row.etag ?? Octets16(), byteCount: row.byteCount,
                body: row.bodyName),
            in: bucket)
    }

    /// Adds an event behind all others of the bucket, and lets go of the oldest ones.
    ///
    /// Rows of events that are damaged keep nobody from writing: the events begin anew.
    func note(
        _ kind: BucketEvent.Kind, _ subject: EventRow.Subject, in bucket: BucketID
    ) throws(StoreError) {
        let headKey = bucket.octets.bytes
        let found = try get(Tables.eventHeads, headKey)
        guard events.byteCountMax > 0 else {
            // Whoever kept a position learns that something is missing.
            if found != nil { try delete(Tables.eventHeads, headKey) }
            return
        }
        let now = try moment(in: bucket)
        let event = EventRow(kind, cause, at: now, subject).encoded()
        var head =
            found.flatMap { try? EventHeadRow(decoding: $0) } ?? EventHeadRow(beginningAt: now)
        if head.first == head.next { head.firstTime = now }
        try put(Tables.events, RowKey.event(bucket, head.next), event)
        head.next += 1
        head.byteCount += UInt64(event.count)
        for _ in 0..<Self.removedEventCountMax {
            guard head.first < head.next - 1, events.isOver(head, at: now) else { break }
            try removeOldest(&head, in: bucket)
        }
        try put(Tables.eventHeads, headKey, head.encoded())
    }

    /// Begins the events of a bucket, whatever there was of them.
    func beginEvents(of bucket: BucketID) throws(StoreError) {
        guard events.byteCountMax > 0 else { return }
        try put(Tables.eventHeads, bucket.octets.bytes, EventHeadRow(beginningAt: now).encoded())
    }

    // By its number and not by a scan, which would look through all that this transaction writes.
    private func removeOldest(
        _ head: inout EventHeadRow, in bucket: BucketID
    ) throws(StoreError) {
        let key = RowKey.event(bucket, head.first)
        let byteCount = try get(Tables.events, key)?.count ?? 0
        try delete(Tables.events, key)
        head.first += 1
        head.byteCount -= min(head.byteCount, UInt64(byteCount))
        let oldest = try get(Tables.events, RowKey.event(bucket, head.first))
        // Of a damaged one any time: it goes when its turn comes.
        head.firstTime = oldest.flatMap { try? EventRow(decoding: $0) }?.time ?? head.firstTime
    }
}
