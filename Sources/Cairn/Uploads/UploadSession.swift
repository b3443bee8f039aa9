// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex
internal import Synchronization

/// A resumable, not yet visible write of one blob.
///
/// Bytes are cut, digested, deduplicated and stored while they arrive. Every 64 MiB, and on
/// ``checkpoint()`` and ``suspend()``, the session's state is made durable; after a crash
/// ``Bucket/resumeUpload(_:)`` goes on from there without reading or hashing a byte again. A
/// session that never reached a checkpoint is forgotten by a crash.
///
/// Memory per session is bounded: five windows of about 1 MiB and the uncommitted part of the
/// recipe. Thread-safe, but one call at a time: a second one throws `uploadBusy` and changes
/// nothing. A session that is not used for ``StoreConfiguration/uploadLifetime`` expires.
public final class UploadSession: Sendable {
    private struct State {
        var isBusy = false
        var isEnded = false
        var receivedByteCount: UInt64
        var expiresAt: Timestamp
        var window: UploadWindow
    }

    /// The name of the session, for ``Bucket/resumeUpload(_:)``.
    public let id: UploadID
    /// What the digest of the blob will be of.
    public let algorithm: Digest.Algorithm
    let claim: LiveUploads.Claim
    private let bucketID: BucketID
    private let keys: BucketKeys
    private let engine: Engine
    private let checkpointer: UploadCheckpointer
    private let pipeline: UploadPipeline
    private let reservation: Reservation
    private let state: Mutex<State>

    // Releases the claim when it ends.
    init(
        _ claim: LiveUploads.Claim, bucketID: BucketID, keys: BucketKeys, engine: Engine,
        stage: DigestStage, builder: RecipeBuilder, isPart: Bool = false,
        _ reservation: Reservation, row: UploadRow?
    ) {
        self.reservation = reservation
        self.claim = claim
        id = claim.id
        algorithm = stage.digests.algorithm
        self.bucketID = bucketID
        self.keys = keys
        self.engine = engine
        checkpointer = UploadCheckpointer(
            id, bucketID, keys, engine, isPart: isPart, reservation, row: row)
        pipeline = UploadPipeline(
            placer: ChunkPlacer(keys.domain, engine),
            stage: stage, tree: UploadTree(builder: builder), checkpointer: checkpointer)
        state = Mutex(
            State(
                receivedByteCount: stage.cutByteCount,
                expiresAt: engine.clock.now() + engine.configuration.uploadLifetime,
                window: pipeline.makeFirstWindow()))
    }

    // A handle that is dropped leaves the session as its last checkpoint has it.
    deinit {
        let isEnded = state.withLock { $0.isEnded }
        guard !isEnded else { return }
        // Released only when no checkpoint of this handle can be committed any more.
        Task { [pipeline, engine, claim, reservation] in
            await pipeline.abandon()
            reservation.end()
            engine.liveUploads.release(claim)
        }
    }

    /// What was received, what of it is durable, and until when the session lives.
    public var status: UploadDescription {
        state.withLock { state in
            UploadDescription(
                id: id, receivedByteCount: state.receivedByteCount,
                durableByteCount: checkpointer.durableByteCount,
                startedAt: checkpointer.startedAt, expiresAt: state.expiresAt)
        }
    }

    /// The bytes so far of this handle that were stored already; nil when that is not known just
    /// now.
    ///
    /// For operators and their tools. Do not show it to tenants: it tells that somebody who shares
    /// the bucket's deduplication domain has the bytes.
    public var duplicateByteCount: UInt64? { pipeline.duplicateByteCount }

