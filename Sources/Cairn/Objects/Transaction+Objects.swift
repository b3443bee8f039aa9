// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// An object that is ready to be written: all that is sealed is sealed.
struct PreparedObject: Sendable {
    var description: ObjectDescription
    var row: ObjectRow
    /// Nil when the object refers to nothing but its body.
    var references: ObjectReferencesRow?

    fileprivate var linkNames: Set<LinkName> { Set([row.bodyName] + (references?.names ?? [])) }
}

extension Transaction {
    static var conditionFailed: StoreError {
        StoreError(.preconditionFailed, "the object is not as the condition wants it")
    }

    func object(_ key: String, in bucket: BucketID) throws(StoreError) -> ObjectRow? {
        try row(Tables.objects, RowKey.object(bucket, key)) { (bytes) throws(CoreError) in
            try ObjectRow(decoding: bytes)
        }
    }

    func settings(of bucket: BucketID) throws(StoreError) -> BucketSettings {
        let settings = try row(Tables.bucketSettings, bucket.octets.bytes) {
            (bytes) throws(CoreError) in
            try BucketSettings(decoding: bytes)
        }
        return settings ?? BucketSettings()
    }

    /// Whether a token is of the kind that the bucket gives to new versions now. If not, the caller
    /// begins anew, and this transaction must not have written anything.
    func isCurrent(token: UInt64, in bucket: BucketID) throws(StoreError) -> Bool {
        try (settings(of: bucket).versioning == .enabled) == (token != 0)
    }

    // MARK: - The latest version

    /// Writes an object as the latest version; its body is linked already, its token is current.
    ///
    /// - Returns: the name of the version.
    /// - Throws: ``StoreError`` with code `preconditionFailed`, `blobUnknown` (a reference).
    @discardableResult
    func putObject(
        _ object: PreparedObject, in bucket: BucketID, if condition: WriteCondition
    ) throws(StoreError) -> ObjectVersionID {
        let key = object.description.key
        let old = try self.object(key, in: bucket)
        guard condition.holds(for: old) else { throw Self.conditionFailed }
        let settings = try settings(of: bucket)
        let versioning = settings.versioning
        var object = object
        object.row.sequence = try nextSequence(of: key, old, versioning, in: bucket)
        let replaced = try makeRoom(for: object.row.token, of: key, old, versioning, in: bucket)
        try replaced?.lock.checkDeletable(at: now, bypassingGovernance: false)
        try write(object, inPlaceOf: replaced, in: bucket)
        if old == nil { try add(.objects, of: bucket, 1) }
        try note(.objectWritten, object.row, of: key, in: bucket)
        try scheduleLifecycle(of: key, written: object.row, settings, in: bucket)
        return object.row.versionID
    }

    /// Writes the latest version of an object anew: it stays the same version.
    func rewriteObject(
        _ object: PreparedObject, inPlaceOf old: ObjectRow, in bucket: BucketID
    ) throws(StoreError) {
        var object = object
        object.row.sequence = old.sequence
        try write(object, inPlaceOf: old, in: bucket)
        try note(.objectUpdated, object.row, of: object.description.key, in: bucket)
        // Rules look at tags and locks.
        try scheduleLifecycleNow(of: object.description.key, in: bucket)
    }

    /// Deletes the latest version of an object; where versions are kept, it becomes an older one.
    ///
    /// - Parameter marker: what is kept in that case; its token is current.
    func deleteObject(
        _ key: String, _ old: ObjectRow, leaving marker: ObjectRow, in bucket: BucketID
    ) throws(StoreError) {
        let settings = try settings(of: bucket)
        let versioning = settings.versioning
        let sequence = try nextSequence(of: key, old, versioning, in: bucket)
        let replaced = try makeRoom(for: marker.token, of: key, old, versioning, in: bucket)
        if let replaced {
            try replaced.lock.checkDeletable(at: now, bypassingGovernance: false)
            try release(replaced, of: key, in: bucket)
        }
        try delete(Tables.objects, RowKey.object(bucket, key))
        try add(.objects, of: bucket, -1)
        guard versioning != .off else {
            if !settings.dueRules.isEmpty { try setLifecycleDue(nil, of: key, in: bucket) }
            return try note(.objectDeleted, old, of: key, in: bucket)
        }
        var marker = marker
        marker.sequence = sequence
        try putOlder(key, marker, in: bucket)
        try note(.objectDeleted, marker, of: key, in: bucket)
        try scheduleLifecycle(of: key, written: nil, settings, in: bucket)
    }

    // MARK: - Any version

