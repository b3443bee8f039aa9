// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex

/// An object that arrives in parts, in any order and in parallel.
///
/// ```swift
/// let upload = try await bucket.beginMultipartUpload("backups/monday.tar")
/// for (number, part) in parts.enumerated() {
///     try await upload.putPart(number + 1, part.span)
/// }
/// try await upload.complete()
/// ```
///
/// Nothing of the object is visible before ``complete(parts:byteCount:expecting:checksums:if:)``,
/// and all of it is then. It is a blob like any other: its digest is that of all its bytes,
/// computed while parts arrive as far as they have no gaps, and over the stored parts where they
/// had. No byte is written twice but those of parts of at most 16 KiB.
///
/// A handle on what the store keeps: make as many as you like, here or after a restart.
/// Thread-safe; any number of calls at once.
public final class MultipartUpload: Sendable {
    /// The most parts of one upload, and the largest number of a part (as in S3).
    public static let partCountMax = 10_000

    /// The key of the object to be.
    public let key: String
    /// The name of the upload beside the key, for ``Bucket/multipartUpload(_:of:)``.
    public let id: MultipartUploadID
    private let bucket: Bucket
    private let engine: Engine

    init(_ name: MultipartName, _ bucket: Bucket) {
        key = name.key
        id = name.id
        self.bucket = bucket
        engine = bucket.engine
    }

    private var name: MultipartName { MultipartName(key: key, id: id) }
    private var bucketID: BucketID { bucket.bucketID }

    static var unknown: StoreError {
        StoreError(.uploadUnknown, "the bucket has no such multipart upload")
    }

    // MARK: - Parts

    /// Keeps a part, new or in place of an old one of its number. Durable on return.
    ///
    /// - Parameters:
    ///   - number: where it belongs, 1 to ``partCountMax``. The digest of the object keeps pace
    ///     with numbers that have no gaps between them.
    ///   - bytes: the whole part; any size.
    ///   - digest: what the part must have; nil accepts any bytes. Costs another pass over them.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the number), `uploadUnknown`
    ///   (completed, aborted or expired), `digestMismatch` (nothing was kept), `quotaExceeded`,
    ///   `allowanceExceeded`, `bucketUnknown`,
    ///   `outOfSpace`, `io`, `corrupted`, `keyDisabled`, `keyUnavailable`, `closed`.
    @discardableResult
    public func putPart(
        _ number: Int, _ bytes: Span<UInt8>, expecting digest: Digest? = nil
    ) async throws(StoreError) -> PartDescription {
        let number = try Self.check(number)
        let (session, writer) = try await beginPart(number, expecting: digest)
        do throws(StoreError) {
            try await session.append(bytes)
        } catch {
            await session.discard()
            throw error
        }
        return try await finish(session, writer)
    }

    /// Keeps a part whose bytes arrive bit by bit. Durable on return, all or nothing.
    ///
    /// - Parameter write: appends the bytes. What it throws is thrown, and nothing was kept.
    /// - Throws: ``StoreError`` as ``putPart(_:_:expecting:)``, and what `write` throws.
    @discardableResult
    public func putPart(
        _ number: Int, expecting digest: Digest? = nil,
        writing write: (PartWriter) async throws -> Void
    ) async throws -> PartDescription {
        let number = try Self.check(number)
        let (session, part) = try await beginPart(number, expecting: digest)
        do {
            try await write(PartWriter(session))
        } catch {
            await session.discard()
            throw error
        }
        return try await finish(session, part)
    }

