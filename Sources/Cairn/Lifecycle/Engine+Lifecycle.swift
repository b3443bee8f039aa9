// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// What rules do to one key, as of one moment.
struct LifecyclePlan: Sendable {
    let key: String
    /// What is due now, the newest version first.
    var steps: [LifecyclePlanner.Step] = []
    /// When something else may be due; nil is never.
    var nextDue: Timestamp?
    /// The latest version as it was then.
    var latest: [UInt8]?
}

/// A bucket with its rules, for as long as a run looks at it.
struct LifecycleBucket: Sendable {
    let bucket: Bucket
    let keys: BucketKeys
    let rules: [LifecycleRule]
}

extension Engine {
    /// Passes of one run: what rules do may make them due for more.
    private static let passCountMax = 16
    private static let dueCountMax = 64

    /// Does what the rules of all buckets want done by now, the oldest first.
    func applyLifecycle(_ report: inout LifecycleReport) async throws(StoreError) {
        for _ in 0..<Self.passCountMax {
            let before = report
            (report.lockedKeyCount, report.damagedKeyCount) = (0, 0)
            try await applyLifecycleOnce(&report)
            guard
                report.expiredObjectCount != before.expiredObjectCount
                    || report.removedVersionCount != before.removedVersionCount
            else { return }
        }
    }

    private func applyLifecycleOnce(_ report: inout LifecycleReport) async throws(StoreError) {
        let now = clock.now()
        var from: [UInt8] = []
        var known: LifecycleBucket?
        while true {
            try checkCancellation("applying lifecycle rules")
            let due = try await read("looking for what is due") {
                [from] (index) throws(IndexError) in
                try index.scan(
                    Tables.lifecycleDue, from: from, before: RowKey.time(now + .nanoseconds(1)),
                    limit: Self.dueCountMax)
            }
            guard let last = due.last?.key else { return }
            for entry in due {
                do throws(StoreError) {
                    try await apply(entry.key, at: now, &known, &report)
                } catch {
                    if error.isLock {
                        report.lockedKeyCount += 1
                    } else {
                        guard error.code == .corrupted else { throw error }
                        report.damagedKeyCount += 1
                    }
                }
            }
            from = last + [0]
        }
    }

    private func apply(
        _ dueKey: [UInt8], at now: Timestamp, _ known: inout LifecycleBucket?,
        _ report: inout LifecycleReport
    ) async throws(StoreError) {
        let (id, key) = try RowKey.dueKey(of: dueKey)
        if known?.bucket.bucketID != id { known = try await lifecycleBucket(id) }
        guard let known else {
            // The bucket is gone; nobody else names the row.
            return try await transact { (transaction) throws(StoreError) in
                try transaction.delete(Tables.lifecycleDue, dueKey)
            }
        }
        guard !key.isEmpty else { return try await walk(known, at: now) }
        report.evaluatedKeyCount += 1
        while true {
            let due = try RowKey.time(of: dueKey)
            let plan = try await lifecyclePlan(of: key, known, at: now)
            if try await perform(plan, due: due, known, &report) { return }
            // A write has come in between, and has perhaps moved what is due to another moment.
            let rowKey = RowKey.object(id, key)
            let row = try await read("looking for what is due") { (index) throws(IndexError) in
                try index.get(Tables.lifecycleKeys, rowKey)
            }
            guard let row, try RowKey.time(of: row) == due else { return }
        }
    }

    /// A bucket and its rules; nil when it is gone.
    func lifecycleBucket(_ id: BucketID) async throws(StoreError) -> LifecycleBucket? {
        let changeCount = bucketChangeCount
        do throws(StoreError) {
            let bucket = Bucket(id, try await bucketRow(id).row, self, changeCount: changeCount)
            return LifecycleBucket(
                bucket: bucket, keys: try await bucket.keys(), rules: try await bucket.lifecycle())
        } catch {
            guard error.code == .bucketUnknown else { throw error }
            return nil
        }
    }

