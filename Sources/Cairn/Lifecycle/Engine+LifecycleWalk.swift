// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// How far a walk over a bucket has come.
struct LifecyclePosition: Hashable, Sendable {
    /// In the row of the walk: never renumber.
    enum Phase: UInt8 {
        case objects = 0
        /// Of keys that have no latest version.
        case olderVersions = 1
        case uploads = 2
    }

    var phase = Phase.objects
    /// What was seen last: a key, or the row of an upload behind that of the bucket.
    var name: [UInt8] = []

    var bytes: [UInt8] { [phase.rawValue] + name }

    init() {}

    /// - Parameter bytes: empty is the beginning.
    init(_ bytes: some Collection<UInt8>) {
        phase = bytes.first.flatMap(Phase.init(rawValue:)) ?? .objects
        name = Array(bytes.dropFirst())
    }

    /// The beginning of the next phase; nil when this was the last.
    var nextPhase: Self? {
        Phase(rawValue: phase.rawValue + 1).map { next in
            var position = Self()
            position.phase = next
            return position
        }
    }
}

// After rules were changed, every key of the bucket is looked at once, to tell when it is due.
extension Engine {
    private static let walkedKeyCountMax = 64

    /// Keys of a bucket behind a position, and where to go on.
    func lifecycleKeys(
        of id: BucketID, after position: LifecyclePosition, in snapshot: (any IndexSnapshot)? = nil
    ) async throws(StoreError) -> (keys: [String], next: LifecyclePosition?) {
        let prefix = id.octets.bytes
        let names = try await read("applying lifecycle rules") {
            (index) throws(IndexError) -> [[UInt8]] in
            let reader: any IndexReader = if let snapshot { snapshot } else { index }
            let end = firstKey(behindPrefix: prefix)
            var names: [[UInt8]] = []
            switch position.phase {
            case .objects:
                names = try reader.scan(
                    Tables.objects, prefix: prefix,
                    after: position.name.isEmpty ? nil : prefix + position.name,
                    limit: Self.walkedKeyCountMax
                ).map { Array($0.key.dropFirst(prefix.count)) }
            case .olderVersions:
                // Over all versions of a key at once: no key has the bytes 0 or 1 behind it.
                var from = position.name.isEmpty ? prefix : prefix + position.name + [1]
                while names.count < Self.walkedKeyCountMax,
                    let entry = try reader.scan(
                        Tables.objectVersions, from: from, before: end, limit: 1
                    ).first
                {
                    let name = Array(entry.key.dropFirst(prefix.count).prefix { $0 != 0 })
                    names.append(name)
                    from = prefix + name + [1]
                }
            case .uploads: break
            }
            return names
        }
        var next = position
        if let last = names.last { next.name = last }
        return (
            names.map { String(decoding: $0, as: UTF8.self) },
            names.count < Self.walkedKeyCountMax ? position.nextPhase : next
        )
    }

    private enum Walked {
        case page
        case end
        /// The rules were changed: the walk begins anew with them.
        case outdated
    }

    /// Goes on with the walk over a bucket to its end.
    ///
    /// - Returns: false when the rules were changed meanwhile.
    func walk(
        _ bucket: LifecycleBucket, at now: Timestamp, _ report: inout LifecycleReport
    ) async throws(StoreError) -> Bool {
        while true {
            try checkCancellation("applying lifecycle rules")
            switch try await walkPage(bucket, at: now, &report) {
            case .page: continue
            case .end: return true
            case .outdated: return false
            }
        }
    }

    private func walkPage(
        _ bucket: LifecycleBucket, at now: Timestamp, _ report: inout LifecycleReport
    ) async throws(StoreError) -> Walked {
        let id = bucket.bucket.bucketID
        let rowKey = RowKey.object(id, "")
        let found = try await read("applying lifecycle rules") { (index) throws(IndexError) in
            try index.get(Tables.lifecycleKeys, rowKey)
        }
        guard let found else { return .end }
        let moment = try RowKey.time(of: found)
        let position = LifecyclePosition(found.dropFirst(8))
        guard position.phase != .uploads else {
            return try await walkUploads(bucket, found, position)
        }
        let (keys, next) = try await lifecycleKeys(of: id, after: position)
        var dues: [(String, Timestamp)] = []
        for key in keys {
            do throws(StoreError) {
                let plan = try await lifecyclePlan(of: key, bucket, at: now)
                let due = plan.steps.isEmpty ? plan.nextDue : now
                if let due { dues.append((key, due)) }
            } catch {
                // Without the key of the bucket nothing goes on: the walk stays where it is.
                var noted = LifecycleReport()
                try noted.note(error)
                guard noted.skippedKeyCount > 0 else { throw error }
                // It keeps none behind it, and is looked at, and counted, with each run.
                dues.append((key, now))
            }
        }
        return try await transact { [dues] (transaction) throws(StoreError) -> Walked in
            guard try transaction.isCurrent(bucket, walk: found) else { return .outdated }
            for (key, due) in dues {
                // A write in between may have found something that is due before.
                let known = try transaction.lifecycleDue(of: key, in: id)
                try transaction.setLifecycleDue(min(due, known ?? due), of: key, in: id)
            }
            try transaction.setLifecycleDue(
                next == nil ? nil : moment, of: "", in: id, position: next?.bytes ?? [])
            return next == nil ? .end : .page
        }
    }

    // Uploads that were begun before the rules were given.
    private func walkUploads(
        _ bucket: LifecycleBucket, _ found: [UInt8], _ position: LifecyclePosition
    ) async throws(StoreError) -> Walked {
        let id = bucket.bucket.bucketID
        let prefix = id.octets.bytes
        let moment = try RowKey.time(of: found)
        return try await transact { (transaction) throws(StoreError) -> Walked in
            guard try transaction.isCurrent(bucket, walk: found) else { return .outdated }
            let rows = try transaction.scan(
                Tables.multipartUploads, from: prefix + position.name + [0], prefix: prefix,
                limit: Self.walkedKeyCountMax)
            let settings = try transaction.settings(of: id)
            for row in rows {
                // One that is damaged keeps none behind it.
                guard let upload = try? RowKey.multipartName(of: row.key).upload,
                    let old = try? MultipartRow(decoding: row.value), old.state == .open
                else { continue }
                let changed = old.expiring(by: settings, upload.key)
                guard changed.expiresAt != old.expiresAt else { continue }
                try transaction.putMultipart(changed, inPlaceOf: old, upload, in: id)
            }
            guard rows.count == Self.walkedKeyCountMax, let last = rows.last else {
                try transaction.setLifecycleDue(nil, of: "", in: id)
                return .end
            }
            var next = position
            next.name = Array(last.key.dropFirst(prefix.count))
            try transaction.setLifecycleDue(moment, of: "", in: id, position: next.bytes)
            return .page
        }
    }
}

extension Transaction {
    /// Whether rules and walk are what they were.
    fileprivate func isCurrent(
        _ bucket: LifecycleBucket, walk found: [UInt8]
    ) throws(StoreError) -> Bool {
        let id = bucket.bucket.bucketID
        guard try get(Tables.bucketSettings, id.octets.bytes) == bucket.settings else {
            return false
        }
        return try get(Tables.lifecycleKeys, RowKey.object(id, "")) == found
    }
}
