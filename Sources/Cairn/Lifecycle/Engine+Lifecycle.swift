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
    /// The row of the newest older version, or delete marker.
    var newestOlder: [UInt8]?
}

/// A bucket with its rules, for as long as a run looks at it.
struct LifecycleBucket: Sendable {
    let bucket: Bucket
    let keys: BucketKeys
    let rules: [LifecycleRule]
    /// The row that the rules are in: who acts upon them looks whether it is still that.
    let settings: [UInt8]?
    let versioning: Versioning
}

extension Engine {
    /// Passes of one run: what rules do may make them due for more.
    private static let passCountMax = 16
    private static let dueCountMax = 64
    /// Times that a key is planned for anew because somebody has written it meanwhile.
    private static let planCountMax = 4

    /// Does what the rules of all buckets want done by now, the oldest first.
    func applyLifecycle(_ report: inout LifecycleReport) async throws(StoreError) {
        for _ in 0..<Self.passCountMax {
            let before = report
            (report.lockedKeyCount, report.skippedKeyCount) = (0, 0)
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
                    try report.note(error)
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
        let due = try RowKey.time(of: dueKey)
        if !key.isEmpty { report.evaluatedKeyCount += 1 }
        for _ in 0..<Self.planCountMax {
            if known?.bucket.bucketID != id { known = try await lifecycleBucket(id) }
            guard let bucket = known else {
                // The bucket is gone; nobody else names the row.
                return try await transact { (transaction) throws(StoreError) in
                    try transaction.delete(Tables.lifecycleDue, dueKey)
                }
            }
            let isDone =
                key.isEmpty
                ? try await walk(bucket, at: now, &report)
                : try await perform(
                    lifecyclePlan(of: key, bucket, at: now), due: due, bucket, &report)
            if isDone { return }
            // The key was written, or the rules were changed.
            known = nil
            let rowKey = RowKey.object(id, key)
            let row = try await read("looking for what is due") { (index) throws(IndexError) in
                try index.get(Tables.lifecycleKeys, rowKey)
            }
            guard let row, try RowKey.time(of: row) == due else { return }
        }
        report.skippedKeyCount += 1
    }

    /// A bucket and its rules as they are now; nil when it is gone.
    func lifecycleBucket(_ id: BucketID) async throws(StoreError) -> LifecycleBucket? {
        let changeCount = bucketChangeCount
        do throws(StoreError) {
            let bucket = Bucket(id, try await bucketRow(id).row, self, changeCount: changeCount)
            return try await lifecycleBucket(bucket)
        } catch {
            guard error.code == .bucketUnknown else { throw error }
            return nil
        }
    }

    /// - Parameters:
    ///   - tried: rules in place of those of the bucket; nil is none.
    ///   - snapshot: the moment to look at; nil is now.
    func lifecycleBucket(
        _ bucket: Bucket, trying tried: [LifecycleRule]? = nil,
        in snapshot: (any IndexSnapshot)? = nil
    ) async throws(StoreError) -> LifecycleBucket {
        let id = bucket.bucketID
        // Past what is remembered of settings: to act upon rules that were revoked loses data.
        let row = try await read("reading the settings of a bucket") { (index) throws(IndexError) in
            let reader: any IndexReader = if let snapshot { snapshot } else { index }
            return try reader.get(Tables.bucketSettings, id.octets.bytes)
        }
        let settings = try Self.decodeSettings(row)
        let rules =
            if let tried { tried } else {
                try await bucket.rules(sealed: settings.sealedRules)
            }
        return LifecycleBucket(
            bucket: bucket, keys: try await bucket.keys(), rules: rules, settings: row,
            versioning: settings.versioning)
    }

    // MARK: - Planning

    /// What rules do to a key.
    ///
    /// - Parameters:
    ///   - snapshot: the moment to look at, for a preview; nil is now.
    ///   - stepCountMax: what is due beyond that is left for another plan.
    func lifecyclePlan(
        of key: String, _ bucket: LifecycleBucket, at now: Timestamp,
        in snapshot: (any IndexSnapshot)? = nil, stepCountMax: Int = Engine.plannedStepCountMax
    ) async throws(StoreError) -> LifecyclePlan {
        let id = bucket.bucket.bucketID
        let (view, latest) = try await read("applying lifecycle rules") {
            (index) throws(IndexError) -> (any IndexSnapshot, [UInt8]?) in
            let view = if let snapshot { snapshot } else { try index.snapshot() }
            return (view, try view.get(Tables.objects, RowKey.object(id, key)))
        }
        var plan = LifecyclePlan(key: key, latest: latest)
        var planner = LifecyclePlanner(
            bucket.rules, key: key, at: now, previewing: snapshot == nil ? nil : bucket.versioning)
        if let latest {
            try await add([(latest, true)], to: &plan, &planner, bucket)
        }
        let pages = pages(
            of: Tables.objectVersions, prefix: RowKey.objectVersions(id, key), in: view,
            for: "applying lifecycle rules")
        for try await rows in pages {
            if plan.newestOlder == nil { plan.newestOlder = rows.first?.key }
            try await add(rows.map { ($0.value, false) }, to: &plan, &planner, bucket)
            guard plan.steps.count < stepCountMax else {
                // The rest is looked at when these have gone.
                plan.nextDue = now
                return plan
            }
        }
        if let marker = planner.expiredMarker() { plan.steps.append(marker) }
        plan.nextDue = planner.nextDue
        return plan
    }

    /// Steps of one plan: each holds a row of about a kilobyte.
    static let plannedStepCountMax = 1024

    private func add(
        _ rows: [(bytes: [UInt8], isLatest: Bool)], to plan: inout LifecyclePlan,
        _ planner: inout LifecyclePlanner, _ bucket: LifecycleBucket
    ) async throws(StoreError) {
        var found: [ObjectRow] = []
        for row in rows { found.append(try Self.decodeObject(row.bytes)) }
        // Rows of version 1 say neither time nor length in the clear.
        let opened = zip(rows, found).filter { _, row in
            !row.isDeleteMarker && (planner.needsTags || row.etag == nil)
        }
        var objects = try await describeObjects(
            opened.map { (plan.key, $0.0.bytes) }, in: bucket.bucket.bucketID, bucket.keys)[...]
        for (item, row) in zip(rows, found) {
            var row = row
            var tags: [String: String] = [:]
            if !row.isDeleteMarker, planner.needsTags || row.etag == nil,
                let object = objects.popFirst()
            {
                (row.modifiedAt, row.byteCount) = (object.modifiedAt, object.byteCount)
                tags = object.tags
            }
            if let step = planner.step(for: row, isLatest: item.isLatest, tags: tags) {
                plan.steps.append(step)
            }
        }
    }

    // MARK: - Performing

    /// Versions that one transaction removes, and references that they have together: a few
    /// milliseconds of the committer for most.
    private static let stepCountMax = 64

    // False: the key is not what was planned for any more, or the rules are others.
    private func perform(
        _ plan: LifecyclePlan, due: Timestamp, _ bucket: LifecycleBucket,
        _ report: inout LifecycleReport
    ) async throws(StoreError) -> Bool {
        let id = bucket.bucket.bucketID
        // The oldest first: what a kill leaves is what rules would have left.
        var rest = Array(plan.steps.reversed())[...]
        var isFirst = true
        repeat {
            let some = Self.nextSteps(&rest)
            let marker = try await newDeleteMarker(in: id)
            let next = rest.isEmpty ? plan.nextDue : due
            let isDone = try await transact(cause: .lifecycle) {
                [isFirst] (transaction) throws(StoreError) -> Bool in
                guard try transaction.isUnchanged(plan, due: due, bucket, isFirst: isFirst),
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
            isFirst = false
            for step in some {
                switch step.action {
                case .expire: report.expiredObjectCount += 1
                case .remove: report.removedVersionCount += 1
                }
            }
        } while !rest.isEmpty
        return true
    }

    private static func nextSteps(
        _ rest: inout ArraySlice<LifecyclePlanner.Step>
    ) -> [LifecyclePlanner.Step] {
        var some: [LifecyclePlanner.Step] = []
        var referenceCount = 0
        while some.count < stepCountMax, let step = rest.first {
            referenceCount += Int(step.row.referenceCount)
            guard some.isEmpty || referenceCount <= ObjectBatch.referenceCountMax else { break }
            some.append(step)
            rest = rest.dropFirst()
        }
        return some
    }
}

extension Transaction {
    /// Whether rules and versions are what a plan was made for.
    ///
    /// - Parameter isFirst: false when the oldest versions of the plan are gone already, and with
    ///   them perhaps all older ones.
    fileprivate func isUnchanged(
        _ plan: LifecyclePlan, due: Timestamp, _ bucket: LifecycleBucket, isFirst: Bool
    ) throws(StoreError) -> Bool {
        let id = bucket.bucket.bucketID
        guard try get(Tables.bucketSettings, id.octets.bytes) == bucket.settings,
            try lifecycleDue(of: plan.key, in: id) == due,
            try get(Tables.objects, RowKey.object(id, plan.key)) == plan.latest
        else { return false }
        let newest = try scan(
            Tables.objectVersions, prefix: RowKey.objectVersions(id, plan.key), limit: 1
        ).first?.key
        return newest == plan.newestOlder || !isFirst && newest == nil
    }
}

extension LifecycleReport {
    /// Counts what keeps one key from being looked at; it keeps no other one.
    mutating func note(_ error: StoreError) throws(StoreError) {
        switch error.code {
        case .cancelled, .closed, .io, .outOfSpace, .readOnly: throw error
        case .keyDisabled, .keyUnknown, .keyUnavailable, .accessDenied: lockedKeyCount += 1
        default: skippedKeyCount += 1
        }
    }
}