    /// Keeps a blob of the bucket as a part. Durable on return.
    ///
    /// Costs the same whatever the size, as long as the blob lies in the deduplication domain of
    /// the upload; else its bytes are read and written. They are read once for the digest of the
    /// object.
    ///
    /// - Throws: ``StoreError`` with code `blobUnknown`, and as ``putPart(_:_:expecting:)``.
    @discardableResult
    public func putPart(
        _ number: Int, blob digest: Digest
    ) async throws(StoreError) -> PartDescription {
        let checked = try Self.check(number)
        let keys = try await bucket.keys()
        while true {
            _ = try await openRow()
            let (_, partKeys) = try await engine.openMultipart(name, in: bucketID, keys)
            guard let (link, capability) = try await engine.find(digest, in: bucketID, keys) else {
                throw Bucket.unknown(digest)
            }
            guard let root = capability.root, root.domainSlot == partKeys.domain.slot,
                let rootID = link.rootID
            else { return try await putPart(copying: digest, checked) }
            let row = try await engine.preparePart(
                .tree(root.layout, root.entry), rootID: rootID, byteCount: capability.byteCount,
                digests: nil, revision: UUIDText.random(from: engine.random),
                modifiedAt: engine.clock.now(), checked, of: id, in: bucketID, keys)
            let name = keys.linkName(of: digest)
            let expiry = row.modifiedAt + engine.configuration.multipartLifetime
            let isDone = try await engine.transact {
                [bucketID, upload = self.name]
                (transaction) throws(StoreError) -> Bool in
                // Deleted and stored anew since.
                guard try transaction.link(bucketID, name)?.rootID == rootID else { return false }
                try transaction.changeReferences([rootID: 1])
                try transaction.putPart(
                    PreparedPart(row: row, base: .none), checked, of: upload, in: bucketID,
                    expiringAt: expiry)
                return true
            }
            guard isDone else { continue }
            digestInBackground(partKeys)
            return row.describe(checked)
        }
    }

    private func putPart(
        copying digest: Digest, _ number: PartNumber
    ) async throws(StoreError) -> PartDescription {
        let blob = try await bucket.openBlob(digest)
        let (session, part) = try await beginPart(number, expecting: nil)
        do throws(StoreError) {
            for try await buffer in blob.bytesWithin { try await session.append(buffer.span) }
        } catch {
            await session.discard()
            throw error
        }
        return try await finish(session, part)
    }

