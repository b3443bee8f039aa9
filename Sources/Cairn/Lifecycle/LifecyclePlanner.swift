// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Decides what rules do to the versions of one key, and when there is more to do.
///
/// Pure: it is shown the versions, the newest first, and reads neither rows nor a clock.
struct LifecyclePlanner: Sendable {
    enum Action: Hashable, Sendable {
        /// The latest version is deleted as a call would delete the object.
        case expire
        /// A version or a delete marker is removed for good.
        case remove(ObjectVersionID)
    }

    struct Step: Sendable {
        var action: Action
        /// The version that it removes or hides.
        var row: ObjectRow
    }

    private let rules: [LifecycleRule]
    private let now: Timestamp
    private let previewed: Versioning?
    /// The next moment at which something may be due; nil is never.
    private(set) var nextDue: Timestamp?
    // When the version shown last was written, which made the next one an older one.
    private var successor: Timestamp?
    private var olderCount = 0
    private var hasKept = false
    private var marker: ObjectRow?

    /// Whether tags have to be known: reading them costs a key.
    var needsTags: Bool { rules.contains { !$0.tags.isEmpty } }

    /// - Parameters:
    ///   - rules: of the bucket.
    ///   - previewed: the versioning of the bucket, if the plan is to have what another look would
    ///     find as soon as the latest version has expired; nil for a plan that is carried out, of
    ///     which the end may never come.
    init(
        _ rules: [LifecycleRule], key: String, at now: Timestamp, previewing previewed: Versioning?
    ) {
        self.rules = rules.filter { $0.concerns(key) }
        self.now = now
        self.previewed = previewed
    }

    /// What becomes of the next version.
    mutating func step(
        for row: ObjectRow, isLatest: Bool, tags: [String: String]
    ) -> Step? {
        defer {
            // Numbers of versions are times, made to grow.
            successor = Timestamp(nanosecondsSinceEpoch: Int64(clamping: row.sequence))
        }
        if isLatest {
            guard isExpired(row, tags) else {
                hasKept = true
                return nil
            }
            guard isDeletable(row) else { return nil }
            // Where versions are kept it is the newest of the older ones from now on; else its
            // delete marker may be all there is.
            for rule in rules {
                if let older = rule.noncurrentExpiration {
                    wait(until: older.keepingNewest > 0 ? now : now + .days(older.days))
                }
                if rule.removesExpiredDeleteMarkers { wait(until: now) }
            }
            if isKept(row) { olderCount += 1 }
            hasKept = true
            return Step(action: .expire, row: row)
        }
        guard let successor else {
            // The newest of all is no latest version: a delete marker.
            marker = row
            return nil
        }
        guard isOver(row, since: successor, tags), isDeletable(row) else {
            olderCount += 1
            hasKept = true
            return nil
        }
        return Self.removing(row)
    }

    /// The delete marker that hides nothing any more, when all versions were shown.
    func expiredMarker() -> Step? {
        guard let marker, !hasKept, rules.contains(where: \.removesExpiredDeleteMarkers) else {
            return nil
        }
        return Self.removing(marker)
    }

    // Whether a version that expires is an older one then.
    private func isKept(_ row: ObjectRow) -> Bool {
        switch previewed {
        case .enabled: true
        case .suspended: row.token != 0
        case .off, nil: false
        }
    }

    // Of a version that goes nobody needs what is sealed: a plan may have many of them.
    private static func removing(_ row: ObjectRow) -> Step {
        var row = row
        row.sealed = []
        return Step(action: .remove(row.versionID), row: row)
    }

    // MARK: -

    private mutating func isExpired(_ row: ObjectRow, _ tags: [String: String]) -> Bool {
        var isExpired = false
        for rule in rules where rule.concerns(row, tags: tags) {
            switch rule.expiration {
            case .after(let days):
                isExpired = isReached(row.modifiedAt + .days(days)) || isExpired
            case .at(let moment): isExpired = isReached(moment) || isExpired
            case nil: continue
            }
        }
        return isExpired
    }

    private mutating func isOver(
        _ row: ObjectRow, since successor: Timestamp, _ tags: [String: String]
    ) -> Bool {
        var isOver = false
        for rule in rules where rule.concerns(row, tags: tags) {
            guard let older = rule.noncurrentExpiration, isReached(successor + .days(older.days)),
                olderCount >= older.keepingNewest
            else { continue }
            isOver = true
        }
        return isOver
    }

    private mutating func isDeletable(_ row: ObjectRow) -> Bool {
        guard let end = row.lock.end, end > now else { return true }
        // A legal hold has no end; whoever takes it away has the key looked at again.
        if !row.lock.hasLegalHold { wait(until: end) }
        return false
    }

    private mutating func isReached(_ moment: Timestamp) -> Bool {
        guard moment > now else { return true }
        wait(until: moment)
        return false
    }

    private mutating func wait(until moment: Timestamp) {
        nextDue = min(nextDue ?? moment, moment)
    }
}