    /// Gives a version another lock.
    ///
    /// - Parameter found: the version as it was read.
    /// - Returns: false when it is not what was found any more.
    func relockVersion(
        _ object: PreparedObject, inPlaceOf found: FoundObject, in bucket: BucketID
    ) throws(StoreError) -> Bool {
        let key = found.description.key
        if try get(Tables.objects, RowKey.object(bucket, key)) == found.bytes {
            try rewriteObject(object, inPlaceOf: found.row, in: bucket)
            return true
        }
        let rowKey = RowKey.objectVersion(
            bucket, key, sequence: found.row.sequence, token: found.row.token)
        guard try get(Tables.objectVersions, rowKey) == found.bytes else { return false }
        var row = object.row
        row.sequence = found.row.sequence
        try changeLock(
            of: key, row.token, from: found.row.lock, to: row.lock, in: bucket)
        try put(Tables.objectVersions, rowKey, row.encoded())
        // A row of version 1 has held them itself.
        if let references = object.references {
            try put(
                Tables.objectReferences, RowKey.objectPart(bucket, key, token: row.token),
                references.encoded())
        }
        try note(.objectUpdated, row, of: key, in: bucket)
        try scheduleLifecycleNow(of: key, in: bucket)
        return true
    }

    /// Fails while a bucket has a version that may not be deleted.
    func checkUnlocked(_ bucket: BucketID) throws(StoreError) {
        let locked = try scan(
            Tables.objectLocks, from: RowKey.objectLocks(bucket, endingAfter: now),
            prefix: bucket.octets.bytes, limit: 1)
        guard locked.isEmpty else {
            throw StoreError(
                .objectLocked, "the bucket has objects that a retention or a legal hold keeps")
        }
    }

    /// Removes one version of an object for good. If it was the latest, the one before it is.
    ///
    /// - Returns: false when there is no such version.
    /// - Throws: ``StoreError`` with code `objectLocked`.
    func deleteVersion(
        _ id: ObjectVersionID, of key: String, in bucket: BucketID,
        bypassingGovernance: Bool = false
    ) throws(StoreError) -> Bool {
        if let latest = try object(key, in: bucket), latest.token == id.token {
            try latest.lock.checkDeletable(at: now, bypassingGovernance: bypassingGovernance)
            try release(latest, of: key, in: bucket)
            try delete(Tables.objects, RowKey.object(bucket, key))
            try add(.objects, of: bucket, -1)
            try note(.versionDeleted, latest, of: key, in: bucket)
        } else {
            guard let older = try takeOlder(id, of: key, in: bucket) else { return false }
            try older.lock.checkDeletable(at: now, bypassingGovernance: bypassingGovernance)
            try release(older, of: key, in: bucket)
            try note(.versionDeleted, older, of: key, in: bucket)
        }
        try restoreLatest(of: key, in: bucket)
        // Another version may be the latest now, or a delete marker alone.
        try scheduleLifecycleNow(of: key, in: bucket)
        return true
    }

    /// An older version, or a delete marker.
    func olderVersion(
        _ id: ObjectVersionID, of key: String, in bucket: BucketID
    ) throws(StoreError) -> ObjectRow? {
        var sequence = id.sequence
        if id.token == 0 {
            // Its name does not say when it was written.
            let note = try get(Tables.nullVersions, RowKey.object(bucket, key))
            guard let note else { return nil }
            sequence = try RowKey.sequence(ofNullVersion: note)
        }
        let rowKey = RowKey.objectVersion(bucket, key, sequence: sequence, token: id.token)
        return try row(Tables.objectVersions, rowKey) { (bytes) throws(CoreError) in
            try ObjectRow(decoding: bytes)
        }
    }

    func noteNullVersion(
        of key: String, sequence: UInt64, in bucket: BucketID
    ) throws(StoreError) {
        try put(Tables.nullVersions, RowKey.object(bucket, key), RowKey.bigEndian(sequence))
    }

    // MARK: -

    // Behind all versions there are, also when the clock was set back. The time at which the
    // version came, whenever its body was written: from then on the one before is an older one.
    private func nextSequence(
        of key: String, _ latest: ObjectRow?, _ versioning: Versioning, in bucket: BucketID
    ) throws(StoreError) -> UInt64 {
        var newest = latest?.sequence ?? 0
        if versioning != .off {
            newest = max(newest, try newestOlderVersion(of: key, in: bucket)?.sequence ?? 0)
        }
        return max(UInt64(clamping: now.nanosecondsSinceEpoch), newest + 1)
    }

    /// Makes the latest version an older one, unless the new one replaces it.
    ///
    /// - Returns: the null version that the new one, of that token, takes the place of.
    private func makeRoom(
        for token: UInt64, of key: String, _ latest: ObjectRow?, _ versioning: Versioning,
        in bucket: BucketID
    ) throws(StoreError) -> ObjectRow? {
        if let latest, latest.token == token { return latest }
        if let latest { try putOlder(key, latest, in: bucket) }
        guard token == 0, versioning != .off else { return nil }
        return try takeOlder(.null, of: key, in: bucket)
    }

    private func putOlder(
        _ key: String, _ row: ObjectRow, in bucket: BucketID
    ) throws(StoreError) {
        let rowKey = RowKey.objectVersion(bucket, key, sequence: row.sequence, token: row.token)
        try put(Tables.objectVersions, rowKey, row.encoded())
        if row.token == 0 { try noteNullVersion(of: key, sequence: row.sequence, in: bucket) }
        try add(.olderVersions, of: bucket, 1)
    }

