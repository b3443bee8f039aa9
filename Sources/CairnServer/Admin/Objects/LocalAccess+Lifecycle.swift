// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import FoundationEssentials

extension LocalAccess {
    /// Answers what concerns locks, rules and events.
    func answerGovernance(_ request: ObjectRequest) async throws(StoreError) -> ObjectAnswer {
        switch request {
        case .lock(let change):
            return .object(ObjectInfo(try await change.apply(to: bucket(named: change.bucket))))
        case .lifecycle(let bucket, let rules):
            let bucket = try await self.bucket(named: bucket)
            if let rules { try await bucket.setLifecycle(LifecycleRule.all(rules)) }
            return .lifecycle(try await bucket.lifecycle().map { LifecycleRuleInfo($0) })
        case .previewLifecycle(let bucket, let rules):
            let tried = try rules.map { (rules) throws(StoreError) in try LifecycleRule.all(rules) }
            let preview = try await self.bucket(named: bucket).previewLifecycle(tried)
            return .lifecyclePreview(LifecyclePreviewInfo(preview))
        case .applyLifecycle:
            return .lifecycleReport(LifecycleReportInfo(try await store.applyLifecycle()))
        case .events(let bucket, let after, let limit):
            let page = try await self.bucket(named: bucket).events(
                after: EventCursor(checking: after), limit: limit)
            return .events(
                BucketEventListing(
                    events: page.events.map { BucketEventInfo($0) },
                    next: page.next.description, isAtEnd: page.isAtEnd))
        default: return .done
        }
    }
}

extension ObjectLockChange {
    fileprivate func apply(to bucket: Bucket) async throws(StoreError) -> ObjectDescription {
        let version = try version.map { (text) throws(StoreError) in
            try ObjectVersionID(checking: text)
        }
        guard mode != nil || legalHold != nil else {
            throw StoreError(.invalidArgument, "a change of a lock names a mode or a hold")
        }
        let retention = try mode.map { (mode) throws(StoreError) in try self.retention(mode) }
        return try await bucket.setLock(
            retention: retention, isHeld: legalHold, of: key, version: version,
            bypassingGovernance: bypassGovernance)
    }

    private func retention(_ mode: String) throws(StoreError) -> Retention? {
        if mode == "none" { return nil }
        guard let named = Retention.Mode.allCases.first(where: { "\($0)" == mode }) else {
            throw StoreError(
                .invalidArgument, "a retention is governance, compliance or none, not \(mode)")
        }
        guard let retainUntil else {
            throw StoreError(.invalidArgument, "a retention has a time at which it ends")
        }
        return Retention(named, until: try Timestamp(checking: retainUntil))
    }
}

// MARK: - Values

extension Timestamp {
    fileprivate init(checking text: String) throws(StoreError) {
        // Whole seconds: what answers say may have a fraction.
        let fraction = text.firstIndex(of: ".").map { text[$0...].prefix { $0 != "Z" } } ?? ""
        let whole = fraction.isEmpty ? text : text.replacing(fraction, with: "")
        guard let date = try? Date(whole, strategy: .iso8601) else {
            throw StoreError(
                .invalidArgument, "\(text) is no time such as 2027-01-01T00:00:00Z")
        }
        let seconds = date.timeIntervalSince1970
        guard abs(seconds) < 9_000_000_000 else {
            throw StoreError(.invalidArgument, "\(text) is too far away")
        }
        self.init(nanosecondsSinceEpoch: Int64(seconds) * 1_000_000_000)
    }
}

extension ObjectLockInfo {
    /// Nil where nothing is locked.
    init?(_ lock: ObjectLock) {
        guard lock != .none else { return nil }
        self.init(
            mode: lock.retention.map { "\($0.mode)" },
            retainUntil: lock.retention?.until.description, legalHold: lock.hasLegalHold)
    }
}

extension LifecycleRule {
    fileprivate static func all(_ rules: [LifecycleRuleInfo]) throws(StoreError) -> [Self] {
        var all: [Self] = []
        for info in rules { all.append(try Self(info)) }
        return all
    }

    private init(_ info: LifecycleRuleInfo) throws(StoreError) {
        self.init(info.id, prefix: info.prefix ?? "")
        isEnabled = info.enabled ?? true
        tags = info.tags ?? [:]
        byteCountMin = info.byteCountMin ?? 0
        byteCountMax = info.byteCountMax ?? .max
        switch (info.expirationDays, info.expirationDate) {
        case (let days?, nil): expiration = .after(days: days)
        case (nil, let date?): expiration = .at(try Timestamp(checking: date))
        case (nil, nil): break
        case (_, _):
            throw StoreError(.invalidArgument, "rule \(info.id) has both days and a date")
        }
        if let days = info.noncurrentDays {
            noncurrentExpiration = NoncurrentExpiration(
                days: days, keepingNewest: info.keepNewest ?? 0)
        } else if info.keepNewest != nil {
            throw StoreError(
                .invalidArgument, "rule \(info.id) keeps versions and says no noncurrentDays")
        }
        removesExpiredDeleteMarkers = info.removeExpiredDeleteMarkers ?? false
        incompleteUploadDays = info.incompleteUploadDays
    }
}

extension LifecycleRuleInfo {
    fileprivate init(_ rule: LifecycleRule) {
        self.init(id: rule.id)
        enabled = rule.isEnabled
        prefix = rule.prefix
        tags = rule.tags.isEmpty ? nil : rule.tags
        byteCountMin = rule.byteCountMin > 0 ? rule.byteCountMin : nil
        byteCountMax = rule.byteCountMax < .max ? rule.byteCountMax : nil
        switch rule.expiration {
        case .after(let days): expirationDays = days
        case .at(let moment): expirationDate = moment.description
        case nil: break
        }
        noncurrentDays = rule.noncurrentExpiration?.days
        keepNewest = rule.noncurrentExpiration?.keepingNewest
        removeExpiredDeleteMarkers = rule.removesExpiredDeleteMarkers ? true : nil
        incompleteUploadDays = rule.incompleteUploadDays
    }
}

extension LifecyclePreviewInfo {
    fileprivate init(_ preview: LifecyclePreview) {
        self.init(
            expiredObjectCount: preview.expiredObjectCount,
            removedVersionCount: preview.removedVersionCount,
            abortedUploadCount: preview.abortedUploadCount,
            removedBlobCount: preview.removedBlobCount,
            logicalByteCount: preview.logicalByteCount, freedByteCount: preview.freedByteCount)
    }
}

extension LifecycleReportInfo {
    fileprivate init(_ report: LifecycleReport) {
        self.init(
            expiredObjectCount: report.expiredObjectCount,
            removedVersionCount: report.removedVersionCount,
            lockedKeyCount: report.lockedKeyCount, skippedKeyCount: report.skippedKeyCount)
    }
}

extension BucketEventInfo {
    fileprivate init(_ event: BucketEvent) {
        self.init(
            cursor: event.cursor.description, time: event.time.description, kind: "\(event.kind)",
            cause: "\(event.cause)", key: event.key, version: event.versionID?.description,
            etag: event.etag?.description, digest: event.digest?.description,
            byteCount: event.byteCount)
    }
}
