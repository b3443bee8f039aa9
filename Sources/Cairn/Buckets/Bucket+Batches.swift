// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

extension Bucket {
    /// Makes the changes of a batch, all or none of them. Durable on return.
    ///
    /// Nobody ever sees a part of it: not who reads meanwhile, nor who opens the store after a
    /// crash.
    ///
    /// - Returns: for each operation the object that it wrote; nil where it wrote none.
    /// - Throws: ``BatchError``, which names the first operation that could not take place, with
    ///   code `preconditionFailed`, `objectUnknown` (to be updated), `blobUnknown` (a body or a
    ///   reference), `blobReferenced`, `keyInvalid`, `invalidArgument`, `limitExceeded` (see
    ///   ``ObjectBatch``), `bucketUnknown`, `corrupted`, `outOfSpace`, `io`, `keyDisabled`,
    ///   `keyUnavailable`, `closed`.
    @discardableResult
    public func commit(_ batch: ObjectBatch) async throws(BatchError) -> [ObjectDescription?] {
        try batch.check()
        let bodies = BatchBodies(self)
        let result: Result<[ObjectDescription?], BatchError>
        do throws(BatchError) {
            result = .success(try await commit(batch.operations, bodies))
        } catch {
            result = .failure(error)
        }
        await bodies.end()
        return try result.get()
    }

    private func commit(
        _ operations: [ObjectBatch.Operation], _ bodies: BatchBodies
    ) async throws(BatchError) -> [ObjectDescription?] {
        var steps: [BatchStep] = []
        for (index, operation) in operations.enumerated() {
            do throws(StoreError) {
                // A condition looks at rows of the newest version only.
                if operation.condition != .none { try await currentRow(of: operation.key) }
                steps.append(try await prepare(operation, bodies))
            } catch {
                throw BatchError(error, operation: index)
            }
        }
        while true {
            if try await perform(steps, bodies) { return steps.map(\.object?.description) }
            // An object to be updated was changed since it was read.
            for (index, operation) in operations.enumerated() {
                guard case .update = operation.action else { continue }
                do throws(StoreError) {
                    steps[index] = try await prepare(operation, bodies)
                } catch {
                    throw BatchError(error, operation: index)
                }
            }
        }
    }

    // MARK: -

    private func prepare(
        _ operation: ObjectBatch.Operation, _ bodies: BatchBodies
    ) async throws(StoreError) -> BatchStep {
        let (key, condition) = (operation.key, operation.condition)
        let keys = try await keys()
        switch operation.action {
        case .check: return .check(key, condition)
        case .delete: return .delete(key, condition)
        case .deleteBlob(let digest): return .deleteBlob(keys.linkName(of: digest))
        case .update(let update):
            let found = try await object(key, keys)
            return .replace(
                found.bytes, try await prepare(found, update, keys), condition)
        case .put(let body, let attributes, let references):
            let draft = try ObjectDraft(key, attributes, references: references)
            let (digest, byteCount, blob) = try await bodies.prepare(body, keys)
            let object = try await engine.prepareObject(
                draft, digest: digest, byteCount: byteCount, modifiedAt: engine.clock.now(),
                in: bucketID, keys)
            return .put(object, blob, condition)
        }
    }

    private func prepare(
        _ found: FoundObject, _ update: ObjectBatch.Update, _ keys: BucketKeys
    ) async throws(StoreError) -> PreparedObject {
        let object = found.description
        guard let references = update.references else {
            return try await engine.prepareObject(
                object.tagged(update.tags ?? object.tags), references: found.references,
                in: bucketID, keys)
        }
        var attributes = object.attributes
        attributes.tags = update.tags ?? object.tags
        return try await engine.prepareObject(
            ObjectDraft(object.key, attributes, references: references), digest: object.digest,
            byteCount: object.byteCount, modifiedAt: object.modifiedAt, in: bucketID, keys)
    }

    // False: an object to be updated is not what was found any more.
    private func perform(
        _ steps: [BatchStep], _ bodies: BatchBodies
    ) async throws(BatchError) -> Bool {
        let failed = FailedStep()
        let (bucketID, blobs) = (bucketID, bodies.prepared)
        do throws(StoreError) {
            return try await engine.transact(
                needsSegments: blobs.contains(where: \.1.needsSegments)
            ) { (transaction) throws(StoreError) -> Bool in
                failed.set(nil)
                try transaction.checkBucket(bucketID)
                for (index, step) in steps.enumerated() {
                    guard case .replace(let bytes, let object, _) = step else { continue }
                    let key = RowKey.object(bucketID, object.description.key)
                    guard try transaction.get(Tables.objects, key) != bytes else { continue }
                    failed.set(index)
                    return false
                }
                for (session, _) in blobs { try session.pass(to: transaction) }
                for (index, step) in steps.enumerated() {
                    failed.set(index)
                    try step.perform(in: transaction, bucketID)
                }
                failed.set(nil)
                return true
            }
        } catch {
            throw BatchError(error, operation: failed.index)
        }
    }
}