    private func takeOlder(
        _ id: ObjectVersionID, of key: String, in bucket: BucketID
    ) throws(StoreError) -> ObjectRow? {
        guard let row = try olderVersion(id, of: key, in: bucket) else { return nil }
        let rowKey = RowKey.objectVersion(bucket, key, sequence: row.sequence, token: row.token)
        try delete(Tables.objectVersions, rowKey)
        if row.token == 0 { try delete(Tables.nullVersions, RowKey.object(bucket, key)) }
        try add(.olderVersions, of: bucket, -1)
        return row
    }

    private func restoreLatest(of key: String, in bucket: BucketID) throws(StoreError) {
        guard try object(key, in: bucket) == nil else { return }
        guard let newest = try newestOlderVersion(of: key, in: bucket), !newest.isDeleteMarker
        else { return }
        _ = try takeOlder(newest.versionID, of: key, in: bucket)
        try put(Tables.objects, RowKey.object(bucket, key), newest.encoded())
        try add(.objects, of: bucket, 1)
    }

    private func newestOlderVersion(
        of key: String, in bucket: BucketID
    ) throws(StoreError) -> ObjectRow? {
        let entry = try scan(
            Tables.objectVersions, prefix: RowKey.objectVersions(bucket, key), limit: 1
        ).first
        return try entry.map { (entry) throws(StoreError) in
            try Engine.decodeObject(entry.value)
        }
    }

    // MARK: - References

    private func write(
        _ object: PreparedObject, inPlaceOf old: ObjectRow?, in bucket: BucketID
    ) throws(StoreError) {
        let (key, token) = (object.description.key, object.row.token)
        let oldNames = try linkNames(of: key, old, in: bucket)
        let newNames = object.linkNames
        // Added first: a blob that both versions name must not go in between.
        for name in newNames.subtracting(oldNames) {
            try addReference(key, token, name, bucket)
        }
        for name in oldNames.subtracting(newNames) {
            try removeReference(key, token, name, bucket)
        }
        try changeLock(of: key, token, from: old?.lock, to: object.row.lock, in: bucket)
        try put(Tables.objects, RowKey.object(bucket, key), object.row.encoded())
        let part = RowKey.objectPart(bucket, key, token: token)
        if let references = object.references {
            try put(Tables.objectReferences, part, references.encoded())
        } else if let old, old.referenceCount > 0 {
            try delete(Tables.objectReferences, part)
        }
    }

    // Of a version that goes for good.
    private func release(
        _ row: ObjectRow, of key: String, in bucket: BucketID
    ) throws(StoreError) {
        try changeLock(of: key, row.token, from: row.lock, to: .none, in: bucket)
        for name in try linkNames(of: key, row, in: bucket) {
            try removeReference(key, row.token, name, bucket)
        }
        guard row.referenceCount > 0 else { return }
        try delete(Tables.objectReferences, RowKey.objectPart(bucket, key, token: row.token))
    }

    private func changeLock(
        of key: String, _ token: UInt64, from old: ObjectLock?, to new: ObjectLock,
        in bucket: BucketID
    ) throws(StoreError) {
        guard old?.end != new.end else { return }
        if let end = old?.end {
            try delete(Tables.objectLocks, RowKey.objectLock(bucket, end, key, token: token))
        }
        if let end = new.end {
            try put(Tables.objectLocks, RowKey.objectLock(bucket, end, key, token: token), [])
        }
    }

    private func linkNames(
        of key: String, _ row: ObjectRow?, in bucket: BucketID
    ) throws(StoreError) -> Set<LinkName> {
        guard let row, !row.isDeleteMarker else { return [] }
        var names = Set(row.ownReferences)
        names.insert(row.bodyName)
        guard row.referenceCount > 0 else { return names }
        let references = try self.row(
            Tables.objectReferences, RowKey.objectPart(bucket, key, token: row.token)
        ) { (bytes) throws(CoreError) in
            try ObjectReferencesRow(decoding: bytes)
        }
        guard let references, references.names.count == Int(row.referenceCount) else {
            throw StoreError(.corrupted, "the references of an object are not those it has")
        }
        return names.union(references.names)
    }

    private func addReference(
        _ key: String, _ token: UInt64, _ name: LinkName, _ bucket: BucketID
    ) throws(StoreError) {
        guard var link = try link(bucket, name) else {
            throw StoreError(.blobUnknown, "the object refers to a blob that the bucket lacks")
        }
        guard link.referenceCount < UInt32.max else {
            throw StoreError(.limitExceeded, "too many objects refer to one blob")
        }
        link.referenceCount += 1
        try put(link, bucket, name)
        try put(Tables.references, RowKey.reference(bucket, name, key, token: token), [])
    }

    private func removeReference(
        _ key: String, _ token: UInt64, _ name: LinkName, _ bucket: BucketID
    ) throws(StoreError) {
        guard var link = try link(bucket, name), link.referenceCount > 0 else {
            throw StoreError(.corrupted, "an object refers to a blob that does not know it")
        }
        link.referenceCount -= 1
        try delete(Tables.references, RowKey.reference(bucket, name, key, token: token))
        if link.referenceCount == 0, !link.isPinned, link.leaseEnd == nil {
            try unlink(link, bucket, name)
        } else {
            try put(link, bucket, name)
        }
    }
}
