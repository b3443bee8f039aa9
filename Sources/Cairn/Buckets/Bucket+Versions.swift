// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// Older versions of objects.
extension Bucket {
    /// Whether the bucket keeps older versions of its objects.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func versioning() async throws(StoreError) -> Versioning {
        try await engine.settings(of: bucketID).versioning
    }

    /// Lets the bucket keep older versions of its objects, or no more of them. Durable on return;
    /// writes that begin afterwards obey it. Where there are lifecycle rules, the next run of them
    /// looks at every object of the bucket once.
    ///
    /// - Throws: ``StoreError`` with code `invalidArgument` (`off`, where versions were kept
    ///   before: suspend), `bucketUnknown`, `outOfSpace`, `io`, `keyDisabled`, `keyUnavailable`,
    ///   `closed`.
    public func setVersioning(_ versioning: Versioning) async throws(StoreError) {
        let bucketID = bucketID
        try await changeSettings { (settings, transaction) throws(StoreError) in
            guard versioning != .off || settings.versioning == .off else {
                throw StoreError(
                    .invalidArgument, "a bucket that has kept versions can only suspend that")
            }
            settings.versioning = versioning
            // What is there may become due in another way.
            if !settings.dueRules.isEmpty {
                try transaction.scheduleLifecycleWalk(of: bucketID, at: transaction.now)
            }
        }
    }

    func changeSettings(
        _ change: @escaping @Sendable (inout BucketSettings, Transaction) throws(StoreError) -> Void
    ) async throws(StoreError) {
        _ = try await keys()
        let bucketID = bucketID
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.checkBucket(bucketID)
            var settings = try transaction.settings(of: bucketID)
            try change(&settings, transaction)
            try transaction.put(Tables.bucketSettings, bucketID.octets.bytes, settings.encoded())
            try transaction.note(.settingsChanged, .settings, in: bucketID)
        }
        engine.countBucketChange()
    }

    /// Describes one version of an object.
    ///
    /// - Throws: ``StoreError`` with code `objectUnknown` (no such version, or a delete marker),
    ///   and as ``headObject(_:if:)``.
    public func headObject(
        _ key: String, version: ObjectVersionID, if condition: ReadCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        try Names.checkObjectKey(key)
        let found = try await object(key, version: version, keys())
        try condition.check(found.description)
        return found.description
    }

    /// Opens one version of an object for reading.
    ///
    /// - Throws: as ``headObject(_:version:if:)``.
    public func openObject(
        _ key: String, version: ObjectVersionID, if condition: ReadCondition = .none
    ) async throws(StoreError) -> (ObjectDescription, Blob) {
        try await openBody { () throws(StoreError) in
            try await headObject(key, version: version, if: condition)
        }
    }

    /// The blobs that a version of an object keeps alive beside its body, each once.
    ///
    /// - Throws: as ``headObject(_:version:if:)``.
    public func references(
        of key: String, version: ObjectVersionID
    ) async throws(StoreError) -> [Digest] {
        try Names.checkObjectKey(key)
        return try await object(key, version: version, keys()).references
    }

    /// Removes one version of an object, or a delete marker, for good. Durable on return.
    ///
    /// If it was the latest, the one before it is the latest then; removing the latest delete
    /// marker brings a deleted object back.
    ///
    /// - Parameter bypassingGovernance: whether a retention in governance mode counts for nothing.
    /// - Throws: ``StoreError`` with code `objectUnknown` (no such version), `objectLocked`,
    ///   `keyInvalid`, `bucketUnknown`, `corrupted`, `outOfSpace`, `io`, `keyDisabled`,
    ///   `keyUnavailable`, `closed`.
    public func deleteObject(
        _ key: String, version: ObjectVersionID, bypassingGovernance: Bool = false
    ) async throws(StoreError) {
        try Names.checkObjectKey(key)
        // Who may not read may not delete.
        _ = try await keys()
        let bucketID = bucketID
        try await engine.transact { (transaction) throws(StoreError) in
            try transaction.checkBucket(bucketID)
            guard
                try transaction.deleteVersion(
                    version, of: key, in: bucketID, bypassingGovernance: bypassingGovernance)
            else {
                throw Self.unknown(object: key)
            }
        }
    }

    /// Lists the versions of objects, delete markers included: keys in byte order, of each key the
    /// newest version first.
    ///
    /// - Parameters:
    ///   - prefix: only keys that begin with it; at most 1024 bytes.
    ///   - cursor: ``ObjectVersionPage/next`` of the page before, with the same prefix.
    ///   - limit: 1 to 1000 versions.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit, or the prefix is too long),
    ///   `corrupted`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    /// - Complexity: O(log *n* + page).
    public func objectVersions(
        prefix: String = "", from cursor: ObjectVersionCursor? = nil, limit: Int = 1000
    ) async throws(StoreError) -> ObjectVersionPage {
        try Self.checkPage(limit)
        try Self.checkListText(prefix)
        let keys = try await keys()
        let scan = VersionScan(bucket: bucketID.octets.bytes, prefix: Array(prefix.utf8))
        let rows = try await engine.read("listing versions") { (index) throws(IndexError) in
            try scan.run(on: index.snapshot(), from: cursor, limit: limit + 1)
        }
        let versions = try await engine.describeVersions(
            Array(rows.prefix(limit)), in: bucketID, keys)
        let last = rows.count > limit ? rows[limit - 1] : nil
        return ObjectVersionPage(
            versions: versions,
            next: try last.map { (row) throws(StoreError) in
                ObjectVersionCursor(
                    key: row.key, sequence: try Engine.decodeObject(row.bytes).sequence)
            })
    }
}