/// One operation, ready for the transaction.
private enum BatchStep: Sendable {
    case check(String, WriteCondition)
    case put(PreparedObject, PreparedBlob?, WriteCondition)
    /// In place of an object whose row was this.
    case replace([UInt8], PreparedObject, WriteCondition)
    case delete(String, WriteCondition)
    case deleteBlob(LinkName)

    var object: PreparedObject? {
        switch self {
        case .put(let object, _, _), .replace(_, let object, _): object
        case .check, .delete, .deleteBlob: nil
        }
    }

    func perform(in transaction: Transaction, _ bucket: BucketID) throws(StoreError) {
        switch self {
        case .check(let key, let condition):
            guard condition.holds(for: try transaction.object(key, in: bucket)) else {
                throw Transaction.conditionFailed
            }
        case .put(let object, let blob, let condition):
            if let blob { try transaction.link(blob, in: bucket) }
            try transaction.putObject(object, in: bucket, if: condition)
        case .replace(_, let object, let condition):
            try transaction.putObject(object, in: bucket, if: condition)
        case .delete(let key, let condition):
            let row = try transaction.object(key, in: bucket)
            guard condition.holds(for: row) else { throw Transaction.conditionFailed }
            if let row { try transaction.deleteObject(key, row, in: bucket) }
        case .deleteBlob(let name):
            guard let link = try transaction.link(bucket, name) else { return }
            try transaction.deleteBlob(link, bucket, name)
        }
    }
}

/// The bodies of a batch: those that come with it, and those that it finds in the bucket.
private final class BatchBodies: Sendable {
    private struct State {
        var prepared: [(UploadSession, PreparedBlob)] = []
        var byteCounts: [Digest: UInt64] = [:]
    }

    private let bucket: Bucket
    private let state = Mutex(State())

    init(_ bucket: Bucket) { self.bucket = bucket }

    /// What the transaction links, with the sessions that hold it until then.
    var prepared: [(UploadSession, PreparedBlob)] { state.withLock { $0.prepared } }

    /// - Returns: the body, and what is to be linked if the bucket does not have it.
    func prepare(
        _ body: ObjectBatch.Body, _ keys: BucketKeys
    ) async throws(StoreError) -> (Digest, UInt64, PreparedBlob?) {
        switch body {
        case .blob(let digest):
            if let byteCount = state.withLock({ $0.byteCounts[digest] }) {
                return (digest, byteCount, nil)
            }
            let engine = bucket.engine
            guard let (link, _) = try await engine.find(digest, in: bucket.bucketID, keys) else {
                throw Bucket.unknown(digest)
            }
            return (digest, link.byteCount, nil)
        case .session(let session):
            guard session.isOf(bucket) else {
                throw StoreError(.invalidArgument, "an upload session is of another bucket")
            }
            return try await finish(session)
        case .bytes(let bytes):
            let session = try bucket.engine.beginUpload(
                in: bucket.bucketID, keys, algorithm: .sha256)
            do throws(StoreError) {
                try await session.append(bytes.span)
                return try await finish(session)
            } catch {
                await session.drop()
                throw error
            }
        }
    }

    /// Ends all sessions, whether the batch was committed or not.
    func end() async {
        for (session, blob) in prepared { await session.endCommit(blob) }
    }

    private func finish(
        _ session: UploadSession
    ) async throws(StoreError) -> (Digest, UInt64, PreparedBlob?) {
        let blob = try await session.beginCommit(expecting: nil, isPinned: false)
        let (digest, byteCount) = (blob.description.digest, blob.description.byteCount)
        state.withLock { state in
            state.prepared.append((session, blob))
            state.byteCounts[digest] = byteCount
        }
        return (digest, byteCount, blob)
    }
}

/// Which operation stopped a transaction; its last attempt counts.
private final class FailedStep: Sendable {
    private let number = Mutex<Int?>(nil)
    var index: Int? { number.withLock { $0 } }
    func set(_ index: Int?) { number.withLock { $0 = index } }
}