    /// Appends bytes to the blob.
    ///
    /// One copy; waits while three windows of 1 MiB are being worked on. Not durable on return.
    ///
    /// - Parameters:
    ///   - bytes: any number of bytes, consumed in order.
    ///   - offset: where the sender believes the bytes to belong; nil is behind those received.
    ///     Bytes received before may be sent again: they are compared, and accepted when equal.
    /// - Returns: the number of bytes received in all.
    /// - Throws: ``StoreError`` with code
    ///   `uploadOffsetMismatch` (a gap, or bytes that differ from those received; nothing was
    ///   appended: ask for the status),
    ///   `quotaExceeded` (nothing was appended: free space or raise the quota, then go on),
    ///   `uploadBusy`, `uploadExpired`, `closed`,
    ///   `keyDisabled`, `keyUnavailable` (nothing was appended: go on once the key is there),
    ///   `outOfSpace`, `io` (this handle is finished; resume the session from its last
    ///   checkpoint).
    @discardableResult
    public func append(
        _ bytes: Span<UInt8>, at offset: UInt64? = nil
    ) async throws(StoreError) -> UInt64 {
        try begin()
        defer { end() }
        do throws(StoreError) {
            // Before anything is taken: the sender goes on from there once the key is enabled.
            try await engine.keys.confirm(keys)
            var rest = bytes
            if let offset {
                let known = try await checkOverlap(bytes, at: offset)
                rest = bytes.extracting(known...)
            }
            try await take(rest)
            engine.metrics.countReceived(rest.count)
        } catch {
            throw await finishIfFailed(error)
        }
        return state.withLock { $0.receivedByteCount }
    }

    /// Reserves room in the quotas for bytes to come behind those received, so that what would not
    /// fit is refused before it is sent.
    ///
    /// The room is held until the handle ends, also when fewer bytes come.
    ///
    /// - Throws: ``StoreError`` with code `quotaExceeded` (nothing has changed), `uploadBusy`,
    ///   `uploadExpired`, `closed`.
    public func reserve(_ byteCount: UInt64) throws(StoreError) {
        try begin()
        defer { end() }
        let receivedByteCount = state.withLock { $0.receivedByteCount }
        let (sum, overflow) = receivedByteCount.addingReportingOverflow(byteCount)
        try reservation.grow(to: overflow ? .max : sum)
    }

    /// Makes everything received durable.
    ///
    /// - Returns: the number of bytes that survive a crash.
    /// - Throws: as ``append(_:at:)``.
    @discardableResult
    public func checkpoint() async throws(StoreError) -> UInt64 {
        try begin()
        defer { end() }
        do throws(StoreError) { try await makeCheckpoint() } catch {
            throw await finishIfFailed(error)
        }
        return checkpointer.durableByteCount
    }

    /// Makes everything received durable and gives the session up in this process.
    ///
    /// The handle is finished then; resume the session by its id, here or after a restart.
    ///
    /// - Throws: as ``append(_:at:)``.
    public func suspend() async throws(StoreError) {
        try begin()
        defer { end() }
        do throws(StoreError) { try await makeCheckpoint() } catch {
            throw await finishIfFailed(error)
        }
        await finish()
    }

    /// Ends the session and forgets what was received. Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `uploadBusy`, `closed`, `io`.
    public func cancel() async throws(StoreError) {
        try begin()
        defer { end() }
        await pipeline.abandon()
        let result: Result<Void, StoreError>
        do throws(StoreError) {
            try await engine.discardUpload(id, of: bucketID)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await finish()
        try result.get()
    }

    /// Makes the received bytes a blob of the bucket. Durable on return; the session is over.
    ///
    /// When the bucket has the blob already, the call succeeds and nothing more is stored.
    ///
    /// - Parameters:
    ///   - expected: the digest that the bytes must have, of the session's algorithm; nil accepts
    ///     any bytes.
    ///   - lifetime: how long it stays. A blob that is there already gets the longer of both.
    /// - Throws: ``StoreError`` with code
    ///   `digestMismatch` (nothing changed: append more, commit again or cancel),
    ///   `quotaExceeded` (the session is over), `bucketUnknown` (the bucket was deleted
    ///   meanwhile), and as ``append(_:at:)``.
    @discardableResult
    public func commit(
        expecting expected: Digest? = nil, lifetime: BlobLifetime = .untilDeleted
    ) async throws(StoreError) -> BlobDescription {
        let hold = try BlobHold(lifetime, at: engine.clock.now())
        return try await commit(expecting: expected, hold: hold) { [bucketID] (blob) in
            { (transaction) throws(StoreError) in
                try transaction.link(blob, in: bucketID)
                return try transaction.describe(blob, in: bucketID)
            }
        }
    }

    /// Makes the received bytes an object of the bucket. Durable on return; the session is over.
    ///
    /// - Parameters:
    ///   - key: 1 to 1024 bytes of UTF-8 without NUL.
    ///   - attributes: what is said of it.
    ///   - references: blobs of the bucket that it keeps alive, at most 10,000.
    ///   - expected: the digest that the bytes must have; nil accepts any bytes.
    ///   - checksums: what those must be that the session was begun with.
    ///   - condition: when the object may be written, decided at the end. Ask
    ///     ``Bucket/headObject(_:if:)`` before sending much that may be in vain.
    /// - Throws: ``StoreError`` with code `digestMismatch` (nothing changed: append more, commit
    ///   again or cancel); `preconditionFailed`, `blobUnknown` (a reference), `bucketUnknown` (the
    ///   session is over, and what was not durable before is lost); and as
    ///   ``Bucket/putObject(_:_:attributes:references:checksums:if:)``.
    @discardableResult
    public func commit(
        toObject key: String, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], expecting expected: Digest? = nil, checksums: [Checksum] = [],
        if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        try await commit(
            ObjectDraft(key, attributes, references: references), expecting: expected, checksums,
            if: condition)
    }