    /// Lists the parts in the order of their numbers.
    ///
    /// - Parameters:
    ///   - number: only parts behind this one.
    ///   - limit: 1 to 1000 parts. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `uploadUnknown`, `invalidArgument` (the limit),
    ///   `bucketUnknown`, `corrupted`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    public func parts(
        after number: Int = 0, limit: Int = 1000
    ) async throws(StoreError) -> [PartDescription] {
        try Bucket.checkPage(limit)
        // Who may not read does not learn what is there.
        _ = try await bucket.keys()
        let (bucketID, id) = (bucketID, id)
        let after = RowKey.part(bucketID, id, PartNumber(clamping: number))
        let rowKey = RowKey.multipartUpload(bucketID, name)
        let (row, rows) = try await engine.read("listing parts") { (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            return (
                try snapshot.get(Tables.multipartUploads, rowKey),
                try snapshot.scan(
                    Tables.parts, prefix: RowKey.parts(bucketID, id), after: after, limit: limit)
            )
        }
        guard let row, try Engine.decodeMultipart(row).state == .open else { throw Self.unknown }
        var parts: [PartDescription] = []
        for row in rows {
            parts.append(
                try Engine.decodePart(row.value).describe(RowKey.partNumber(of: row.key)))
        }
        return parts
    }

    /// What the upload has so far, and until when it lives.
    ///
    /// - Throws: ``StoreError`` with code `uploadUnknown`, `bucketUnknown`, `corrupted`,
    ///   `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    public func describe() async throws(StoreError) -> MultipartUploadDescription {
        _ = try await bucket.keys()
        guard let row = try await engine.multipartRow(name, in: bucketID), row.state == .open else {
            throw Self.unknown
        }
        return row.describe(name)
    }

    /// Ends the upload and forgets its parts. Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `uploadUnknown`, `bucketUnknown`, `corrupted`,
    ///   `outOfSpace`, `keyDisabled`, `keyUnavailable`, `io`, `closed`.
    public func abort() async throws(StoreError) {
        _ = try await bucket.keys()
        guard try await engine.discardMultipart(name, in: bucketID, ifOpen: true) else {
            throw Self.unknown
        }
    }

    // MARK: - Completing

    /// A part as the client remembers it.
    public struct CompletedPart: Hashable, Sendable {
        /// Its number.
        public var number: Int
        /// The tag that it must have.
        public var etag: ETag

        /// Names a part.
        public init(number: Int, etag: ETag) {
            self.number = number
            self.etag = etag
        }
    }

    /// Makes the parts an object. Durable on return, all or nothing; the upload is over.
    ///
    /// Whoever calls again with the same parts, because the answer was lost, gets the same answer
    /// for as long as an upload session would live (``StoreConfiguration/uploadLifetime``).
    ///
    /// Costs the same for parts of any size when the digest has kept pace: when all parts are in
    /// the object, and each began after the one before it was stored. What was sent in parallel,
    /// out of order, or above part 1 with a digest to expect is read once more: in the background
    /// if there is time, else here.
    ///
    /// - Parameters:
    ///   - parts: those that make the object, in ascending order of their numbers; others are
    ///     given up. Nil is all there are.
    ///   - byteCount: how long the object must be; nil is any length.
    ///   - digest: what the object must have; nil is any.
    ///   - checksums: what those must be that were asked for at the beginning.
    ///   - condition: when the object may be written.
    /// - Throws: ``StoreError`` with code `invalidArgument` (no part, a part that is not there or
    ///   was sent anew, numbers out of order, another length, a checksum that was not asked for at
    ///   the beginning), `limitExceeded` (2^64 bytes), `digestMismatch`,
    ///   `preconditionFailed`, `blobUnknown` (a reference), `objectLocked` (what it would replace),
    ///   `cancelled` (by the task): the upload is as it was, send what lacks or abort it.
    ///   `uploadUnknown` (also when it was completed with other parts), and as
    ///   ``Bucket/putObject(_:_:attributes:references:checksums:if:)``.
    @discardableResult
    public func complete(
        parts: [CompletedPart]? = nil, byteCount: UInt64? = nil, expecting digest: Digest? = nil,
        checksums: [Checksum] = [], if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        while true {
            let keys = try await bucket.keys()
            // What lacks of the digest is computed here, so that a cancelled call ends.
            await engine.frontiers.interrupt(id)
            guard let row = try await advance(upTo: leadingCount(parts), keys) else { continue }
            switch row.state {
            case .aborted: throw Self.unknown
            case .completed: return try await outcome(row.version, parts, keys)
            case .open:
                let completion = MultipartCompletion(
                    upload: name, bucket: bucket, row: row, expectedByteCount: byteCount,
                    expectedDigest: digest, expectedChecksums: checksums, condition: condition)
                if let object = try await completion.run(parts, keys) { return object }
            }
        }
    }

    // The upload with a frontier that went as far as it can; nil when it has changed meanwhile.
    private func advance(
        upTo last: PartNumber, _ keys: BucketKeys
    ) async throws(StoreError) -> MultipartRow? {
        guard let before = try await engine.multipartRow(name, in: bucketID) else {
            throw Self.unknown
        }
        do throws(StoreError) {
            try await engine.advanceFrontier(of: name, upTo: last, in: bucketID, keys)
        } catch {
            let now = try await engine.multipartRow(name, in: bucketID)
            guard now?.changeCount == before.changeCount else { return nil }
            throw error
        }
        guard let row = try await engine.multipartRow(name, in: bucketID) else {
            throw Self.unknown
        }
        return row
    }

    // How many of the chosen parts are 1, 2, 3 and so on: what lies behind needs no digest.
    private func leadingCount(_ parts: [CompletedPart]?) -> PartNumber {
        guard let parts else { return .max }
        return PartNumber(clamping: zip(parts, 1...).prefix { $0.number == $1 }.count)
    }

    /// Waits for what is being digested now; for tests.
    func settle() async { await engine.frontiers.wait(for: id) }

    // MARK: -

    private static func check(_ number: Int) throws(StoreError) -> PartNumber {
        guard (1...partCountMax).contains(number) else {
            throw StoreError(
                .invalidArgument, "parts have numbers from 1 to \(partCountMax), not \(number)")
        }
        return PartNumber(number)
    }

    private func openRow() async throws(StoreError) -> MultipartRow {
        guard let row = try await engine.multipartRow(name, in: bucketID), row.state == .open,
            engine.clock.now() < row.expiresAt
        else { throw Self.unknown }
        return row
    }

    /// What is decided of a part before its first byte comes.
    private struct BegunPart {
        var number: PartNumber
        var base: PreparedPart.Base
        var expected: Digest?
        var keys: BucketKeys
    }

    private func beginPart(
        _ number: PartNumber, expecting expected: Digest?
    ) async throws(StoreError) -> (UploadSession, BegunPart) {
        let keys = try await bucket.keys()
        let row = try await openRow()
        let (contents, partKeys) = try await engine.openMultipart(name, in: bucketID, keys)
        var part = BegunPart(number: number, base: .none, expected: expected, keys: partKeys)
        // One that is not in sequence is digested only for whoever expects something.
        var digests = StreamDigests(expected?.algorithm ?? contents.algorithm)
        if number == 1, expected == nil || expected?.algorithm == contents.algorithm {
            digests = contents.digests
            part.base = .start
        } else if expected == nil, row.frontier == number - 1 {
            let (before, base) = try await engine.frontier(
                of: row, contents, name, in: bucketID, keys)
            if let before { (digests, part.base) = (before, base) }
        }
        let session = try await engine.beginUpload(in: bucketID, partKeys, digests, isPart: true)
        return (session, part)
    }

    private func finish(
        _ session: UploadSession, _ part: BegunPart
    ) async throws(StoreError) -> PartDescription {
        let row: PartRow
        do throws(StoreError) {
            row = try await commit(session, part)
        } catch {
            await session.discard()
            throw error
        }
        digestInBackground(part.keys)
        return row.describe(part.number)
    }

    private func digestInBackground(_ keys: BucketKeys) {
        engine.frontiers.run(id) { [engine, name, bucketID] in
            // What keeps this from its end keeps the completion from its end, which reports it.
            do throws(StoreError) {
                try await engine.advanceFrontier(of: name, in: bucketID, keys)
            } catch {}
        }
    }

    private func commit(
        _ session: UploadSession, _ part: BegunPart
    ) async throws(StoreError) -> PartRow {
        let (engine, bucketID, name) = (engine, bucketID, name)
        return try await session.commit(expecting: part.expected) {
            (received) throws(StoreError) in
            let isKnown = if case .none = part.base { false } else { true }
            let (body, rootID, byteCount) = received.partBody
            return try await engine.preparePart(
                body, rootID: rootID, byteCount: byteCount,
                digests: isKnown ? received.digests : nil,
                revision: UUIDText.random(from: engine.random), modifiedAt: engine.clock.now(),
                part.number, of: name.id, in: bucketID, part.keys)
        } linking: { (row, ledger) in
            let prepared = PreparedPart(row: row, base: part.base, ledger: ledger)
            let expiry = row.modifiedAt + engine.configuration.multipartLifetime
            return { (transaction) throws(StoreError) in
                try transaction.putPart(
                    prepared, part.number, of: name, in: bucketID, expiringAt: expiry)
                return row
            }
        }
    }

    private func outcome(
        _ version: ObjectVersionID, _ parts: [CompletedPart]?, _ keys: BucketKeys
    ) async throws(StoreError) -> ObjectDescription {
        let completed = try await engine.completedMultipart(name, in: bucketID)
        if let parts {
            let tag = try keys.objectTag(MultipartCompletion.encode(parts))
            guard tag == completed.parts else {
                throw StoreError(
                    .uploadUnknown, "the multipart upload was completed with other parts")
            }
        }
        return completed.object.named(version)
    }
}