/// A row of a list of versions.
struct VersionRow: Sendable {
    var key: String
    var bytes: [UInt8]
    var isLatest: Bool
}

/// One page of versions, merged of those that are the latest and those that are older.
private struct VersionScan: Sendable {
    let bucket: [UInt8]
    let prefix: [UInt8]

    func run(
        on snapshot: any IndexSnapshot, from cursor: ObjectVersionCursor?, limit: Int
    ) throws(IndexError) -> [VersionRow] {
        guard let end = firstKey(behindPrefix: bucket + prefix) else { return [] }
        // No more than a page of either can be on the page.
        let latest = try rows(
            of: Tables.objects, snapshot, from: cursor.map { bucket + $0.key + [0] }, end, limit)
        let older = try rows(
            of: Tables.objectVersions, snapshot, from: cursor.map(firstOlder), end, limit)
        return merge(latest, older, behind: cursor?.key[...], limit: limit)
    }

    // Behind the version that the cursor names, whether it is there or not.
    private func firstOlder(_ cursor: ObjectVersionCursor) -> [UInt8] {
        guard cursor.sequence > 0 else {
            return bucket + cursor.key + [1]
        }
        return bucket + cursor.key + [0] + RowKey.bigEndian(~(cursor.sequence - 1))
    }

    private func rows(
        of table: IndexTable, _ snapshot: any IndexSnapshot, from: [UInt8]?, _ end: [UInt8],
        _ limit: Int
    ) throws(IndexError) -> [IndexEntry] {
        var start = bucket + prefix
        if let from, start.lexicographicallyPrecedes(from) { start = from }
        guard start.lexicographicallyPrecedes(end) else { return [] }
        return try snapshot.scan(table, from: start, before: end, limit: limit)
    }

    private func merge(
        _ latest: [IndexEntry], _ older: [IndexEntry], behind lastKey: ArraySlice<UInt8>?,
        limit: Int
    ) -> [VersionRow] {
        var rows: [VersionRow] = []
        var (latest, older) = (latest[...], older[...])
        var lastKey = lastKey
        while rows.count < limit {
            let next = older.first.map { $0.key[bucket.count...].prefix { $0 != 0 } }
            if let first = latest.first, case let key = first.key[bucket.count...],
                next.map({ !$0.lexicographicallyPrecedes(key) }) ?? true
            {
                rows.append(row(first, key: key, isLatest: true))
                lastKey = key
                latest = latest.dropFirst()
            } else if let first = older.first, let next {
                // The newest of a key that has no latest version: a delete marker.
                rows.append(row(first, key: next, isLatest: next != lastKey))
                lastKey = next
                older = older.dropFirst()
            } else {
                break
            }
        }
        return rows
    }

    private func row(_ entry: IndexEntry, key: ArraySlice<UInt8>, isLatest: Bool) -> VersionRow {
        VersionRow(
            key: String(decoding: key, as: UTF8.self), bytes: entry.value, isLatest: isLatest)
    }
}