    func commit(
        _ draft: ObjectDraft, expecting expected: Digest?, _ checksums: [Checksum],
        if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await commit(expecting: expected, checksums, hold: .object) {
            [bucketID, keys, engine] (blob) throws(StoreError) in
            let object = try await engine.prepareObject(
                draft, digest: blob.description.digest, byteCount: blob.description.byteCount,
                modifiedAt: engine.clock.now(), token: engine.newToken(in: bucketID),
                checksums: blob.checksums, in: bucketID, keys)
            return { (transaction) throws(StoreError) in
                try transaction.checkBucket(bucketID)
                guard try transaction.isCurrent(token: object.row.token, in: bucketID) else {
                    return nil
                }
                try transaction.link(blob, in: bucketID)
                let version = try transaction.putObject(object, in: bucketID, if: condition)
                return object.description.named(version)
            }
        }
    }

    typealias Linking<R> = @Sendable (Transaction) throws(StoreError) -> R?

    /// Ends the session with a transaction of the caller that links the blob.
    ///
    /// - Parameter linking: makes what the transaction does; asked again when that has found,
    ///   before it wrote anything, that it was made for what is not any more, and has answered nil.
    private func commit<R: Sendable>(
        expecting expected: Digest?, _ checksums: [Checksum] = [], hold: BlobHold,
        linking: (PreparedBlob) async throws(StoreError) -> Linking<R>
    ) async throws(StoreError) -> R {
        let blob = try await beginCommit(expecting: expected, checksums, hold: hold)
        return try await commit(ledger: blob.ledger) { () throws(StoreError) in
            try await linking(blob)
        }
    }

    /// Ends the session with a transaction of the caller that keeps the bytes in its own way.
    ///
    /// - Parameters:
    ///   - sealing: makes what is kept ready.
    ///   - linking: what the transaction does with that and with the chunks that it adds.
    func commit<Kept, R: Sendable>(
        expecting expected: Digest?,
        sealing: (ReceivedBytes) async throws(StoreError) -> Kept,
        linking: (Kept, ChunkLedger) async throws(StoreError) -> Linking<R>
    ) async throws(StoreError) -> R {
        let kept = try await beginCommit { () throws(StoreError) in
            try await sealing(finishBytes(expecting: expected))
        }
        // Taken when nothing can fail any more that leaves the session open.
        let ledger = pipeline.takeLedger()
        return try await commit(ledger: ledger) { () throws(StoreError) in
            try await linking(kept, ledger)
        }
    }

    private func commit<R: Sendable>(
        ledger: ChunkLedger, _ linking: () async throws(StoreError) -> Linking<R>
    ) async throws(StoreError) -> R {
        let result: Result<R, StoreError>
        do throws(StoreError) {
            result = .success(try await link(needsSegments: !ledger.isEmpty, linking))
        } catch {
            result = .failure(error)
        }
        await endCommit(ledger)
        return try result.get()
    }

