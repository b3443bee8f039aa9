// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension BucketKeys {
    // No digest algorithm has this number.
    private static let partKind: UInt8 = 253

    /// Binds what a part seals to its upload and its number.
    func partName(_ number: PartNumber, of id: MultipartUploadID) -> Octets32 {
        let kind = [Self.partKind]
        let name = id.octets.bytes + [UInt8(number >> 8), UInt8(number & 0xFF)]
        return names.authenticate(kind.span, name.span)
    }
}

/// A part whose row was opened.
struct OpenPart: Sendable {
    var number: PartNumber
    var row: PartRow
    var contents: PartContents

    /// The root of its tree together with its id; nil when the part has none.
    var root: IdentifiedEntry? {
        guard case .tree(_, let entry) = contents.body, let id = row.rootID else { return nil }
        return IdentifiedEntry(entry: entry, id: id)
    }
}

// MARK: - Reading

extension Engine {
    func multipartRow(
        _ upload: MultipartName, in bucket: BucketID
    ) async throws(StoreError) -> MultipartRow? {
        let key = RowKey.multipartUpload(bucket, upload)
        return try await pool.run { [self] (_) throws(StoreError) in
            guard let bytes = try row(Tables.multipartUploads, key) else { return nil }
            return try Self.decodeMultipart(bytes)
        }
    }

    static func decodeMultipart(_ bytes: [UInt8]) throws(StoreError) -> MultipartRow {
        try lower(
            "reading a multipart upload",
            core: { () throws(CoreError) in
                try MultipartRow(decoding: bytes)
            })
    }

