// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// What a writer gives beside the body of an object.
struct ObjectDraft: Sendable {
    let key: String
    let attributes: ObjectAttributes
    /// Each once.
    let references: [Digest]

    /// - Throws: ``StoreError`` with code `keyInvalid`, `limitExceeded`, `invalidArgument`.
    init(
        _ key: String, _ attributes: ObjectAttributes, references: [Digest]
    ) throws(StoreError) {
        try Names.checkObjectKey(key)
        try attributes.check()
        var seen: Set<Digest> = []
        self.references = references.filter { seen.insert($0).inserted }
        guard self.references.count <= ObjectDescription.referenceCountMax else {
            throw StoreError(
                .limitExceeded,
                "an object refers to at most \(ObjectDescription.referenceCountMax) blobs")
        }
        self.key = key
        self.attributes = attributes
    }
}

/// An object as it was found: the row is what a transaction compares before it acts upon it.
struct FoundObject: Sendable {
    let bytes: [UInt8]
    let row: ObjectRow
    let description: ObjectDescription
    let references: [Digest]
}

extension BucketKeys {
    // Kinds of names; no digest algorithm has these numbers.
    private static let referencesKind: UInt8 = 254
    private static let tagKind: UInt8 = 255

    /// Binds the sealed references of an object to its key.
    func objectReferencesName(of key: String, token: UInt64) -> Octets32 {
        let kind = [Self.referencesKind]
        return names.authenticate(kind.span, RowKey.versionName(key, token: token).span)
    }

    /// The tag for what describes an object: keyed, for it lies in the index in the clear.
    func objectTag(_ bytes: [UInt8]) -> Octets16 {
        let kind = [Self.tagKind]
        let code = names.authenticate(kind.span, bytes.span)
        return Octets16(code.span.extracting(..<Octets16.byteCount))
    }
}

// MARK: - Writing

extension Engine {
    /// Seals an object whose body is a blob of the bucket, or will be one in the same transaction.
    ///
    /// - Parameters:
    ///   - token: of the new version; see ``Engine/newToken(in:)``.
    ///   - checksums: of the body, those that are known.
    ///   - isNew: whether it takes on what the bucket gives to new versions.
    func prepareObject(
        _ draft: ObjectDraft, digest: Digest, byteCount: UInt64, modifiedAt: Timestamp,
        token: UInt64, checksums: [Checksum] = [], isNew: Bool = true, in bucket: BucketID,
        _ keys: BucketKeys
    ) async throws(StoreError) -> PreparedObject {
        let attributes =
            isNew ? try await locking(draft.attributes, in: bucket) : draft.attributes
        return try await pool.run { [self] (context) throws(StoreError) in
            var described = ObjectDescription(
                key: draft.key, etag: ETag(""), digest: digest, byteCount: byteCount,
                modifiedAt: Timestamp(nanosecondsSinceEpoch: 0),
                referenceCount: draft.references.count, attributes: attributes.unchanging)
            // Of all that describes the object but its tags and its lock, so that a write with the
            // same body but other references does not pass for the same state.
            let tag = keys.objectTag(
                described.encoded(etag: Octets16())
                    + ObjectReferencesRow.encode(draft.references))
            described = ObjectDescription(
                key: draft.key, etag: ETag(tag), digest: digest, byteCount: byteCount,
                modifiedAt: modifiedAt, referenceCount: draft.references.count,
                attributes: attributes, checksums: checksums)
            return try seal(described, tag, token, draft.references, in: bucket, keys, &context)
        }
    }

    /// Seals an object that is there already under its own tag.
    func prepareObject(
        _ object: ObjectDescription, references: [Digest], in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> PreparedObject {
        guard let octets = Hex.decode(object.etag.text), octets.count == Octets16.byteCount else {
            throw StoreError(.corrupted, "the tag of an object has an unknown form")
        }
        return try await pool.run { [self] (context) throws(StoreError) in
            try seal(
                object, Octets16(octets.span), object.versionID.token, references, in: bucket, keys,
                &context)
        }
    }

    private func seal(
        _ object: ObjectDescription, _ tag: Octets16, _ token: UInt64, _ references: [Digest],
        in bucket: BucketID, _ keys: BucketKeys, _ context: inout WorkerContext
    ) throws(StoreError) -> PreparedObject {
        let key = keys.sealingKey(self, bucket)
        let sealed = try context.seal(
            object.encoded(etag: tag), as: .metadata,
            name: keys.objectName(of: object.key, token: token), under: key)
        var prepared = PreparedObject(
            description: object,
            row: ObjectRow(
                object, token: token, etag: tag, bodyName: keys.linkName(of: object.digest),
                sealed: sealed))
        guard !references.isEmpty else { return prepared }
        prepared.references = ObjectReferencesRow(
            names: references.map(keys.linkName),
            sealed: try context.seal(
                ObjectReferencesRow.encode(references), as: .metadata,
                name: keys.objectReferencesName(of: object.key, token: token), under: key))
        return prepared
    }
}

extension ObjectAttributes {
    /// The same for another version.
    var unlocked: Self {
        var copy = self
        copy.lock = .none
        return copy
    }