    private func link<R: Sendable>(
        needsSegments: Bool, _ linking: () async throws(StoreError) -> Linking<R>
    ) async throws(StoreError) -> R {
        while true {
            let link = try await linking()
            let linked = try await engine.transact(needsSegments: needsSegments) {
                [self] (transaction) throws(StoreError) -> R? in
                guard let linked = try link(transaction) else { return nil }
                try pass(to: transaction)
                return linked
            }
            if let linked { return linked }
        }
    }

    // MARK: - The steps of a commit

    func isOf(_ bucket: Bucket) -> Bool {
        bucket.bucketID == bucketID && bucket.engine === engine
    }

    /// Makes the blob ready to be linked. Nobody else may use the session before
    /// ``endCommit(_:)``, which the caller owes it once this has returned.
    func beginCommit(
        expecting expected: Digest?, _ checksums: [Checksum] = [], hold: BlobHold
    ) async throws(StoreError) -> PreparedBlob {
        try await beginCommit { () throws(StoreError) in
            try await prepare(expecting: expected, checksums, hold: hold)
        }
    }

    private func beginCommit<R>(
        _ prepare: () async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        try begin()
        do throws(StoreError) {
            return try await prepare()
        } catch {
            let failure = await finishIfFailed(error)
            end()
            throw failure
        }
    }

    /// Gives up what the session holds in the index, for a blob that the transaction links.
    func pass(to transaction: Transaction) throws(StoreError) {
        try checkpointer.check(transaction)
        try transaction.forgetUpload(id, of: bucketID)
        transaction.make(.end, of: reservation)
    }

    /// Ends the session, whether the transaction took place or not.
    func endCommit(_ ledger: ChunkLedger) async {
        ledger.release(engine.inFlight)
        await finish()
        end()
    }

    /// Ends a session that nobody else knows of, whatever became of it, and frees what it has made
    /// durable. What cannot be freed now expires.
    func discard() async {
        do throws(StoreError) {
            try await cancel()
        } catch {
            // It is over, and its checkpoint may still be there.
            guard let claim = engine.liveUploads.claim(id) else { return }
            defer { engine.liveUploads.release(claim) }
            do throws(StoreError) { try await engine.discardUpload(id, of: bucketID) } catch {}
        }
    }

    // MARK: - One call at a time

    private func begin() throws(StoreError) {
        try engine.checkOpen()
        let now = engine.clock.now()
        try state.withLock { (state) throws(StoreError) in
            guard !state.isEnded else {
                throw StoreError(.closed, "this handle of the upload session is finished")
            }
            guard !state.isBusy else {
                throw StoreError(.uploadBusy, "another call on the upload session is under way")
            }
            guard now < state.expiresAt else {
                throw StoreError(.uploadExpired, "the upload session expired unused")
            }
            state.isBusy = true
            state.expiresAt = now + engine.configuration.uploadLifetime
        }
    }

    private func end() { state.withLock { $0.isBusy = false } }

    // After a failure of the pipeline the handle is finished, and the session can be resumed from
    // its last checkpoint. Nothing is left to go on with in a bucket that was deleted.
    private func finishIfFailed(_ error: StoreError) async -> StoreError {
        engine.metrics.count(error)
        if pipeline.hasFailed || error.code == .bucketUnknown { await finish() }
        return error
    }

    // Releases what the session holds in memory; its checkpoint stays.
    private func finish() async {
        await pipeline.abandon()
        reservation.end()
        state.withLock { $0.isEnded = true }
        engine.liveUploads.release(claim)
    }

    // MARK: - Taking bytes

    func take(_ bytes: Span<UInt8>) async throws(StoreError) {
        let receivedByteCount = state.withLock { $0.receivedByteCount }
        try reservation.grow(to: receivedByteCount + UInt64(bytes.count))
        var rest = bytes
        while rest.count > 0 {
            let window = state.withLock { $0.window }
            let count = window.fill(from: rest)
            state.withLock { $0.receivedByteCount += UInt64(count) }
            rest = rest.extracting(count...)
            if window.isFull {
                let next = pipeline.makeWindow()
                state.withLock { $0.window = next }
                try await pipeline.submit(window)
            }
        }
    }

