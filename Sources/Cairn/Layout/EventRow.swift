// Part of Cairn, a content-addressed blob store.
//
// event := version:u8 kind:u8 cause:u8 time:i64 subject
//   subject := key:prefixed sequence:u64 token:u64 etag[16] byteCount:u64 body[32]     of an object
//            | link[32] byteCount:u64 capability:prefixed                              of a blob
//            | nothing                                                                 of settings
//            | scope:u8 limit:u8 usedCount:u64 limitCount:u64                          of a quota
//   body and link: keyed names of digests; capability: as in the link that went, else empty
//
// head := version:u8 epoch:u64 first:u64 next:u64 byteCount:u64 firstTime:i64
//   first and next: numbers of the oldest event that is kept and of the one to come

internal import CairnCore

/// One event of a bucket, without any key of the bucket.
struct EventRow: Sendable {
    enum Subject: Sendable {
        case object(
            key: String, ObjectVersionID, etag: Octets16, byteCount: UInt64, body: LinkName)
        case blob(LinkName, byteCount: UInt64, sealedCapability: [UInt8])
        case settings
        case quota(QuotaWarning)
    }

    var kind: BucketEvent.Kind
    var cause: BucketEvent.Cause
    var time: Timestamp
    var subject: Subject

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.append(rowVersion)
        writer.append(kind.rawValue)
        writer.append(cause.rawValue)
        writer.append(time.nanosecondsSinceEpoch)
        switch subject {
        case .object(let key, let version, let etag, let byteCount, let body):
            writer.appendLengthPrefixed(key)
            writer.append(version.sequence)
            writer.append(version.token)
            writer.append(etag)
            writer.append(byteCount)
            writer.append(body.octets)
        case .blob(let link, let byteCount, let capability):
            writer.append(link.octets)
            writer.append(byteCount)
            writer.appendLengthPrefixed(capability)
        case .settings: break
        case .quota(let warning):
            writer.append(warning.scope.rawValue)
            writer.append(warning.limit.rawValue)
            writer.append(warning.usedCount)
            writer.append(warning.limitCount)
        }
        return writer.bytes
    }

    init(
        _ kind: BucketEvent.Kind, _ cause: BucketEvent.Cause, at time: Timestamp, _ subject: Subject
    ) {
        self.kind = kind
        self.cause = cause
        self.time = time
        self.subject = subject
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        guard let kind = BucketEvent.Kind(rawValue: try reader.readUInt8()),
            let cause = BucketEvent.Cause(rawValue: try reader.readUInt8())
        else { throw CoreError(.corrupted, "an event is of an unknown kind") }
        self.kind = kind
        self.cause = cause
        time = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        switch kind {
        case .objectWritten, .objectUpdated, .objectDeleted, .versionDeleted:
            let key = try reader.readString(limit: Names.objectKeyByteCount.upperBound)
            let sequence = try reader.readUInt64()
            let version = ObjectVersionID(sequence: sequence, token: try reader.readUInt64())
            guard version.sequence == sequence else {
                throw CoreError(.corrupted, "an event names an impossible version")
            }
            subject = .object(
                key: key, version, etag: try reader.readOctets16(),
                byteCount: try reader.readUInt64(),
                body: LinkName(octets: try reader.readOctets32()))
        case .blobAdded, .blobRemoved:
            let link = LinkName(octets: try reader.readOctets32())
            let byteCount = try reader.readUInt64()
            let capability = try reader.readLengthPrefixed(limit: LinkRow.capabilityByteCountMax)
            subject = .blob(
                link, byteCount: byteCount, sealedCapability: [UInt8](copying: capability))
        case .settingsChanged: subject = .settings
        case .quotaWarning:
            guard let scope = QuotaScope(rawValue: try reader.readUInt8()),
                let limit = Quota.Limit(rawValue: try reader.readUInt8())
            else { throw CoreError(.corrupted, "an event is about an unknown quota") }
            subject = .quota(
                QuotaWarning(
                    scope: scope, limit: limit, usedCount: try reader.readUInt64(),
                    limitCount: try reader.readUInt64()))
        }
        try reader.expectEnd()
    }
}

/// Where the events of a bucket begin and end.
struct EventHeadRow: Sendable {
    /// Another one after the events were lost with the index: positions from before mean nothing.
    var epoch: UInt64
    var first: UInt64 = 1
    var next: UInt64 = 1
    /// Of the rows that are kept.
    var byteCount: UInt64 = 0
    /// When the oldest event that is kept took place.
    var firstTime: Timestamp

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 48)
        writer.append(rowVersion)
        writer.append(epoch)
        writer.append(first)
        writer.append(next)
        writer.append(byteCount)
        writer.append(firstTime.nanosecondsSinceEpoch)
        return writer.bytes
    }

    init(beginningAt now: Timestamp) {
        epoch = UInt64(max(1, now.nanosecondsSinceEpoch))
        firstTime = now
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        epoch = try reader.readUInt64()
        first = try reader.readUInt64()
        next = try reader.readUInt64()
        byteCount = try reader.readUInt64()
        firstTime = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        try reader.expectEnd()
        // Half of all numbers, so that nobody has to fear their end.
        guard epoch > 0, first > 0, first <= next, next < .max / 2, byteCount < .max / 2 else {
            throw CoreError(.corrupted, "the events of a bucket end before they begin")
        }
    }
}