    /// What an open upload seals, and the keys of its bucket with the domain that its parts lie in.
    ///
    /// - Throws: ``StoreError`` with code `uploadUnknown` when it is over.
    func openMultipart(
        _ upload: MultipartName, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> (OpenMultipart, BucketKeys) {
        let opened = try await openContents(of: upload, in: bucket) {
            (bytes) throws(CoreError) -> OpenMultipart? in
            guard OpenMultipart.isOpen(bytes) else { return nil }
            return try OpenMultipart(key: upload.key, decoding: bytes)
        }
        // Completed since its row was read.
        guard let contents = opened else { throw MultipartUpload.unknown }
        var keys = keys
        keys.domain = try await self.keys.domain(contents.domainSlot, for: keys)
        return (contents, keys)
    }

    func completedMultipart(
        _ upload: MultipartName, in bucket: BucketID
    ) async throws(StoreError) -> CompletedMultipart {
        try await openContents(of: upload, in: bucket) { (bytes) throws(CoreError) in
            try CompletedMultipart(key: upload.key, decoding: bytes)
        }
    }

    private func openContents<Contents: Sendable>(
        of upload: MultipartName, in bucket: BucketID,
        _ decode: @escaping @Sendable ([UInt8]) throws(CoreError) -> Contents
    ) async throws(StoreError) -> Contents {
        let rowKey = RowKey.parts(bucket, upload.id)
        let sealed = try await read("reading a multipart upload") { (index) throws(IndexError) in
            try index.get(Tables.multipartContents, rowKey)
        }
        guard let sealed else { throw MultipartUpload.unknown }
        return try await openContents(sealed, of: upload, in: bucket, decode)
    }

    func openContents<Contents: Sendable>(
        _ sealed: [UInt8], of upload: MultipartName, in bucket: BucketID,
        _ decode: @escaping @Sendable ([UInt8]) throws(CoreError) -> Contents
    ) async throws(StoreError) -> Contents {
        let key = try await sealingKey(of: sealed, owner: bucket)
        return try await pool.run { (context) throws(StoreError) in
            let bytes = try context.open(
                sealed, as: .metadata, name: Octets32(padding: upload.id.octets), under: key)
            return try lower(
                "reading a multipart upload", core: { () throws(CoreError) in try decode(bytes) })
        }
    }

    func sealMultipart(
        _ contents: [UInt8], _ upload: MultipartName, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> [UInt8] {
        try await pool.run { [self] (context) throws(StoreError) in
            try context.seal(
                contents, as: .metadata, name: Octets32(padding: upload.id.octets),
                under: keys.sealingKey(self, bucket))
        }
    }

    /// One part; nil when the upload has none of this number.
    func part(
        _ number: PartNumber, of id: MultipartUploadID, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> OpenPart? {
        let key = RowKey.part(bucket, id, number)
        let bytes = try await read("reading a part") { (index) throws(IndexError) in
            try index.get(Tables.parts, key)
        }
        guard let bytes else { return nil }
        return try await openParts([IndexEntry(key: key, value: bytes)], of: id, in: bucket, keys)
            .first
    }

    func openParts(
        _ rows: [IndexEntry], of id: MultipartUploadID, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> [OpenPart] {
        var found: [(PartNumber, PartRow)] = []
        for row in rows {
            found.append((try RowKey.partNumber(of: row.key), try Self.decodePart(row.value)))
        }
        let sealingKeys = try await sealingKeys(of: found.map(\.1.sealed), owner: bucket)
        return try await pool.run { [found] (context) throws(StoreError) in
            var parts: [OpenPart] = []
            for ((number, row), key) in zip(found, sealingKeys) {
                let bytes = try context.open(
                    row.sealed, as: .metadata, name: keys.partName(number, of: id), under: key)
                let contents = try lower(
                    "reading a part",
                    core: { () throws(CoreError) in
                        try PartContents(decoding: bytes, byteCount: row.byteCount)
                    })
                parts.append(OpenPart(number: number, row: row, contents: contents))
            }
            return parts
        }
    }

    static func decodePart(_ bytes: [UInt8]) throws(StoreError) -> PartRow {
        try lower(
            "reading a part",
            core: { () throws(CoreError) in
                try PartRow(decoding: bytes)
            })
    }

    /// The digests behind a part, given those before it.
    ///
    /// Reads the part; who deletes it meanwhile makes this fail.
    func digests(
        behind part: OpenPart, _ digests: StreamDigests, _ keys: BucketKeys
    ) async throws(StoreError) -> StreamDigests {
        var digests = digests
        let source: Blob.Source
        switch part.contents.body {
        case .bytes(let bytes): source = .inline(bytes)
        case .tree(_, let root):
            let reader = ChunkReader(engine: self, domain: keys.domain.keys)
            source = .tree([root], reader, nil)
        }
        for try await buffer in BlobBytes(source, 0..<part.row.byteCount, keys, self) {
            digests = await pool.run { [digests] _ in
                var digests = digests
                digests.update(buffer.span)
                return digests
            }
        }
        return digests
    }
}

// MARK: - Writing

extension Engine {
    /// Seals a part.
    ///
    /// - Parameter digests: of all bytes up to its end; nil when they are not known.
    func preparePart(
        _ body: PartContents.Body, rootID: ChunkID?, byteCount: UInt64, digests: StreamDigests?,
        revision: Octets16, modifiedAt: Timestamp, _ number: PartNumber, of id: MultipartUploadID,
        in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> PartRow {
        try await pool.run { [self] (context) throws(StoreError) in
            PartRow(
                revision: revision, byteCount: byteCount, modifiedAt: modifiedAt, rootID: rootID,
                sealed: try context.seal(
                    PartContents(digests: digests, body: body).encoded(), as: .metadata,
                    name: keys.partName(number, of: id), under: keys.sealingKey(self, bucket)))
        }
    }

    /// Brings the frontier of an upload forward over the parts that are there without a gap.
    ///
    /// - Parameter last: goes no further than this part.
    func advanceFrontier(
        of upload: MultipartName, upTo last: PartNumber = .max, in bucket: BucketID,
        _ keys: BucketKeys
    ) async throws(StoreError) {
        while try await advanceFrontierOnce(of: upload, upTo: last, in: bucket, keys) {
            try checkCancellation("digesting the parts of an upload")
        }
    }

    /// Parts that one transaction gives their digests, and about how many bytes of them.
    private static let advancedPartCountMax = 64
    private static let advancedByteCountMax: UInt64 = 64 << 20

    // False when there is nothing to do.
    private func advanceFrontierOnce(
        of upload: MultipartName, upTo last: PartNumber, in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> Bool {
        let (found, entries) = try await nextParts(of: upload, in: bucket)
        guard let row = found, row.state == .open else { return false }
        var consecutive: [IndexEntry] = []
        for entry in entries {
            let number = Int(row.frontier) + 1 + consecutive.count
            guard number <= last, try Int(RowKey.partNumber(of: entry.key)) == number else {
                break
            }
            consecutive.append(entry)
        }
        guard !consecutive.isEmpty else { return false }
        let next = try await openParts(consecutive, of: upload.id, in: bucket, keys)
        let (contents, keys) = try await openMultipart(upload, in: bucket, keys)
        let (before, base) = try await frontier(
            of: row, contents, upload, in: bucket, keys)
        guard var digests = before else { return true }
        var parts: [(number: PartNumber, row: PartRow)] = []
        var byteCount: UInt64 = 0
        for part in next where byteCount < Self.advancedByteCountMax {
            do throws(StoreError) {
                digests = try await self.digests(behind: part, digests, keys)
            } catch {
                // One that was replaced meanwhile may be swept: what it was is of no interest then.
                let now = try await multipartRow(upload, in: bucket)
                guard now?.changeCount == row.changeCount else { return true }
                throw error
            }
            parts.append(
                (part.number, try await resealing(part, digests, of: upload.id, bucket, keys)))
            byteCount = byteCount &+ part.row.byteCount
        }
        _ = try await transact { [parts] (transaction) throws(StoreError) in
            try transaction.advanceFrontier(over: parts, from: base, of: upload, in: bucket)
        }
        return true
    }

    // An upload and the parts behind its frontier, as of one moment.
    private func nextParts(
        of upload: MultipartName, in bucket: BucketID
    ) async throws(StoreError) -> (MultipartRow?, [IndexEntry]) {
        let key = RowKey.multipartUpload(bucket, upload)
        let (bytes, entries) = try await read("reading a multipart upload") {
            (index) throws(IndexError) -> ([UInt8]?, [IndexEntry]) in
            let snapshot = try index.snapshot()
            guard let bytes = try snapshot.get(Tables.multipartUploads, key) else {
                return (nil, [])
            }
            // Of a damaged row any: it is decoded below.
            let frontier = (try? MultipartRow(decoding: bytes))?.frontier ?? 0
            let entries = try snapshot.scan(
                Tables.parts, prefix: RowKey.parts(bucket, upload.id),
                after: RowKey.part(bucket, upload.id, frontier), limit: Self.advancedPartCountMax)
            return (bytes, entries)
        }
        guard let bytes else { return (nil, []) }
        return (try Self.decodeMultipart(bytes), entries)
    }

    private func resealing(
        _ part: OpenPart, _ digests: StreamDigests, of id: MultipartUploadID, _ bucket: BucketID,
        _ keys: BucketKeys
    ) async throws(StoreError) -> PartRow {
        try await preparePart(
            part.contents.body, rootID: part.row.rootID, byteCount: part.row.byteCount,
            digests: digests, revision: part.row.revision, modifiedAt: part.row.modifiedAt,
            part.number, of: id, in: bucket, keys)
    }

    /// The digests of all bytes before the frontier of an upload; nil when it was set back since
    /// the row was read.
    func frontier(
        of row: MultipartRow, _ contents: OpenMultipart, _ upload: MultipartName,
        in bucket: BucketID, _ keys: BucketKeys
    ) async throws(StoreError) -> (StreamDigests?, PreparedPart.Base) {
        guard row.frontier > 0 else { return (contents.digests, .start) }
        let last = try await part(row.frontier, of: upload.id, in: bucket, keys)
        guard let last, let digests = last.contents.digests else {
            guard try await multipartRow(upload, in: bucket)?.changeCount != row.changeCount else {
                throw StoreError(.corrupted, "a multipart upload lacks a part that it counts")
            }
            return (nil, .none)
        }
        return (digests, .frontier(setBackCount: row.setBackCount))
    }
}

// MARK: - Ending

extension Engine {
    /// Rows of parts that one transaction deletes: a few milliseconds of the committer.
    private static let deletedPartCountMax = 256

    /// Deletes an upload with all its parts. Durable on return.
    ///
    /// It is gone for everybody at once; a kill leaves parts to the next
    /// ``reapExpiredMultiparts(limit:)``.
    ///
    /// - Parameters:
    ///   - deadline: leaves an upload alone that lives longer; nil is any.
    ///   - isOpen: leaves an upload alone that is over.
    /// - Returns: false when there is no such upload any more.
    @discardableResult
    func discardMultipart(
        _ upload: MultipartName, in bucket: BucketID, expiredBy deadline: Timestamp? = nil,
        ifOpen isOpen: Bool = false
    ) async throws(StoreError) -> Bool {
        let isFound = try await transact { (transaction) throws(StoreError) -> Bool in
            guard let old = try transaction.multipart(upload, in: bucket) else { return false }
            if let deadline {
                // By the rules as they are now: those that it was to end by may be gone.
                let now =
                    old.state == .open
                    ? old.expiring(by: try transaction.settings(of: bucket), upload.key) : old
                if now.expiresAt > deadline {
                    try transaction.putMultipart(now, inPlaceOf: old, upload, in: bucket)
                    return false
                }
            }
            guard !isOpen || old.state == .open else { return false }
            var row = old
            if old.state == .open { try transaction.add(.uploads, of: bucket, -1) }
            row.state = .aborted
            row.changeCount &+= 1
            row.expiresAt = Timestamp(nanosecondsSinceEpoch: 0)
            try transaction.putMultipart(row, inPlaceOf: old, upload, in: bucket)
            return true
        }
        guard isFound else { return false }
        while try await deleteParts(of: upload, in: bucket) {}
        return true
    }

    // False when there were no more, and the upload is gone too.
    private func deleteParts(
        of upload: MultipartName, in bucket: BucketID
    ) async throws(StoreError) -> Bool {
        try await transact { (transaction) throws(StoreError) -> Bool in
            let rows = try transaction.scan(
                Tables.parts, prefix: RowKey.parts(bucket, upload.id),
                limit: Self.deletedPartCountMax)
            guard !rows.isEmpty else {
                if let row = try transaction.multipart(upload, in: bucket) {
                    try transaction.deleteMultipart(row, upload, in: bucket)
                }
                return false
            }
            var deltas: [ChunkID: Int64] = [:]
            for row in rows {
                let part = try Self.decodePart(row.value)
                if let root = part.rootID { deltas[root, default: 0] -= 1 }
                try transaction.add(
                    .inFlightBytes, of: bucket, -Int64(clamping: part.byteCount))
                try transaction.delete(Tables.parts, row.key)
            }
            try transaction.changeReferences(deltas)
            return true
        }
    }

    /// Ends uploads whose time is over, oldest first, in time proportional to their number.
    ///
    /// One that cannot be ended, for it is damaged or the disk is full, is passed over.
    ///
    /// - Returns: how many were ended.
    @discardableResult
    func reapExpiredMultiparts(limit: Int) async throws(StoreError) -> Int {
        let now = clock.now()
        return try await reap(
            Tables.multipartExpiry, before: RowKey.time(now + .nanoseconds(1)), limit: limit
        ) { await self.reap($0, at: now) }
    }

    private func reap(_ key: [UInt8], at now: Timestamp) async -> Bool {
        do throws(StoreError) {
            let (bucket, upload) = try RowKey.multipartName(of: Array(key.dropFirst(8)))
            return try await discardMultipart(upload, in: bucket, expiredBy: now)
        } catch {
            return false
        }
    }
}
