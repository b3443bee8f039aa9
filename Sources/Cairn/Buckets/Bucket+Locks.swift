// Part of Cairn, a content-addressed blob store.

internal import CairnCore

// Versions of objects that cannot be deleted.
extension Bucket {
    /// What new versions of objects get that come without a retention of their own; nil is none.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func defaultRetention() async throws(StoreError) -> DefaultRetention? {
        try await engine.settings(of: bucketID).retention
    }

    /// Changes what new versions of objects get; those that are there stay as they are. Durable on
    /// return; writes that begin afterwards obey it.
    ///
    /// - Throws: ``StoreError`` with code `invalidArgument` (not 1 second to 100 years),
    ///   `bucketUnknown`, `outOfSpace`, `io`, `keyDisabled`, `keyUnavailable`, `closed`.
    public func setDefaultRetention(
        _ retention: DefaultRetention?
    ) async throws(StoreError) {
        try retention?.check()
        try await changeSettings { (settings, _) throws(StoreError) in
            settings.retention = retention
        }
    }

    /// Keeps a version of an object from being deleted or replaced for a time. Durable on return.
    ///
    /// Until then no call removes the version: not the deletion of the version or, where no
    /// versions are kept, of the object, nor a write or a rename in its place, nor the deletion or
    /// the shredding of the bucket, nor a lifecycle rule. Where versions are kept, writes and
    /// deletions go on: they leave the version as an older one.
    ///
    /// - Parameters:
    ///   - retention: takes the place of the one before; nil is none. In compliance mode it can
    ///     only be made longer, in governance mode be made shorter or taken away only by who
    ///     bypasses that.
    ///   - key: the name of the object.
    ///   - version: which version of it; nil is the latest.
    ///   - bypassingGovernance: whether a retention in governance mode counts for nothing.
    /// - Throws: ``StoreError`` with code `objectLocked` (there is a stronger retention),
    ///   `objectUnknown`, `invalidArgument` (over, or longer than 100 years), `keyInvalid`,
    ///   `bucketUnknown`, `corrupted`, `outOfSpace`, `io`, `keyDisabled`, `keyUnavailable`,
    ///   `closed`.
    @discardableResult
    public func setRetention(
        _ retention: Retention?, of key: String, version: ObjectVersionID? = nil,
        bypassingGovernance: Bool = false
    ) async throws(StoreError) -> ObjectDescription {
        try await setLock(
            retention: .some(retention), isHeld: nil, of: key, version: version,
            bypassingGovernance: bypassingGovernance)
    }

    /// Keeps a version of an object from being deleted or replaced until this is taken away again.
    /// Durable on return.
    ///
    /// - Parameters:
    ///   - isHeld: whether it is kept, beside any retention.
    ///   - key: the name of the object.
    ///   - version: which version of it; nil is the latest.
    /// - Throws: as ``setRetention(_:of:version:bypassingGovernance:)``.
    @discardableResult
    public func setLegalHold(
        _ isHeld: Bool, of key: String, version: ObjectVersionID? = nil
    ) async throws(StoreError) -> ObjectDescription {
        try await setLock(
            retention: nil, isHeld: isHeld, of: key, version: version, bypassingGovernance: false)
    }

    /// Changes both at once, or none of them.
    ///
    /// - Parameters:
    ///   - retention: `.some(nil)` takes it away; nil leaves it.
    ///   - isHeld: nil leaves the hold.
    package func setLock(
        retention: Retention??, isHeld: Bool?, of key: String, version: ObjectVersionID?,
        bypassingGovernance: Bool
    ) async throws(StoreError) -> ObjectDescription {
        let now = engine.clock.now()
        if let retention { try ObjectLock(retention: retention).check(at: now) }
        return try await changeLock(of: key, version) { (lock) throws(StoreError) in
            if let retention {
                try lock.checkReplaceable(
                    by: retention, at: now, bypassingGovernance: bypassingGovernance)
                lock.retention = retention
            }
            lock.hasLegalHold = isHeld ?? lock.hasLegalHold
        }
    }

    private func changeLock(
        of key: String, _ version: ObjectVersionID?,
        _ change: (inout ObjectLock) throws(StoreError) -> Void
    ) async throws(StoreError) -> ObjectDescription {
        try Names.checkObjectKey(key)
        let bucketID = bucketID
        while true {
            // Rows of version 1 have no place for a lock.
            if version == nil || version == .null { try await objectRow(key) }
            let keys = try await keys()
            let found = try await object(key, version: version, keys)
            var lock = found.description.lock
            try change(&lock)
            let object = try await engine.prepareObject(
                found.description.locked(lock), references: found.references, in: bucketID, keys)
            let isDone = try await engine.transact { (transaction) throws(StoreError) -> Bool in
                try transaction.checkBucket(bucketID)
                return try transaction.relockVersion(object, inPlaceOf: found, in: bucketID)
            }
            if isDone { return object.description }
        }
    }
}
