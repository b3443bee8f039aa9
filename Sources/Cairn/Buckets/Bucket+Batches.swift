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
    ///   reference), `blobReferenced`, `objectLocked` (what it would replace or remove),
    ///   `keyInvalid`, `invalidArgument`, `limitExceeded` (see ``ObjectBatch``), `quotaExceeded`
    ///   (of all operations together: none is named), `allowanceExceeded`, `bucketUnknown`,
    ///   `corrupted`, `outOfSpace`, `io`, `keyDisabled`, `keyUnavailable`, `closed`.
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
                if operation.condition != .none { try await objectRow(operation.key) }
                steps.append(try await prepare(operation, bodies))
            } catch {
                throw BatchError(error, operation: index)
            }
        }
        while true {
            if let versions = try await perform(steps, bodies) {
                return zip(steps, versions).map { step, version in
                    version.flatMap { step.object?.description.named($0) }
                }
            }
            // An object to be updated was changed since it was read, or versions are kept now.
            for (index, operation) in operations.enumerated() {
                do throws(StoreError) {
                    steps[index] = try await prepare(operation, bodies, steps[index].blob)
                } catch {
                    throw BatchError(error, operation: index)
                }
            }
        }
    }

    // MARK: -

    // - Parameter known: the body of a `put` that was prepared before.
    private func prepare(
        _ operation: ObjectBatch.Operation, _ bodies: BatchBodies, _ known: BatchBody? = nil
    ) async throws(StoreError) -> BatchStep {
        let (key, condition) = (operation.key, operation.condition)
        let keys = try await keys()
        switch operation.action {
        case .check: return .check(key, condition)
        case .delete: return .delete(key, try await engine.newDeleteMarker(in: bucketID), condition)
        case .deleteBlob(let digest): return .deleteBlob(keys.linkName(of: digest))
        case .leaseBlob(let digest, let duration):
            return .leaseBlob(keys.linkName(of: digest), until: engine.clock.now() + duration)
        case .update(let update):
            let found = try await object(key, keys)
            return .replace(found, try await prepare(found, update, keys), condition)
        case .put(let body, let attributes, let references):
            let draft = try ObjectDraft(key, attributes, references: references)
            let blob = if let known { known } else { try await bodies.prepare(body, keys) }
            let object = try await engine.prepareObject(
                draft, digest: blob.digest, byteCount: blob.byteCount,
                modifiedAt: engine.clock.now(), token: engine.newToken(in: bucketID),
                checksums: blob.blob?.checksums ?? [], in: bucketID, keys)
            return .put(object, blob, condition)
        }
    }

    private func prepare(
        _ found: FoundObject, _ update: ObjectBatch.Update, _ keys: BucketKeys
    ) async throws(StoreError) -> PreparedObject {
        let object = found.description.tagged(update.tags ?? found.description.tags)
        guard let references = update.references else {
            return try await engine.prepareObject(
                object, references: found.references, in: bucketID, keys)
        }
        return try await engine.prepareObject(
            ObjectDraft(object.key, object.attributes, references: references),
            digest: object.digest, byteCount: object.byteCount, modifiedAt: object.modifiedAt,
            token: object.versionID.token, checksums: object.checksums, isNew: false, in: bucketID,
            keys)
    }

    // Nil: the steps are to be prepared anew.
    private func perform(
        _ steps: [BatchStep], _ bodies: BatchBodies
    ) async throws(BatchError) -> [ObjectVersionID?]? {
        let failed = FailedStep()
        let (bucketID, blobs) = (bucketID, bodies.prepared)
        do throws(StoreError) {
            return try await engine.transact(
                needsSegments: blobs.contains(where: \.1.needsSegments)
            ) { (transaction) throws(StoreError) -> [ObjectVersionID?]? in
                failed.set(nil)
                try transaction.checkBucket(bucketID)
                for step in steps {
                    guard try step.isCurrent(in: transaction, bucketID) else { return nil }
                }
                for (session, _) in blobs { try session.pass(to: transaction) }
                var versions: [ObjectVersionID?] = []
                var releasedCount = 0
                for (index, step) in steps.enumerated() {
                    failed.set(index)
                    releasedCount += try step.releasedCount(in: transaction, bucketID)
                    guard releasedCount <= ObjectBatch.referenceCountMax else {
                        throw StoreError(
                            .limitExceeded,
                            "the objects that a batch deletes or replaces have at most "
                                + "\(ObjectBatch.referenceCountMax) references")
                    }
                    versions.append(try step.perform(in: transaction, bucketID))
                }
                failed.set(nil)
                return versions
            }
        } catch {
            throw BatchError(error, operation: failed.index)
        }
    }
}

/// The body of an object in a batch.
private struct BatchBody: Sendable {
    var digest: Digest
    var byteCount: UInt64
    /// What is to be linked if the bucket does not have it.
    var blob: PreparedBlob?
}