    // The number of leading bytes that were received before, all of them equal.
    private func checkOverlap(
        _ bytes: Span<UInt8>, at offset: UInt64
    ) async throws(StoreError) -> Int {
        let (received, window) = state.withLock { ($0.receivedByteCount, $0.window) }
        guard offset <= received else {
            throw StoreError(
                .uploadOffsetMismatch, "\(received) bytes were received, not \(offset)")
        }
        let count = Int(min(UInt64(bytes.count), received - offset))
        guard count > 0 else { return 0 }
        try await pipeline.settle()
        let known = try await receivedBytes(offset..<offset + UInt64(count), window)
        guard known.span.hasSameBytes(as: bytes.extracting(..<count)) else {
            throw StoreError(
                .uploadOffsetMismatch, "bytes at \(offset) differ from those received before")
        }
        return count
    }

    // Settled only. The range may span the tree, the tail and the window.
    private func receivedBytes(
        _ range: Range<UInt64>, _ window: UploadWindow
    ) async throws(StoreError) -> [UInt8] {
        let stage = pipeline.stage
        let cut = stage.cutByteCount
        var bytes: [UInt8] = []
        if range.lowerBound < cut {
            let forest = pipeline.forest.map(\.entry)
            // No lease: the session itself holds every root of the forest.
            let reader = ChunkReader(engine: engine, domain: keys.domain.keys)
            let inTree = range.clamped(to: 0..<cut)
            for try await buffer in BlobBytes(.tree(forest, reader, nil), inTree, keys, engine) {
                bytes.append(contentsOf: buffer)
            }
        }
        if range.upperBound > cut {
            let pending = stage.tail + window.contents
            let first = Int(max(range.lowerBound, cut) - cut)
            bytes.append(contentsOf: pending[first..<Int(range.upperBound - cut)])
        }
        return bytes
    }

    // Nothing fills the window meanwhile: the session is busy with this call.
    private func makeCheckpoint() async throws(StoreError) {
        try await engine.keys.confirm(keys)
        let window = state.withLock { $0.window }
        try await pipeline.checkpoint(behind: window.contents)
    }

    // MARK: - Commit

    private func prepare(
        expecting expected: Digest?, _ checksums: [Checksum], hold: BlobHold
    ) async throws(StoreError) -> PreparedBlob {
        let received = try await finishBytes(expecting: expected, checksums)
        var blob = try await engine.prepare(received, hold, bucketID, keys)
        // Taken when nothing can fail any more that leaves the session open.
        blob.ledger = pipeline.takeLedger()
        return blob
    }

    private func finishBytes(
        expecting expected: Digest?, _ checksums: [Checksum] = []
    ) async throws(StoreError) -> ReceivedBytes {
        try await engine.keys.confirm(keys)
        try await pipeline.settle()
        let (window, received) = state.withLock { ($0.window, $0.receivedByteCount) }
        if received <= UInt64(Engine.smallBlobByteCountMax) {
            let digests = pipeline.stage.finalDigests(rest: window.contents.span)
            guard expected == nil || expected == digests.digest else { throw mismatch(expected) }
            try ChecksumRequest.check(checksums, digests.checksums)
            return ReceivedBytes(
                body: .small(pipeline.stage.tail + window.contents), digests: digests)
        }
        guard let tree = try await pipeline.finish(window, expecting: expected, checksums)
        else {
            throw mismatch(expected)
        }
        return ReceivedBytes(body: .tree(tree), digests: tree.digests)
    }

    private func mismatch(_ expected: Digest?) -> StoreError {
        StoreError(
            .digestMismatch,
            "the received bytes do not have the digest \(expected?.description ?? "expected")")
    }
}

/// All that a session received, complete but for its commit.
struct ReceivedBytes: Sendable {
    enum Body: Sendable {
        /// Too few for a segment.
        case small([UInt8])
        case tree(FinishedTree)
    }

    var body: Body
    var digests: StreamDigests
}
