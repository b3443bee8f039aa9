// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

// What was done to the bucket.
extension Bucket {
    /// What the bucket has committed, in that order.
    ///
    /// An event is kept in the same transaction as what it tells of: whoever keeps the cursor of
    /// the last page with what he has made of the events misses none, and sees one again only if he
    /// asks for it again.
    ///
    /// ```swift
    /// let page = try await bucket.events(after: cursor)
    /// for event in page.events where event.kind == .objectWritten { replicate(event) }
    /// cursor = page.next
    /// ```
    ///
    /// Events are kept up to ``StoreConfiguration/eventByteCount`` for each bucket and
    /// ``StoreConfiguration/eventLifetime``; older ones go when new ones come. What is told is on
    /// stable storage. After a backup was restored, positions from before mean other events: take
    /// ``eventCursor()``, then list the bucket.
    ///
    /// - Parameters:
    ///   - cursor: what was seen last; nil begins with the oldest event that is kept.
    ///   - limit: 1 to 1000 events.
    /// - Throws: ``StoreError`` with code `eventsLost` (some that follow the cursor are not kept
    ///   any more, or the index was repaired: take ``eventCursor()``, list the bucket, then go on
    ///   from there), `invalidArgument` (the limit), `bucketUnknown`, `corrupted`, `keyDisabled`,
    ///   `keyUnavailable`, `io`, `closed`.
    public func events(
        after cursor: EventCursor? = nil, limit: Int = 1000
    ) async throws(StoreError) -> BucketEventPage {
        try Self.checkPage(limit)
        let keys = try await keys()
        let bucketID = bucketID
        let (head, rows, links) = try await engine.read("reading events") {
            (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            // What a power cut can take back is not told.
            try index.sync()
            let head = try snapshot.get(Tables.eventHeads, bucketID.octets.bytes)
            let next = head.flatMap { try? EventHeadRow(decoding: $0) }?.next ?? .max
            let rows = try snapshot.scan(
                Tables.events, prefix: bucketID.octets.bytes,
                after: cursor.map { RowKey.event(bucketID, $0.number) }, limit: limit
            ).filter { $0.key.lexicographicallyPrecedes(RowKey.event(bucketID, next)) }
            // As of the same moment, so that a blob that has gone has its event.
            let names = rows.map { (try? EventRow(decoding: $0.value))?.linkName }
            let links = try snapshot.getMany(
                Tables.links, names.map { RowKey.link(bucketID, $0 ?? .none) })
            return (head, rows, links)
        }
        guard let head else {
            // Nothing was ever done, or all that is known of it is lost.
            guard cursor?.epoch ?? 0 == 0 else { throw Self.eventsLost }
            return BucketEventPage(
                events: [], next: EventCursor(epoch: 0, number: 0), isAtEnd: true)
        }
        let known = try Engine.decodeEventHead(head)
        if let cursor {
            guard cursor.epoch == known.epoch, cursor.number >= known.first - 1,
                cursor.number < known.next
            else {
                throw Self.eventsLost
            }
        }
        let events = try await engine.describeEvents(rows, links, known.epoch, bucketID, keys)
        let last = cursor?.number ?? known.first - 1
        let next = EventCursor(epoch: known.epoch, number: last + UInt64(rows.count))
        return BucketEventPage(
            events: events, next: next, isAtEnd: next.number + 1 == known.next)
    }

    /// The position behind everything that was committed so far: for whoever lists the bucket, and
    /// wants to know what changes from then on.
    ///
    /// Where no events are kept (``StoreConfiguration/eventByteCount``) it is good for nothing: the
    /// first event that is kept later makes it `eventsLost`.
    ///
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `corrupted`, `outOfSpace`, `readOnly`,
    ///   `io`, `closed`.
    public func eventCursor() async throws(StoreError) -> EventCursor {
        var head = try await eventHead()
        if head == nil {
            // A bucket that is older than events, or that had none for a while.
            let bucketID = bucketID
            try await engine.transact { (transaction) throws(StoreError) in
                try transaction.checkBucket(bucketID)
                guard try transaction.get(Tables.eventHeads, bucketID.octets.bytes) == nil else {
                    return
                }
                try transaction.beginEvents(of: bucketID)
            }
            head = try await eventHead()
        }
        guard let head else { return EventCursor(epoch: 0, number: 0) }
        return EventCursor(epoch: head.epoch, number: head.next - 1)
    }

    private func eventHead() async throws(StoreError) -> EventHeadRow? {
        let key = bucketID.octets.bytes
        let bytes = try await engine.read("reading events") { (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            // As for events: what a power cut can take back is no position.
            try index.sync()
            return try snapshot.get(Tables.eventHeads, key)
        }
        return try bytes.map(Engine.decodeEventHead)
    }

    private static var eventsLost: StoreError {
        StoreError(.eventsLost, "events that follow the cursor are not kept any more")
    }
}

extension Engine {
    static func decodeEventHead(_ bytes: [UInt8]) throws(StoreError) -> EventHeadRow {
        try lower(
            "reading events",
            core: { () throws(CoreError) in
                try EventHeadRow(decoding: bytes)
            })
    }

    /// - Parameter links: that of each event's blob, if it is there.
    fileprivate func describeEvents(
        _ rows: [IndexEntry], _ links: [[UInt8]?], _ epoch: UInt64, _ bucket: BucketID,
        _ keys: BucketKeys
    ) async throws(StoreError) -> [BucketEvent] {
        var found: [(EventCursor, EventRow)] = []
        var capabilities: [[UInt8]?] = []
        for (row, link) in zip(rows, links) {
            let event = try lower(
                "reading an event",
                core: { () throws(CoreError) in
                    try EventRow(decoding: row.value)
                })
            let number = try RowKey.eventNumber(of: row.key)
            found.append((EventCursor(epoch: epoch, number: number), event))
            capabilities.append(try Self.capability(of: event, link))
        }
        let digests = try await digests(in: capabilities, of: found.map(\.1), bucket, keys)
        return zip(found, digests).map { $0.1.describe($0.0, digest: $1) }
    }

    private static func capability(
        of event: EventRow, _ link: [UInt8]?
    ) throws(StoreError) -> [UInt8]? {
        if case .blob(_, _, let capability) = event.subject, !capability.isEmpty {
            return capability
        }
        guard let link else { return nil }
        return try lower(
            "reading a link",
            core: { () throws(CoreError) in
                try LinkRow(decoding: link).sealedCapability
            })
    }

    private func digests(
        in capabilities: [[UInt8]?], of events: [EventRow], _ bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> [Digest?] {
        let sealed = capabilities.compactMap { $0 }
        var sealingKeys = try await sealingKeys(of: sealed, owner: bucket)[...]
        var pairs: [([UInt8], LinkName, SealingKey)?] = []
        for (capability, event) in zip(capabilities, events) {
            guard let capability, let name = event.linkName, let key = sealingKeys.popFirst() else {
                pairs.append(nil)
                continue
            }
            pairs.append((capability, name, key))
        }
        return try await pool.run { [pairs] (context) throws(StoreError) in
            var digests: [Digest?] = []
            for pair in pairs {
                guard let (capability, name, key) = pair else {
                    digests.append(nil)
                    continue
                }
                let bytes = try context.open(
                    capability, as: .metadata, name: name.octets, under: key)
                digests.append(
                    try lower(
                        "reading an event",
                        core: { () throws(CoreError) in
                            try Capability(decoding: bytes).digest
                        }))
            }
            return digests
        }
    }
}

extension LinkName {
    /// Of no digest.
    fileprivate static let none = LinkName(octets: Octets32())
}

extension EventRow {
    /// That of the blob that the event concerns, or of the object's body.
    fileprivate var linkName: LinkName? {
        switch subject {
        case .object(_, _, _, _, let body): body == .none ? nil : body
        case .blob(let link, _, _): link
        case .settings, .quota: nil
        }
    }

    fileprivate func describe(_ cursor: EventCursor, digest: Digest?) -> BucketEvent {
        switch subject {
        case .object(let key, let version, let etag, let byteCount, let body):
            let isMarker = body == .none
            return BucketEvent(
                cursor: cursor, time: time, kind: kind, cause: cause, key: key, versionID: version,
                etag: isMarker ? nil : ETag(etag), digest: digest,
                byteCount: isMarker ? nil : byteCount)
        case .blob(_, let byteCount, _):
            return BucketEvent(
                cursor: cursor, time: time, kind: kind, cause: cause, digest: digest,
                byteCount: byteCount)
        case .settings:
            return BucketEvent(cursor: cursor, time: time, kind: kind, cause: cause)
        case .quota(let warning):
            return BucketEvent(
                cursor: cursor, time: time, kind: kind, cause: cause, quota: warning)
        }
    }
}
