// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// What a registry needs of a bucket: objects by key, blobs by digest, and both in batches.
///
/// ``Bucket`` is Cairn's own; `CairnTesting` has one in memory, and a suite that any implementation
/// can be run through. Write code for `some ObjectBucket` to test it without a store.
///
/// Every call is documented at ``Bucket``; an implementation that cannot do something throws
/// `invalidArgument` and changes nothing.
public protocol ObjectBucket: Sendable {
    /// What is opened for reading.
    associatedtype Body: ReadableBlob

    /// The name of the bucket.
    var name: String { get }

    /// Writes an object, new or in place of an old one, all or nothing.
    func putObject(
        _ key: String, _ bytes: Span<UInt8>, attributes: ObjectAttributes, references: [Digest],
        checksums: ChecksumRequest, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription

    /// Writes an object whose body is a blob of the bucket already.
    func putObject(
        _ key: String, blob digest: Digest, attributes: ObjectAttributes, references: [Digest],
        if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription

    /// Describes an object.
    func headObject(
        _ key: String, if condition: ReadCondition
    ) async throws(StoreError) -> ObjectDescription

    /// Opens an object for reading.
    func openObject(
        _ key: String, if condition: ReadCondition
    ) async throws(StoreError) -> (ObjectDescription, Body)

    /// The blobs that an object keeps alive beside its body, each once.
    func references(of key: String) async throws(StoreError) -> [Digest]

    /// Lists objects in the byte order of their keys.
    func objects(
        prefix: String, delimiter: String, after: String?, from cursor: ObjectCursor?, limit: Int
    ) async throws(StoreError) -> ObjectPage

    /// Gives an object other tags, and nothing else.
    func setTags(
        _ tags: [String: String], of key: String, ifMatch etag: ETag?
    ) async throws(StoreError) -> ObjectDescription

    /// Deletes an object, and its body unless something else keeps that.
    func deleteObject(_ key: String, ifMatch etag: ETag?) async throws(StoreError)

    /// Copies an object within the bucket.
    func copyObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription

    /// Gives an object another key within the bucket.
    func renameObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription

    /// Makes the changes of a batch, all or none of them.
    func commit(_ batch: ObjectBatch) async throws(BatchError) -> [ObjectDescription?]

    /// Stores a blob that is in memory.
    func putBlob(
        _ bytes: Span<UInt8>, expecting expected: Digest?, lifetime: BlobLifetime
    ) async throws(StoreError) -> BlobDescription

    /// Describes a blob, and lets it stay a while if that is asked for.
    func stat(
        _ digest: Digest, leasingFor duration: Duration?
    ) async throws(StoreError) -> BlobDescription

    /// Opens a blob for reading.
    func openBlob(_ digest: Digest) async throws(StoreError) -> Body

    /// Deletes a blob, unless objects refer to it.
    func deleteBlob(_ digest: Digest) async throws(StoreError)
}

/// Bytes that can be read, whole or in parts, any number of times.
public protocol ReadableBlob: Sendable {
    /// Buffers in order, each of one byte or more.
    associatedtype Bytes: AsyncSequence & Sendable where Bytes.Element == [UInt8]

    /// The digest and the length.
    var description: BlobDescription { get }

    /// The bytes, or those of a part; what lies behind the end is left out.
    func bytes(in range: Range<UInt64>?) -> Bytes

    /// All bytes at once; `limitExceeded` when there are more than the caller is ready to take.
    func readAll(upTo limit: Int) async throws(StoreError) -> [UInt8]
}

extension Blob: ReadableBlob {}

extension Bucket: ObjectBucket {
    // The longer forms do the same, and copy to other buckets as well.

    /// Copies an object within the bucket; see
    /// ``copyObject(_:version:to:in:attributes:ifSource:if:)``.
    @_disfavoredOverload
    public func copyObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await copyObject(key, version: nil, to: target, if: condition)
    }

    /// Gives an object another key within the bucket; see
    /// ``renameObject(_:to:in:ifSource:if:)``.
    @_disfavoredOverload
    public func renameObject(
        _ key: String, to target: String, if condition: WriteCondition
    ) async throws(StoreError) -> ObjectDescription {
        try await renameObject(key, to: target, in: nil, if: condition)
    }
}

// What most callers leave out.
extension ObjectBucket {
    /// Writes an object with the usual arguments.
    @_disfavoredOverload @discardableResult
    public func putObject(
        _ key: String, _ bytes: Span<UInt8>, attributes: ObjectAttributes = ObjectAttributes(),
        references: [Digest] = [], if condition: WriteCondition = .none
    ) async throws(StoreError) -> ObjectDescription {
        try await putObject(
            key, bytes, attributes: attributes, references: references, checksums: .none,
            if: condition)
    }

    /// Describes an object as it is.
    @_disfavoredOverload
    public func headObject(_ key: String) async throws(StoreError) -> ObjectDescription {
        try await headObject(key, if: .none)
    }

    /// Opens an object as it is.
    @_disfavoredOverload
    public func openObject(_ key: String) async throws(StoreError) -> (ObjectDescription, Body) {
        try await openObject(key, if: .none)
    }

    /// Lists objects with the usual arguments.
    @_disfavoredOverload
    public func objects(
        prefix: String = "", delimiter: String = "", from cursor: ObjectCursor? = nil,
        limit: Int = 1000
    ) async throws(StoreError) -> ObjectPage {
        try await objects(
            prefix: prefix, delimiter: delimiter, after: nil, from: cursor, limit: limit)
    }

    /// Deletes an object as it is.
    @_disfavoredOverload
    public func deleteObject(_ key: String) async throws(StoreError) {
        try await deleteObject(key, ifMatch: nil)
    }

    /// Stores a blob until it is deleted.
    @_disfavoredOverload @discardableResult
    public func putBlob(
        _ bytes: Span<UInt8>, expecting expected: Digest? = nil
    ) async throws(StoreError) -> BlobDescription {
        try await putBlob(bytes, expecting: expected, lifetime: .untilDeleted)
    }

    /// Describes a blob and changes nothing.
    @_disfavoredOverload
    public func stat(_ digest: Digest) async throws(StoreError) -> BlobDescription {
        try await stat(digest, leasingFor: nil)
    }
}
