// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// Changes of a bucket's objects that take place together or not at all.
///
/// ```swift
/// var batch = ObjectBatch()
/// batch.put("manifests/\(name)", manifest.span, references: layers)
/// batch.put("tags/v1", Array(name.utf8).span, references: [digest], if: .ifNoneMatch)
/// batch.delete("tags/next")
/// try await bucket.commit(batch)
/// ```
///
/// The operations act as if one after the other: each sees what those before it have done, and so
/// does its condition. A plain value; nothing is checked or stored before ``Bucket/commit(_:)``.
public struct ObjectBatch: Sendable {
    /// The most operations of one batch.
    public static let operationCountMax = 1000
    /// The most bytes of bodies in memory, of all operations together. Larger bodies come as blobs
    /// or upload sessions.
    public static let bodyByteCountMax = 32 << 20
    /// The most references that all operations name together, and the most that the objects have
    /// which they delete or replace: a bound for the size of one
    /// transaction, with room for one object that has as many as an object can.
    public static let referenceCountMax = 2 * ObjectDescription.referenceCountMax

    /// Where the body of an object comes from.
    public enum Body: Sendable {
        /// From memory.
        case bytes([UInt8])
        /// A blob of the bucket, or the body of an operation before this one.
        case blob(Digest)
        /// What a session of the bucket has received.
        case session(UploadSession)
    }

    /// What becomes of the tags or the references of an object; nil leaves them as they are.
    public struct Update: Sendable {
        /// All tags that it has then.
        public var tags: [String: String]?
        /// All references that it has then.
        public var references: [Digest]?
    }

    /// What is done.
    public enum Action: Sendable {
        /// Nothing, but that the condition must hold.
        case check
        /// An object is written.
        case put(Body, ObjectAttributes, references: [Digest])
        /// An object is changed that must be there.
        case update(Update)
        /// An object is deleted, if it is there.
        case delete
        /// A blob is deleted, if it is there and no object refers to it.
        case deleteBlob(Digest)
        /// A blob stays at least until so long after the commit; it must be there.
        case leaseBlob(Digest, Duration)
    }

    /// One step of a batch; for implementations of buckets other than Cairn's own.
    public struct Operation: Sendable {
        /// The object that it concerns; empty for blobs.
        public var key: String
        /// When the batch may take place; none for blobs.
        public var condition: WriteCondition
        /// What is done.
        public var action: Action
    }

    /// What the batch does, in order.
    public private(set) var operations: [Operation] = []

    /// How many operations there are.
    public var count: Int { operations.count }
    /// Whether there is nothing to do.
    public var isEmpty: Bool { operations.isEmpty }

    /// An empty batch.
    public init() {}

    /// Demands that an object be, or not be, there, and changes nothing.
    public mutating func require(_ key: String, _ condition: WriteCondition) {
        add(key, condition, .check)
    }