    /// The same, without a retention that is over by then.
    func withoutRetention(endingBy now: Timestamp) -> Self {
        var copy = self
        if let retention = lock.retention, retention.until <= now { copy.lock.retention = nil }
        return copy
    }

    /// What no call changes as long as the version exists.
    fileprivate var unchanging: Self {
        var copy = unlocked
        copy.tags = [:]
        return copy
    }
}

// MARK: - Reading

extension Engine {
    func objectBytes(_ key: String, in bucket: BucketID) async throws(StoreError) -> [UInt8]? {
        let rowKey = RowKey.object(bucket, key)
        return try await read("reading an object") { (index) throws(IndexError) in
            try index.get(Tables.objects, rowKey)
        }
    }

    /// Describes an object; nil when there is none.
    func describeObject(
        _ key: String, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> ObjectDescription? {
        try checkOpen()
        let rowKey = RowKey.object(bucket, key)
        let found = try await pool.run {
            [self] (context) throws(StoreError) -> ([UInt8], ObjectDescription?)? in
            guard let bytes = try row(Tables.objects, rowKey) else { return nil }
            let row = try Self.decodeObject(bytes)
            let sealingKey = keys.sealingKey(self, bucket)
            // The key at hand opens all but what is left of older ones.
            guard try Self.keySlot(of: row.sealed) == sealingKey.slot else { return (bytes, nil) }
            return (bytes, try Self.open(row, key, keys, under: sealingKey, &context).object)
        }
        guard let (bytes, object) = found else { return nil }
        if let object { return object }
        return try await describeObjects([(key, bytes)], in: bucket, keys).first
    }

    /// Describes objects of a bucket, in the order of their rows.
    func describeObjects(
        _ rows: [(key: String, bytes: [UInt8])], in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> [ObjectDescription] {
        var objects: [(String, ObjectRow)] = []
        for (key, bytes) in rows { objects.append((key, try Self.decodeObject(bytes))) }
        let sealingKeys = try await sealingKeys(of: objects.map(\.1.sealed), owner: bucket)
        return try await pool.run { [objects] (context) throws(StoreError) in
            var descriptions: [ObjectDescription] = []
            for ((key, row), sealingKey) in zip(objects, sealingKeys) {
                descriptions.append(
                    try Self.open(row, key, keys, under: sealingKey, &context).object)
            }
            return descriptions
        }
    }

    /// An object whose body lies in the index, with the body, found in one turn of a worker thread
    /// where others take several; nil where that is not enough: the object is not there, its body
    /// is elsewhere, or one of its rows was sealed with an older key.
    func openSmallObject(
        _ key: String, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> (ObjectDescription, Blob)? {
        try checkOpen()
        return try await pool.run {
            [self] (context) throws(StoreError) -> (ObjectDescription, Blob)? in
            let sealingKey = keys.sealingKey(self, bucket)
            guard let bytes = try row(Tables.objects, RowKey.object(bucket, key)) else {
                return nil
            }
            let found = try Self.decodeObject(bytes)
            guard try Self.keySlot(of: found.sealed) == sealingKey.slot else { return nil }
            let object = try Self.open(found, key, keys, under: sealingKey, &context).object
            guard let link = try linkRow(bucket, found.bodyName), link.rootID == nil,
                let record = try row(Tables.smallBlobs, RowKey.link(bucket, found.bodyName)),
                try Self.keySlot(of: record) == sealingKey.slot
            else { return nil }
            let body = try context.open(
                record, as: .smallBlob, name: found.bodyName.octets, under: sealingKey)
            guard UInt64(body.count) == object.byteCount else {
                throw StoreError(.corrupted, "the body of an object is not as long as it says")
            }
            let blob = BlobDescription(
                digest: object.digest, byteCount: object.byteCount, createdAt: link.createdAt)
            return (object, Blob(blob, .inline(body), keys, self))
        }
    }

    /// An object with its references; nil when there is none.
    ///
    /// - Parameters:
    ///   - version: nil is the latest. A delete marker counts as none.
    ///   - snapshot: the moment to look at; nil is now.
    func findObject(
        _ key: String, version: ObjectVersionID? = nil, in bucket: BucketID, _ keys: BucketKeys,
        as snapshot: (any IndexSnapshot)? = nil
    ) async throws(StoreError) -> FoundObject? {
        let (bytes, referenceBytes) = try await read("reading an object") {
            (index) throws(IndexError) -> ([UInt8]?, [UInt8]?) in
            // Both as of one moment.
            let snapshot = if let snapshot { snapshot } else { try index.snapshot() }
            guard let bytes = try Self.rowBytes(of: key, version, in: bucket, snapshot) else {
                return (nil, nil)
            }
            let part = RowKey.objectPart(bucket, key, token: Self.token(of: bytes))
            return (bytes, try snapshot.get(Tables.objectReferences, part))
        }
        guard let bytes else { return nil }
        let row = try Self.decodeObject(bytes)
        guard !row.isDeleteMarker else { return nil }
        let list = row.referenceCount > 0 ? try Self.decodeReferences(referenceBytes) : nil
        let records = [row.sealed] + (list.map { [$0.sealed] } ?? [])
        let sealingKeys = try await sealingKeys(of: records, owner: bucket)
        return try await pool.run { (context) throws(StoreError) in
            let (object, ownReferences) = try Self.open(
                row, key, keys, under: sealingKeys[0], &context)
            var references = ownReferences
            if let list {
                let plaintext = try context.open(
                    list.sealed, as: .metadata,
                    name: keys.objectReferencesName(of: key, token: row.token),
                    under: sealingKeys[1])
                references = try lower(
                    "reading an object",
                    core: { () throws(CoreError) in
                        try ObjectReferencesRow.decodeDigests(
                            plaintext, count: object.referenceCount)
                    })
            }
            guard references.count == object.referenceCount else {
                throw StoreError(.corrupted, "the references of an object are not those it has")
            }
            return FoundObject(bytes: bytes, row: row, description: object, references: references)
        }
    }

    static func rowBytes(
        of key: String, _ version: ObjectVersionID?, in bucket: BucketID, _ reader: any IndexReader
    ) throws(IndexError) -> [UInt8]? {
        let latest = try reader.get(Tables.objects, RowKey.object(bucket, key))
        guard let version else { return latest }
        if let latest, token(of: latest) == version.token { return latest }
        var sequence = version.sequence
        if version.token == 0 {
            let note = try reader.get(Tables.nullVersions, RowKey.object(bucket, key))
            // One that is damaged leads nowhere; a verification names it.
            guard let noted = note.flatMap(RowKey.number64) else { return nil }
            sequence = noted
        }
        return try reader.get(
            Tables.objectVersions,
            RowKey.objectVersion(bucket, key, sequence: sequence, token: version.token))
    }

    // Of a damaged row any: whoever decodes it reports that.
    private static func token(of bytes: [UInt8]) -> UInt64 {
        (try? ObjectRow(decoding: bytes))?.token ?? 0
    }

    // The key of each record; those of one generation are asked for once.
    func sealingKeys(
        of records: [[UInt8]], owner bucket: BucketID
    ) async throws(StoreError) -> [SealingKey] {
        var known: [UInt32: SealingKey] = [:]
        var keys: [SealingKey] = []
        for record in records {
            let slot = try Self.keySlot(of: record)
            if known[slot] == nil {
                known[slot] = try await sealingKey(of: record, owner: bucket)
            }
            if let key = known[slot] { keys.append(key) }
        }
        return keys
    }

    static func decodeObject(_ bytes: [UInt8]) throws(StoreError) -> ObjectRow {
        try lower(
            "reading an object",
            core: { () throws(CoreError) in
                try ObjectRow(decoding: bytes)
            })
    }

    private static func decodeReferences(
        _ bytes: [UInt8]?
    ) throws(StoreError) -> ObjectReferencesRow {
        guard let bytes else {
            throw StoreError(.corrupted, "the references of an object are missing")
        }
        return try lower(
            "reading an object",
            core: { () throws(CoreError) in
                try ObjectReferencesRow(decoding: bytes)
            })
    }

    private static func open(
        _ row: ObjectRow, _ key: String, _ keys: BucketKeys, under sealingKey: SealingKey,
        _ context: inout WorkerContext
    ) throws(StoreError) -> (object: ObjectDescription, references: [Digest]) {
        let plaintext = try context.open(
            row.sealed, as: .metadata, name: keys.objectName(of: key, token: row.token),
            under: sealingKey)
        let (object, references) = try lower(
            "reading an object",
            core: { () throws(CoreError) in
                guard let etag = row.etag else {
                    return try ObjectDescription.decodeVersion1(plaintext, key: key)
                }
                let object = try ObjectDescription(key: key, decoding: plaintext, etag: etag)
                guard object.byteCount == row.byteCount, object.modifiedAt == row.modifiedAt,
                    object.referenceCount == Int(row.referenceCount), object.lock == row.lock
                else { throw CoreError(.corrupted, "an object contradicts its description") }
                return (object, [])
            })
        guard keys.linkName(of: object.digest) == row.bodyName else {
            throw StoreError(.corrupted, "an object names another body")
        }
        return (object.named(row.versionID), references)
    }
}