    // MARK: - Planning

    /// What rules do to a key.
    ///
    /// - Parameter snapshot: the moment to look at; nil is now.
    func lifecyclePlan(
        of key: String, _ bucket: LifecycleBucket, at now: Timestamp,
        in snapshot: (any IndexSnapshot)? = nil
    ) async throws(StoreError) -> LifecyclePlan {
        let id = bucket.bucket.bucketID
        let (view, latest) = try await read("applying lifecycle rules") {
            (index) throws(IndexError) -> (any IndexSnapshot, [UInt8]?) in
            let view = if let snapshot { snapshot } else { try index.snapshot() }
            return (view, try view.get(Tables.objects, RowKey.object(id, key)))
        }
        var plan = LifecyclePlan(key: key, latest: latest)
        var planner = LifecyclePlanner(bucket.rules, key: key, at: now)
        if let latest {
            try await add([(latest, true)], to: &plan, &planner, bucket)
        }
        let pages = pages(
            of: Tables.objectVersions, prefix: RowKey.objectVersions(id, key), in: view,
            for: "applying lifecycle rules")
        for try await rows in pages {
            try await add(rows.map { ($0.value, false) }, to: &plan, &planner, bucket)
        }
        if let marker = planner.expiredMarker() { plan.steps.append(marker) }
        plan.nextDue = planner.nextDue
        return plan
    }

    private func add(
        _ rows: [(bytes: [UInt8], isLatest: Bool)], to plan: inout LifecyclePlan,
        _ planner: inout LifecyclePlanner, _ bucket: LifecycleBucket
    ) async throws(StoreError) {
        for (bytes, isLatest) in rows {
            let row = try Self.decodeObject(bytes)
            var tags: [String: String] = [:]
            if planner.needsTags, !row.isDeleteMarker {
                tags =
                    try await describeObjects(
                        [(plan.key, bytes)], in: bucket.bucket.bucketID, bucket.keys
                    ).first?.tags ?? [:]
            }
            if let step = planner.step(for: row, isLatest: isLatest, tags: tags) {
                plan.steps.append(step)
            }
        }
    }

    // MARK: - Performing

    /// Versions that one transaction removes: a few milliseconds of the committer, unless they have
    /// many references.
    private static let stepCountMax = 64

    // False: the key is not what was planned for any more.
    private func perform(
        _ plan: LifecyclePlan, due: Timestamp, _ bucket: LifecycleBucket,
        _ report: inout LifecycleReport
    ) async throws(StoreError) -> Bool {
        let id = bucket.bucket.bucketID
        let marker = try await newDeleteMarker(in: id)
        // The oldest first: what a kill leaves is what rules would have left.
        var rest = Array(plan.steps.reversed())[...]
        repeat {
            let some = rest.prefix(Self.stepCountMax)
            rest = rest.dropFirst(some.count)
            let next = rest.isEmpty ? plan.nextDue : due
            let isDone = try await transact(cause: .lifecycle) {
                (transaction) throws(StoreError) -> Bool in
                guard try transaction.lifecycleDue(of: plan.key, in: id) == due,
                    try transaction.get(Tables.objects, RowKey.object(id, plan.key)) == plan.latest,
                    try transaction.isCurrent(token: marker.token, in: id)
                else { return false }
                for step in some {
                    switch step.action {
                    case .expire:
                        try transaction.deleteObject(
                            plan.key, step.row, leaving: marker, in: id)
                    case .remove(let version):
                        _ = try transaction.deleteVersion(version, of: plan.key, in: id)
                    }
                }
                try transaction.setLifecycleDue(next, of: plan.key, in: id)
                return true
            }
            guard isDone else { return false }
            for step in some {
                switch step.action {
                case .expire: report.expiredObjectCount += 1
                case .remove: report.removedVersionCount += 1
                }
            }
        } while !rest.isEmpty
        return true
    }
}
