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
    private let durable: Mutex<UInt64>

    /// - Parameter row: the last checkpoint of the session, if it has one.
    init(
        _ id: UploadID, _ bucketID: BucketID, _ keys: BucketKeys, _ engine: Engine, row: UploadRow?
    ) {
        self.id = id
        self.bucketID = bucketID
        self.keys = keys
        self.engine = engine
        startedAt = row?.startedAt ?? engine.clock.now()
        durable = Mutex(row?.receivedByteCount ?? 0)
    }

    /// What a crash would leave of the session.
    var durableByteCount: UInt64 { durable.withLock { $0 } }

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
                engine.committer.submit(
                    CommitRequest(needsSegments: !position.ledger.isEmpty) {
                        [self] (base) throws(StoreError) in
                        let transaction = Transaction(base)
                        try transaction.checkBucket(bucketID)
                        try position.ledger.apply(to: transaction)
                        try transaction.putUpload(row, id, of: bucketID)
                    } completion: { [self] result in
                        if case .success = result {
                            durable.withLock { $0 = row.receivedByteCount }
                        }
                        position.ledger.release(engine.inFlight)
                        completion(result)
                    })
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
            stage: position.stage, tail: position.stage.tail + rest, builder: position.builder)
        let name = Octets32(padding: id.octets)
        return UploadRow(
            startedAt: startedAt,
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
