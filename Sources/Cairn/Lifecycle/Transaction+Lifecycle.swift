// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

// Of each key there is at most one moment at which rules may be due: the first one.
extension Transaction {
    /// Has a key looked at when its versions may be due, after one of them was written or went.
    ///
    /// - Parameter written: the version that was written as the latest; nil is none.
    func scheduleLifecycle(
        of key: String, written: ObjectRow?, _ settings: BucketSettings, in bucket: BucketID
    ) throws(StoreError) {
        var due: Timestamp?
        for rule in settings.dueRules where rule.concerns(key) {
            var moments: [Timestamp?] = [written.flatMap(rule.expiry)]
            if settings.versioning != .off {
                moments.append(rule.olderPeriod.map { now + $0 })
                if written == nil, rule.removesMarkers { moments.append(now) }
            }
            for moment in moments { if let moment { due = min(due ?? moment, moment) } }
        }
        guard let due, try lifecycleDue(of: key, in: bucket).map({ due < $0 }) ?? true else {
            return
        }
        try setLifecycleDue(due, of: key, in: bucket)
    }

    /// Has a key looked at now, if there are rules.
    func scheduleLifecycleNow(of key: String, in bucket: BucketID) throws(StoreError) {
        guard try settings(of: bucket).dueRules.contains(where: { $0.concerns(key) }) else {
            return
        }
        try setLifecycleDue(now, of: key, in: bucket)
    }

    /// Has a whole bucket looked at, a page at a time.
    func scheduleLifecycleWalk(of bucket: BucketID, at moment: Timestamp) throws(StoreError) {
        try setLifecycleDue(moment, of: "", in: bucket)
    }

    func lifecycleDue(of key: String, in bucket: BucketID) throws(StoreError) -> Timestamp? {
        let row = try get(Tables.lifecycleKeys, RowKey.object(bucket, key))
        return try row.map { (row) throws(StoreError) in try RowKey.time(of: row) }
    }

    /// - Parameters:
    ///   - due: takes the place of the moment before; nil is never.
    ///   - position: how far a walk over the bucket has come.
    func setLifecycleDue(
        _ due: Timestamp?, of key: String, in bucket: BucketID, position: [UInt8] = []
    ) throws(StoreError) {
        let rowKey = RowKey.object(bucket, key)
        if let old = try lifecycleDue(of: key, in: bucket) {
            try delete(Tables.lifecycleDue, RowKey.lifecycleDue(old, bucket, key))
        }
        guard let due else { return try delete(Tables.lifecycleKeys, rowKey) }
        try put(Tables.lifecycleKeys, rowKey, RowKey.time(due) + position)
        try put(Tables.lifecycleDue, RowKey.lifecycleDue(due, bucket, key), [])
    }
}

extension MultipartRow {
    /// The same, given up when rules of the bucket want it, whatever parts it gets.
    func expiring(by settings: BucketSettings, _ key: String) -> Self {
        var row = self
        row.expiresAt = settings.dueRules.filter { $0.concerns(key) }
            .compactMap { $0.uploadPeriod.map { startedAt + $0 } }
            .reduce(partExpiresAt, min)
        return row
    }
}
