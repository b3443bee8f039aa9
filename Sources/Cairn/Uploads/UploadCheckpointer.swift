// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import Synchronization

/// Makes states of one upload session durable, in the order in which they come.
///
/// Whoever hands in a position waits for its completion before the next. Thread-safe.
final class UploadCheckpointer: Sendable {
    let startedAt: Timestamp
    private let id: UploadID
    private let bucketID: BucketID
    private let keys: BucketKeys
    private let engine: Engine
    private let isPart: Bool
    private let reservation: Reservation
    private let last: Mutex<Checkpoint>

    private struct Checkpoint {
        /// Nil before the first.
        var id: Octets16?
        var byteCount: UInt64
    }

    /// - Parameters:
    ///   - isPart: whether the session is one of a multipart upload.
    ///   - row: the last checkpoint of the session, if it has one.
    init(
        _ id: UploadID, _ bucketID: BucketID, _ keys: BucketKeys, _ engine: Engine, isPart: Bool,
        _ reservation: Reservation, row: UploadRow?
    ) {
        self.reservation = reservation
        self.id = id
        self.bucketID = bucketID
        self.keys = keys
        self.engine = engine
        self.isPart = isPart
        startedAt = row?.startedAt ?? engine.clock.now()
        last = Mutex(Checkpoint(id: row?.checkpointID, byteCount: row?.receivedByteCount ?? 0))
    }

    /// What a crash would leave of the session.
    var durableByteCount: UInt64 { last.withLock { $0.byteCount } }

    /// Fails unless the last checkpoint of the session is the one that this handle made or went
    /// on from: then nobody has taken the references that its tree relies on.
    func check(_ transaction: Transaction) throws(StoreError) {
        let found = try transaction.upload(id, of: bucketID)?.checkpointID
        let own = last.withLock { $0.id }
        guard found == own else {
            throw StoreError(
                .uploadUnknown, "the upload session was cancelled or goes on elsewhere")
        }
    }

    /// Seals the position on a worker thread and commits it with the chunks that it added.
    ///
    /// - Parameters:
    ///   - rest: bytes received behind the position.
    ///   - completion: called once; the holds of the position's ledger are released by then.
    func commit(
        _ position: UploadPipeline.Position, behind rest: [UInt8],
        _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        engine.pool.submit { [self] context in
            do throws(StoreError) {
                let row = try seal(position, behind: rest, &context)
                engine.submit(needsSegments: !position.ledger.isEmpty) {
                    [self] (transaction) throws(StoreError) in
                    try transaction.checkBucket(bucketID)
                    try check(transaction)
                    try position.ledger.apply(to: transaction, for: bucketID)
                    try transaction.putUpload(row, id, of: bucketID)
                    transaction.make(.checkpoint(row.receivedByteCount), of: reservation)
                } completion: { [self] result in
                    if case .success = result {
                        last.withLock {
                            $0 = Checkpoint(
                                id: row.checkpointID, byteCount: row.receivedByteCount)
                        }
                    }
                    position.ledger.release(engine.inFlight)
                    completion(result)
                }
            } catch {
                position.ledger.release(engine.inFlight)
                completion(.failure(error))
            }
        }
    }

    private func seal(
        _ position: UploadPipeline.Position, behind rest: [UInt8], _ context: inout WorkerContext
    ) throws(StoreError) -> UploadRow {
        let upload = UploadState(
            stage: position.stage, tail: position.stage.tail + rest, builder: position.builder,
            domainSlot: keys.domain.slot, isPart: isPart)
        let name = Octets32(padding: id.octets)
        return UploadRow(
            checkpointID: UUIDText.random(from: engine.random), startedAt: startedAt,
            expiresAt: engine.clock.now() + engine.configuration.uploadLifetime,
            receivedByteCount: position.stage.cutByteCount + UInt64(upload.tail.count),
            sealedHeld: try context.seal(
                ReferenceList.encode(upload.heldIDs), as: .referenceList, name: name,
                under: engine.sealingKey),
            sealedState: try context.seal(
                upload.encoded(), as: .metadata, name: name,
                under: keys.sealingKey(engine, bucketID)))
    }
}
