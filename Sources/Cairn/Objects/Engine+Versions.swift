// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import Synchronization

/// What was last seen of the settings of buckets, so that a write need not look.
///
/// The transaction that writes looks again, so nothing here has to be right. Thread-safe.
final class KnownSettings: Sendable {
    /// So many buckets are written to at a time; more begin anew.
    private static let countMax = 4096

    private struct Known {
        var settings: BucketSettings
        var changeCount: UInt64
    }

    private let known = Mutex<[BucketID: Known]>([:])

    /// - Parameter changeCount: that of the engine now.
    func settings(of bucket: BucketID, _ changeCount: UInt64) -> BucketSettings? {
        known.withLock { known in
            guard let entry = known[bucket], entry.changeCount == changeCount else { return nil }
            return entry.settings
        }
    }

    /// - Parameter changeCount: that of the engine before the settings were read.
    func note(_ settings: BucketSettings, of bucket: BucketID, _ changeCount: UInt64) {
        known.withLock { known in
            if known.count >= Self.countMax { known = [:] }
            known[bucket] = Known(settings: settings, changeCount: changeCount)
        }
    }
}

extension Engine {
    /// What was set of a bucket.
    func settings(of bucket: BucketID) async throws(StoreError) -> BucketSettings {
        let changeCount = bucketChangeCount
        if let known = knownSettings.settings(of: bucket, changeCount) { return known }
        let bytes = try await read("reading the settings of a bucket") {
            (index) throws(IndexError) in
            try index.get(Tables.bucketSettings, bucket.octets.bytes)
        }
        let settings = try Self.decodeSettings(bytes)
        knownSettings.note(settings, of: bucket, changeCount)
        return settings
    }

    /// The settings in a row; nil is one of which nothing was set.
    static func decodeSettings(_ row: [UInt8]?) throws(StoreError) -> BucketSettings {
        try lower(
            "reading the settings of a bucket",
            core: { () throws(CoreError) in
                try row.map { row throws(CoreError) in try BucketSettings(decoding: row) }
            }) ?? BucketSettings()
    }

    /// What a writer says of an object, with the default retention of the bucket if he gives none.
    func locking(
        _ attributes: ObjectAttributes, in bucket: BucketID
    ) async throws(StoreError) -> ObjectAttributes {
        let now = clock.now()
        var attributes = attributes
        if attributes.lock.retention == nil, let standard = try await settings(of: bucket).retention
        {
            attributes.lock.retention = Retention(standard.mode, until: now + standard.period)
        }
        try attributes.lock.check(at: now)
        return attributes
    }

    /// The token of a version to be written: random where versions are kept, else that of the null
    /// version. The transaction checks that it still is of that kind.
    func newToken(in bucket: BucketID) async throws(StoreError) -> UInt64 {
        guard try await settings(of: bucket).versioning == .enabled else { return 0 }
        var bytes = [UInt8](repeating: 0, count: 8)
        var span = bytes.mutableSpan
        random.fill(&span)
        return max(1, bytes.span.littleEndian(UInt64.self, at: 0))
    }

    func newDeleteMarker(in bucket: BucketID) async throws(StoreError) -> ObjectRow {
        ObjectRow(deleteMarker: try await newToken(in: bucket), at: clock.now())
    }
}

extension Engine {
    func describeVersions(
        _ rows: [VersionRow], in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> [ObjectVersion] {
        var found: [ObjectRow] = []
        for row in rows { found.append(try Self.decodeObject(row.bytes)) }
        let bodies = zip(rows, found).filter { !$1.isDeleteMarker }.map { ($0.0.key, $0.0.bytes) }
        var objects = try await describeObjects(bodies, in: bucket, keys)[...]
        return zip(rows, found).map { row, found in
            let object = found.isDeleteMarker ? nil : objects.popFirst()
            return ObjectVersion(
                key: row.key, id: found.versionID,
                isLatest: row.isLatest, modifiedAt: object?.modifiedAt ?? found.modifiedAt,
                object: object)
        }
    }
}
