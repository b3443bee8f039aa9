// Part of Cairn, a content-addressed blob store.

public import Cairn
public import CairnCore
internal import Synchronization

/// A bucket in memory, for tests of code that is written for `some ObjectBucket`.
///
/// Simple rather than fast: bytes are not deduplicated, a list looks at all keys, leases never
/// end, and there are no upload sessions, versions or locks. For all that a store can do, without
/// a disk, see ``InMemoryStore``. Thread-safe.
public final class InMemoryBucket: ObjectBucket {
    /// The name given to it.
    public let name: String
    private let clock: @Sendable () -> Timestamp
    private let state = Mutex(State())

    /// An empty bucket.
    ///
    /// - Parameter clock: tells when things are written.
    public init(
        _ name: String = "in-memory",
        clock: @escaping @Sendable () -> Timestamp = { Timestamp(nanosecondsSinceEpoch: 0) }
    ) {
        self.name = name
        self.clock = clock
    }

    // MARK: - Objects

    /// Writes an object; see ``ObjectBucket``.
    ///
    /// - Throws: `invalidArgument` for every wish for checksums, and what a store throws.
    public func putObject(
        _ key: String, _ bytes: Span<UInt8>, attributes: ObjectAttributes, references: [Digest],
        checksums: ChecksumRequest, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        guard checksums == .none else {
            throw StoreError(.invalidArgument, "a bucket in memory computes no checksums")
        }
        let body = [UInt8](copying: bytes)
        let draft = Draft(key: key, attributes: attributes, references: references)
        return try change { (state, now) throws(StoreError) in
            try state.put(draft, body, at: now, if: condition)
        }
    }

    /// Writes an object whose body is a blob of the bucket.
    public func putObject(
        _ key: String, blob digest: Digest, attributes: ObjectAttributes, references: [Digest],
        if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        let draft = Draft(key: key, attributes: attributes, references: references)
        return try change { (state, now) throws(StoreError) in
            try state.put(draft, blob: digest, at: now, if: condition)
        }
    }

    /// Describes an object.
    public func headObject(
        _ key: String, if condition: ReadCondition
    ) async throws(StoreError) -> ObjectDescription {
        try ObjectDescription.checkKey(key)
        let object = try read { (state) throws(StoreError) in try state.object(key).description }
        try condition.check(object)
        return object
    }

    /// Describes an object and opens its body.
    public func openObject(
        _ key: String, if condition: ReadCondition
    ) async throws(StoreError) -> (ObjectDescription, InMemoryBlob) {
        let object = try await headObject(key, if: condition)
        return (object, try await openBlob(object.digest))
    }

    /// The blobs that an object keeps alive beside its body.
    public func references(of key: String) async throws(StoreError) -> [Digest] {
        try ObjectDescription.checkKey(key)
        return try read { (state) throws(StoreError) in try state.object(key).references }
    }

    /// Gives an object other tags.
    public func setTags(
        _ tags: [String: String], of key: String, ifMatch etag: ETag?
    ) async throws(StoreError) -> ObjectDescription {
        try ObjectAttributes(tags: tags).check()
        try ObjectDescription.checkKey(key)
        return try change { (state, _) throws(StoreError) in
            let object = try state.object(key)
            guard etag == nil || etag == object.description.etag else {
                throw State.conditionFailed
            }
            return try state.update(key, tags: tags, references: nil)
        }
    }

    /// Deletes an object.
    public func deleteObject(_ key: String, ifMatch etag: ETag?) async throws(StoreError) {
        try ObjectDescription.checkKey(key)
        try change { (state, _) throws(StoreError) in
            let object = try state.object(key)
            guard etag == nil || etag == object.description.etag else {
                throw State.conditionFailed
            }
            state.delete(key)
        }
    }