    /// Writes an object; see ``Bucket/putObject(_:_:attributes:references:checksums:if:)``.
    ///
    /// - Parameter references: blobs of the bucket, or bodies of operations before this one.
    public mutating func put(
        _ key: String, _ bytes: Span<UInt8>, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], if condition: WriteCondition = .none
    ) {
        let body = Body.bytes([UInt8](copying: bytes))
        add(key, condition, .put(body, attributes, references: references))
    }

    /// Writes an object whose body is a blob of the bucket, or the body of an operation before this
    /// one.
    public mutating func put(
        _ key: String, blob digest: Digest, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], if condition: WriteCondition = .none
    ) {
        add(key, condition, .put(.blob(digest), attributes, references: references))
    }

    /// Writes an object whose bytes an upload session of the bucket has received; the session is
    /// over then, also when the batch fails. Only a batch that is refused for its form, before
    /// anything is looked at, leaves it as it was.
    public mutating func put(
        _ key: String, session: UploadSession, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], if condition: WriteCondition = .none
    ) {
        add(key, condition, .put(.session(session), attributes, references: references))
    }

    /// Gives an object other tags; see ``Bucket/setTags(_:of:ifMatch:)``. No other operation of the
    /// batch may write the object.
    public mutating func setTags(
        _ tags: [String: String], of key: String, if condition: WriteCondition = .none
    ) {
        add(key, condition, .update(Update(tags: tags)))
    }

    /// Lets an object keep other blobs alive, in place of those that it did; its ETag changes with
    /// them. No other operation of the batch may write the object.
    public mutating func setReferences(
        _ references: [Digest], of key: String, if condition: WriteCondition = .none
    ) {
        add(key, condition, .update(Update(references: references)))
    }

    /// Deletes an object, if it is there.
    public mutating func delete(_ key: String, if condition: WriteCondition = .none) {
        add(key, condition, .delete)
    }

    /// Deletes a blob, if it is there; see ``Bucket/deleteBlob(_:)``. References that operations
    /// before this one have taken away do not hold it any more.
    public mutating func deleteBlob(_ digest: Digest) {
        add("", .none, .deleteBlob(digest))
    }

    /// Lets a blob that is leased, or kept by objects alone, stay so long at least; see
    /// ``Bucket/stat(_:leasingFor:)``. It must be there, or come with an operation before this one.
    public mutating func leaseBlob(_ digest: Digest, for duration: Duration) {
        add("", .none, .leaseBlob(digest, duration))
    }

    private mutating func add(_ key: String, _ condition: WriteCondition, _ action: Action) {
        operations.append(Operation(key: key, condition: condition, action: action))
    }

    // MARK: -

    /// Looks at the form of the batch alone; for implementations of buckets other than Cairn's own.
    ///
    /// - Throws: ``BatchError`` with code `limitExceeded`, `invalidArgument`, `keyInvalid`.
    public func check() throws(BatchError) {
        try Self.check(operations.count, Self.operationCountMax, "operations")
        var byteCount = 0
        var referenceCount = 0
        // By bytes: two strings may be equal and differ in theirs.
        var writeCounts: [[UInt8]: Int] = [:]
        for operation in operations where operation.isWriting {
            writeCounts[Array(operation.key.utf8), default: 0] += 1
        }
        for (index, operation) in operations.enumerated() {
            do throws(StoreError) { try operation.check() } catch {
                throw BatchError(error, operation: index)
            }
            byteCount += operation.bodyByteCount
            referenceCount += operation.referenceCount
            if case .update = operation.action, writeCounts[Array(operation.key.utf8)] != 1 {
                throw BatchError(
                    StoreError(
                        .invalidArgument, "a batch updates an object only if it writes it once"),
                    operation: index)
            }
        }
        try Self.check(byteCount, Self.bodyByteCountMax, "bytes of bodies")
        try Self.check(referenceCount, Self.referenceCountMax, "references")
    }

    private static func check(
        _ count: Int, _ limit: Int, _ what: String
    ) throws(BatchError) {
        guard count <= limit else {
            throw BatchError(
                StoreError(.limitExceeded, "a batch has at most \(limit) \(what), not \(count)"),
                operation: nil)
        }
    }
}

extension ObjectBatch.Operation {
    fileprivate var isWriting: Bool {
        switch action {
        case .put, .update, .delete: true
        case .check, .deleteBlob, .leaseBlob: false
        }
    }

    fileprivate var bodyByteCount: Int {
        if case .put(.bytes(let bytes), _, _) = action { bytes.count } else { 0 }
    }

    fileprivate var referenceCount: Int {
        switch action {
        case .put(_, _, let references): references.count
        case .update(let update): update.references?.count ?? 0
        case .check, .delete, .deleteBlob, .leaseBlob: 0
        }
    }

    fileprivate func check() throws(StoreError) {
        switch action {
        case .deleteBlob: return
        case .leaseBlob(_, let duration):
            guard duration > .zero else {
                throw StoreError(.invalidArgument, "a lease lasts longer than nothing")
            }
            return
        case .check, .put, .update, .delete: break
        }
        try Names.checkObjectKey(key)
        switch action {
        case .put(_, let attributes, _): try attributes.check()
        case .update(let update): try ObjectAttributes.check(tags: update.tags ?? [:])
        case .check, .delete, .deleteBlob, .leaseBlob: break
        }
    }
}

/// Why a batch was not committed. Nothing of it took place.
///
/// Equal when both errors and both operations are.
public struct BatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first operation that could not take place, counted from 0; nil when the reason lies in
    /// none of them.
    public let operation: Int?
    /// The reason.
    public let error: StoreError

    /// The kind of the reason.
    public var code: StoreError.Code { error.code }
    /// The operation and the reason, for a log.
    public var description: String {
        operation.map { "operation \($0): \(error)" } ?? error.description
    }

    /// Reports an error; for implementations of buckets other than Cairn's own.
    public init(_ error: StoreError, operation: Int?) {
        self.operation = operation
        self.error = error
    }
}
