// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

// What becomes of old objects.
extension Bucket {
    /// The lifecycle rules of the bucket, as they were given.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `keyDisabled`, `keyUnavailable`, `io`,
    ///   `closed`.
    public func lifecycle() async throws(StoreError) -> [LifecycleRule] {
        try await rules(sealed: engine.settings(of: bucketID).sealedRules)
    }

    func rules(sealed: [UInt8]) async throws(StoreError) -> [LifecycleRule] {
        guard !sealed.isEmpty else { return [] }
        let key = try await engine.sealingKey(of: sealed, owner: bucketID)
        return try await engine.pool.run { [bucketID] (context) throws(StoreError) in
            let bytes = try context.open(
                sealed, as: .metadata, name: Octets32(padding: bucketID.octets), under: key)
            return try lower(
                "reading lifecycle rules",
                core: { () throws(CoreError) in
                    try LifecycleCoding.decode(bytes)
                })
        }
    }

    /// Gives the bucket other lifecycle rules. Durable on return.
    ///
    /// ``Store/applyLifecycle()`` acts upon them. Its next run looks at every object of the bucket
    /// once; from then on a run costs what is due.
    ///
    /// - Parameter rules: take the place of all that there were; none ends them.
    /// - Throws: ``StoreError`` with code `invalidArgument` (a rule makes no sense; the message
    ///   names it), `limitExceeded` (more than 100), `bucketUnknown`, `outOfSpace`, `io`,
    ///   `keyDisabled`, `keyUnavailable`, `closed`.
    public func setLifecycle(_ rules: [LifecycleRule]) async throws(StoreError) {
        try LifecycleRule.check(rules)
        let keys = try await keys()
        let (engine, bucketID) = (engine, bucketID)
        let sealed = try await engine.pool.run { (context) throws(StoreError) in
            try context.seal(
                LifecycleCoding.encode(rules), as: .metadata,
                name: Octets32(padding: bucketID.octets), under: keys.sealingKey(engine, bucketID))
        }
        try await changeSettings { (settings, transaction) throws(StoreError) in
            settings.sealedRules = rules.isEmpty ? [] : sealed
            settings.dueRules = rules.filter(\.isEnabled).map(DueRule.init)
            try transaction.scheduleLifecycleWalk(of: bucketID, at: transaction.now)
        }
    }

    /// What lifecycle rules would do now, and changes nothing.
    ///
    /// As of one moment, and exact for it, but for delete markers that an expiry itself leaves and
    /// that go at once. Looks at every object of the bucket. Memory: about 100 bytes for each blob
    /// and each chunk that would go, and a few hundred for each version that would go of one key;
    /// rows that are deleted meanwhile stay on the disk until it has ended.
    ///
    /// - Parameters:
    ///   - rules: those to be tried; nil is those of the bucket.
    ///   - moment: when they would be applied; nil is now.
    /// - Throws: ``StoreError`` with code `invalidArgument`, `limitExceeded` (the rules),
    ///   `cancelled`, `corrupted`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    public func previewLifecycle(
        _ rules: [LifecycleRule]? = nil, at moment: Timestamp? = nil
    ) async throws(StoreError) -> LifecyclePreview {
        if let rules { try LifecycleRule.check(rules) }
        return try await engine.previewLifecycle(
            rules, of: self, at: moment ?? engine.clock.now())
    }
}

extension Store {
    /// Does what the lifecycle rules of all buckets want done by now, the oldest first.
    ///
    /// Costs what is due, not what there is; after rules or versioning were changed, one look at
    /// each object of their bucket. In small transactions, each of which makes sure that the rules
    /// are still those: a kill loses nothing, and the next run goes on. Nothing is done to versions
    /// that a retention or a legal hold keeps. A key that cannot be looked at keeps no other one:
    /// see ``LifecycleReport/lockedKeyCount`` and ``LifecycleReport/skippedKeyCount``. Incomplete
    /// multipart uploads are aborted by ``reapExpiredUploads(limit:)`` and ``sweep()``; call the
    /// latter afterwards, to free what has gone.
    ///
    /// - Throws: ``StoreError`` with code `cancelled` (by the task; what was done stays done),
    ///   `outOfSpace`, `readOnly`, `io`, `closed`.
    @discardableResult
    public func applyLifecycle() async throws(StoreError) -> LifecycleReport {
        var report = LifecycleReport()
        try await engine.applyLifecycle(&report)
        return report
    }
}