/// Takes the bytes of a part. Thread-safe, but one call at a time.
public struct PartWriter: Sendable {
    private let session: UploadSession

    init(_ session: UploadSession) { self.session = session }

    /// Appends bytes to the part.
    ///
    /// One copy; waits while three windows of 1 MiB are being worked on. Not durable on return.
    ///
    /// - Throws: as ``UploadSession/append(_:at:)``.
    public func append(_ bytes: Span<UInt8>) async throws(StoreError) {
        try await session.append(bytes)
    }
}

extension ReceivedBytes {
    fileprivate var partBody: (PartContents.Body, rootID: ChunkID?, byteCount: UInt64) {
        switch body {
        case .small(let bytes): return (.bytes(bytes), nil, UInt64(bytes.count))
        case .tree(let tree):
            guard let root = tree.root else { return (.bytes([]), nil, 0) }
            return (.tree(tree.layout, root.entry), root.id, tree.byteCount)
        }
    }
}

extension PartRow {
    func describe(_ number: PartNumber) -> PartDescription {
        PartDescription(
            number: Int(number), etag: ETag(revision), byteCount: byteCount, modifiedAt: modifiedAt)
    }
}

extension MultipartRow {
    func describe(_ upload: MultipartName) -> MultipartUploadDescription {
        MultipartUploadDescription(
            key: upload.key, id: upload.id, startedAt: startedAt, expiresAt: expiresAt,
            partCount: Int(partCount), byteCount: byteCount)
    }
}