    /// Copies an object within the bucket.
    public func copyObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await transfer(key, to: target, condition, isMove: false)
    }

    /// Gives an object another key.
    public func renameObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await transfer(key, to: target, condition, isMove: true)
    }

    private func transfer(
        _ key: String, to target: String, _ condition: WriteCondition, isMove: Bool
    ) async throws(StoreError) -> ObjectDescription {
        try ObjectDescription.checkKey(key)
        return try change { (state, now) throws(StoreError) in
            let source = try state.object(key)
            let draft = Draft(
                key: target, attributes: source.description.attributes,
                references: source.references)
            let object = try state.put(
                draft, blob: source.description.digest,
                at: isMove ? source.description.modifiedAt : now, if: condition)
            if isMove, !key.utf8.elementsEqual(target.utf8) { state.delete(key) }
            return object
        }
    }

    /// Lists objects and common prefixes in byte order, 1 to 1000 together.
    public func objects(
        prefix: String, delimiter: String, after: String?, from cursor: ObjectCursor?, limit: Int
    ) async throws(StoreError) -> ObjectPage {
        guard (1...1000).contains(limit),
            [prefix, delimiter, after ?? ""].allSatisfy({ $0.utf8.count <= 1024 })
        else { throw StoreError(.invalidArgument, "a page or a text of a list is out of bounds") }
        return read { state in
            state.list(prefix, delimiter, after, cursor, limit)
        }
    }

    /// Makes the changes of a batch, all or none of them.
    public func commit(_ batch: ObjectBatch) async throws(BatchError) -> [ObjectDescription?] {
        try batch.check()
        let now = clock()
        return try state.withLock { (state) throws(BatchError) in
            var next = state
            var results: [ObjectDescription?] = []
            for (index, operation) in batch.operations.enumerated() {
                do throws(StoreError) { results.append(try next.perform(operation, at: now)) } catch
                {
                    throw BatchError(error, operation: index)
                }
            }
            state = next
            return results
        }
    }

    // MARK: - Blobs

    /// Stores a blob; it stays until it is deleted, whatever its lifetime.
    public func putBlob(
        _ bytes: Span<UInt8>, expecting expected: Digest?, lifetime: BlobLifetime
    ) async throws(StoreError) -> BlobDescription {
        let body = [UInt8](copying: bytes)
        let digest =
            expected?.algorithm == .sha512
            ? Digest.sha512(of: body.span) : Digest.sha256(of: body.span)
        guard expected == nil || expected == digest else {
            throw StoreError(.digestMismatch, "the bytes do not have the digest expected")
        }
        return try change { (state, now) throws(StoreError) in
            state.add(body, digest, isPinned: true, at: now)
        }
    }

    /// Describes a blob; a lease makes it stay.
    public func stat(
        _ digest: Digest, leasingFor duration: Duration?
    ) async throws(StoreError) -> BlobDescription {
        guard duration ?? .seconds(1) > .zero else {
            throw StoreError(.invalidArgument, "a lease lasts longer than nothing")
        }
        return try change { (state, _) throws(StoreError) in
            try state.stat(digest, isPinned: duration != nil)
        }
    }

    /// Opens a blob.
    public func openBlob(_ digest: Digest) async throws(StoreError) -> InMemoryBlob {
        try read { (state) throws(StoreError) in
            let description = try state.blob(digest)
            return InMemoryBlob(description: description, bytes: state.bytes(digest))
        }
    }

    /// Removes a blob that no object keeps.
    public func deleteBlob(_ digest: Digest) async throws(StoreError) {
        try change { (state, _) throws(StoreError) in
            _ = try state.blob(digest)
            try state.deleteBlob(digest)
        }
    }

    // MARK: -

    private func read<R, E: Error>(_ body: (State) throws(E) -> R) throws(E) -> R {
        let state = state.withLock { $0 }
        return try body(state)
    }

    // All or nothing: the change is made to a copy.
    private func change<R: Sendable>(
        _ body: (inout State, Timestamp) throws(StoreError) -> R
    ) throws(StoreError) -> R {
        let now = clock()
        return try state.withLock { (state) throws(StoreError) in
            var next = state
            let result = try body(&next, now)
            state = next
            return result
        }
    }
}

/// A blob in memory.
public struct InMemoryBlob: ReadableBlob {
    /// The digest and the length.
    public let description: BlobDescription
    private let contents: [UInt8]

    init(description: BlobDescription, bytes: [UInt8]) {
        self.description = description
        contents = bytes
    }

    /// The bytes in one buffer.
    public func bytes(in range: Range<UInt64>? = nil) -> AsyncStream<[UInt8]> {
        let whole = 0..<UInt64(contents.count)
        let part = range?.clamped(to: whole) ?? whole
        let bytes = Array(contents[Int(part.lowerBound)..<Int(part.upperBound)])
        return AsyncStream { continuation in
            if !bytes.isEmpty { continuation.yield(bytes) }
            continuation.finish()
        }
    }

    /// All bytes.
    public func readAll(upTo limit: Int) async throws(StoreError) -> [UInt8] {
        guard contents.count <= limit else {
            throw StoreError(.limitExceeded, "the blob has \(contents.count) bytes")
        }
        return contents
    }
}
