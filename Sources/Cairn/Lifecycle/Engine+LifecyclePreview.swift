// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Engine {
    /// What rules would do to a bucket at a moment, as of one snapshot; changes nothing.
    ///
    /// - Parameter rules: nil is those of the bucket.
    func previewLifecycle(
        _ rules: [LifecycleRule]?, of previewed: Bucket, at now: Timestamp
    ) async throws(StoreError) -> LifecyclePreview {
        let id = previewed.bucketID
        // What the snapshot names stays where it is.
        let pin = segmentPins.pin()
        defer { withExtendedLifetime(pin) {} }
        let snapshot = try await read("previewing lifecycle rules") { (index) throws(IndexError) in
            try index.snapshot()
        }
        let bucket = try await lifecycleBucket(previewed, trying: rules, in: snapshot)
        var preview = LifecyclePreview()
        var released: [LinkName: UInt32] = [:]
        var position: LifecyclePosition? = LifecyclePosition()
        while let current = position, current.phase != .uploads {
            let (keys, next) = try await lifecycleKeys(of: id, after: current, in: snapshot)
            for key in keys {
                // Of a key that has a latest version all versions were seen with that.
                let plan = try await lifecyclePlan(
                    of: key, bucket, at: now, in: snapshot, stepCountMax: .max)
                guard current.phase == .objects || plan.latest == nil else { continue }
                let isNullRemoved = plan.steps.contains { $0.action.isOfNullVersion }
                for step in plan.steps {
                    var gone: ObjectRow? = step.row
                    if step.action == .expire {
                        preview.expiredObjectCount += 1
                        gone =
                            isNullRemoved
                            ? nil
                            : try await removedVersion(
                                by: step.row, of: key, bucket.versioning, id, snapshot)
                    } else {
                        preview.removedVersionCount += 1
                    }
                    guard let gone else { continue }
                    for name in try await linkNames(of: key, gone, in: id, snapshot) {
                        released[name, default: 0] += 1
                    }
                }
            }
            position = next
            try checkCancellation("previewing lifecycle rules")
        }
        try await add(released, to: &preview, of: id, snapshot)
        try await addUploads(of: bucket, at: now, to: &preview, snapshot)
        return preview
    }

    // The version that a deletion of the latest one takes away for good: where versions are kept
    // none, and while that is suspended the null version.
    private func removedVersion(
        by latest: ObjectRow, of key: String, _ versioning: Versioning, _ bucket: BucketID,
        _ snapshot: any IndexSnapshot
    ) async throws(StoreError) -> ObjectRow? {
        switch versioning {
        case .off: return latest
        case .enabled: return nil
        case .suspended: break
        }
        guard latest.token != 0 else { return latest }
        let bytes = try await read("previewing lifecycle rules") {
            [snapshot] (_) throws(IndexError) in
            try Self.rowBytes(of: key, .null, in: bucket, snapshot)
        }
        return try bytes.map { (bytes) throws(StoreError) in try Self.decodeObject(bytes) }
    }

    private func linkNames(
        of key: String, _ row: ObjectRow, in bucket: BucketID, _ snapshot: any IndexSnapshot
    ) async throws(StoreError) -> Set<LinkName> {
        guard !row.isDeleteMarker else { return [] }
        var names = Set([row.bodyName] + row.ownReferences)
        guard row.referenceCount > 0 else { return names }
        let part = RowKey.objectPart(bucket, key, token: row.token)
        let bytes = try await read("reading an object") { [snapshot] (_) throws(IndexError) in
            try snapshot.get(Tables.objectReferences, part)
        }
        let references = try lower(
            "reading an object",
            core: { () throws(CoreError) in
                try bytes.map { (bytes) throws(CoreError) in
                    try ObjectReferencesRow(decoding: bytes)
                }
            })
        names.formUnion(references?.names ?? [])
        return names
    }

    private func add(
        _ released: [LinkName: UInt32], to preview: inout LifecyclePreview, of bucket: BucketID,
        _ snapshot: any IndexSnapshot
    ) async throws(StoreError) {
        var walk = GarbageWalk(engine: self, snapshot: snapshot)
        for (name, count) in released {
            let bytes = try await read("reading a link") { [snapshot] (_) throws(IndexError) in
                try snapshot.get(Tables.links, RowKey.link(bucket, name))
            }
            guard let bytes else { continue }
            let link = try lower(
                "reading a link",
                core: { () throws(CoreError) in
                    try LinkRow(decoding: bytes)
                })
            guard link.referenceCount == count, !link.isPinned, link.leaseEnd == nil else {
                continue
            }
            preview.removedBlobCount += 1
            preview.logicalByteCount += link.byteCount
            try await walk.release(link)
        }
        preview.freedByteCount = walk.report.byteCount
    }

    private func addUploads(
        of bucket: LifecycleBucket, at now: Timestamp, to preview: inout LifecyclePreview,
        _ snapshot: any IndexSnapshot
    ) async throws(StoreError) {
        let pages = pages(
            of: Tables.multipartUploads, prefix: bucket.bucket.bucketID.octets.bytes, in: snapshot,
            for: "previewing lifecycle rules")
        for try await rows in pages {
            for row in rows {
                let key = try RowKey.multipartName(of: row.key).upload.key
                let upload = try Self.decodeMultipart(row.value)
                let isDue = bucket.rules.contains { rule in
                    guard rule.concerns(key), let days = rule.incompleteUploadDays else {
                        return false
                    }
                    return upload.startedAt + .days(days) <= now
                }
                if upload.state == .open, isDue { preview.abortedUploadCount += 1 }
            }
        }
    }
}

extension LifecyclePlanner.Action {
    /// Whether it removes the null version for good.
    fileprivate var isOfNullVersion: Bool {
        switch self {
        case .expire: false
        case .remove(let version): version.token == 0
        }
    }
}