/// One operation, ready for the transaction.
private enum BatchStep: Sendable {
    case check(String, WriteCondition)
    case put(PreparedObject, BatchBody, WriteCondition)
    case replace(FoundObject, PreparedObject, WriteCondition)
    case delete(String, ObjectRow, WriteCondition)
    case deleteBlob(LinkName)
    case leaseBlob(LinkName, until: Timestamp)

    var object: PreparedObject? {
        switch self {
        case .put(let object, _, _), .replace(_, let object, _): object
        case .check, .delete, .deleteBlob, .leaseBlob: nil
        }
    }

    var blob: BatchBody? { if case .put(_, let body, _) = self { body } else { nil } }

    /// Whether what the step was prepared for is as it was. Writes nothing.
    func isCurrent(in transaction: Transaction, _ bucket: BucketID) throws(StoreError) -> Bool {
        switch self {
        case .put(let object, _, _):
            return try transaction.isCurrent(token: object.row.token, in: bucket)
        case .delete(_, let marker, _):
            return try transaction.isCurrent(token: marker.token, in: bucket)
        case .replace(let found, let object, _):
            let key = RowKey.object(bucket, object.description.key)
            return try transaction.get(Tables.objects, key) == found.bytes
        case .check, .deleteBlob, .leaseBlob: return true
        }
    }

    /// How many references the object has that the step deletes or replaces.
    func releasedCount(
        in transaction: Transaction, _ bucket: BucketID
    ) throws(StoreError) -> Int {
        switch self {
        case .put(let object, _, _), .replace(_, let object, _):
            Int(try transaction.object(object.description.key, in: bucket)?.referenceCount ?? 0)
        case .delete(let key, _, _):
            Int(try transaction.object(key, in: bucket)?.referenceCount ?? 0)
        case .check, .deleteBlob, .leaseBlob: 0
        }
    }

    /// - Returns: the version that was written.
    func perform(
        in transaction: Transaction, _ bucket: BucketID
    ) throws(StoreError) -> ObjectVersionID? {
        switch self {
        case .check(let key, let condition):
            guard condition.holds(for: try transaction.object(key, in: bucket)) else {
                throw Transaction.conditionFailed
            }
        case .put(let object, let body, let condition):
            if let blob = body.blob { try transaction.link(blob, in: bucket) }
            return try transaction.putObject(object, in: bucket, if: condition)
        case .replace(let found, let object, let condition):
            guard condition.holds(for: found.row) else { throw Transaction.conditionFailed }
            // Tags may change; what the object keeps alive may not.
            if object.row.etag != found.row.etag {
                try found.row.lock.checkDeletable(
                    at: transaction.now, bypassingGovernance: false)
            }
            try transaction.rewriteObject(object, inPlaceOf: found.row, in: bucket)
            return found.description.versionID
        case .delete(let key, let marker, let condition):
            let row = try transaction.object(key, in: bucket)
            guard condition.holds(for: row) else { throw Transaction.conditionFailed }
            if let row {
                try transaction.deleteObject(key, row, leaving: marker, in: bucket)
            }
        case .deleteBlob(let name):
            guard let link = try transaction.link(bucket, name) else { return nil }
            try transaction.deleteBlob(link, bucket, name)
        case .leaseBlob(let name, let end):
            guard let link = try transaction.link(bucket, name) else {
                throw StoreError(.blobUnknown, "the bucket has no blob that is to be leased")
            }
            try transaction.lease(link, until: end, bucket, name)
        }
        return nil
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

    func prepare(
        _ body: ObjectBatch.Body, _ keys: BucketKeys
    ) async throws(StoreError) -> BatchBody {
        switch body {
        case .blob(let digest):
            if let byteCount = state.withLock({ $0.byteCounts[digest] }) {
                return BatchBody(digest: digest, byteCount: byteCount)
            }
            let engine = bucket.engine
            guard let (link, _) = try await engine.find(digest, in: bucket.bucketID, keys) else {
                throw Bucket.unknown(digest)
            }
            return BatchBody(digest: digest, byteCount: link.byteCount)
        case .session(let session):
            guard session.isOf(bucket) else {
                throw StoreError(.invalidArgument, "an upload session is of another bucket")
            }
            return try await finish(session)
        case .bytes(let bytes):
            return try await bucket.upload(bytes.span) { (session) throws(StoreError) in
                try await finish(session)
            }
        }
    }

    /// Ends all sessions, whether the batch was committed or not.
    func end() async {
        for (session, blob) in prepared { await session.endCommit(blob.ledger) }
    }

    private func finish(
        _ session: UploadSession
    ) async throws(StoreError) -> BatchBody {
        let blob = try await session.beginCommit(expecting: nil, hold: .object)
        let (digest, byteCount) = (blob.description.digest, blob.description.byteCount)
        state.withLock { state in
            state.prepared.append((session, blob))
            state.byteCounts[digest] = byteCount
        }
        return BatchBody(digest: digest, byteCount: byteCount, blob: blob)
    }
}

/// Which operation stopped a transaction; its last attempt counts.
private final class FailedStep: Sendable {
    private let number = Mutex<Int?>(nil)
    var index: Int? { number.withLock { $0 } }
    func set(_ index: Int?) { number.withLock { $0 = index } }
}
