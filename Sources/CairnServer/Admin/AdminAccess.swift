// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// What an administrator can do with a store, wherever the store is open.
///
/// Two implementations exist: ``LocalAccess`` over a store that this process has opened, and
/// ``AdminClient`` over the socket of the server that has it open. A command written against
/// this protocol does not know which one it got.
///
/// Every call names buckets of the default account. Calls may run concurrently.
public protocol AdminAccess: Sendable {
    /// Describes the process that has the store open.
    func information() async throws(AdminError) -> ServerInfo

    /// Lists buckets in the order of their names.
    ///
    /// - Parameters:
    ///   - after: the name of the last bucket already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 buckets. Fewer than `limit` answers mean the end.
    func buckets(after: String?, limit: Int) async throws(AdminError) -> [BucketInfo]

    /// Creates an empty bucket. Durable on return.
    ///
    /// - Parameters:
    ///   - key: the customer key that wraps its keys, by id or alias; nil is the store's own.
    ///   - deduplication: whom it shares chunks with: `key`, `account` or `bucket`; nil is `key`.
    /// - Throws: `bucketExists`, `nameInvalid`, `keyUnknown`, `keyDisabled`, `invalidArgument`.
    func createBucket(
        _ name: String, key: String?, deduplication: String?
    ) async throws(AdminError) -> BucketInfo

    /// Describes one bucket.
    ///
    /// - Throws: `bucketUnknown`.
    func bucket(_ name: String) async throws(AdminError) -> BucketInfo

    /// Deletes a bucket. Durable on return.
    ///
    /// - Parameter withContents: whether everything in it goes with it; what that frees is freed
    ///   by the next sweep.
    /// - Throws: `bucketUnknown`, `bucketNotEmpty`.
    func deleteBucket(_ name: String, withContents: Bool) async throws(AdminError)

    /// Lists the blobs of a bucket in an order that is stable but means nothing.
    ///
    /// - Parameters:
    ///   - after: ``BlobListing/next`` of the page before; nil starts at the beginning.
    ///   - limit: 1 to 1000 blobs.
    func blobs(
        in bucket: String, after: String?, limit: Int
    ) async throws(AdminError) -> BlobListing

    /// Describes one blob.
    ///
    /// - Throws: `bucketUnknown`, `blobUnknown`.
    func stat(_ digest: Digest, in bucket: String) async throws(AdminError) -> BlobInfo

    /// Deletes a blob from one bucket. Durable on return.
    ///
    /// - Throws: `bucketUnknown`, `blobUnknown`, `blobReferenced` (an object still names it).
    func deleteBlob(_ digest: Digest, in bucket: String) async throws(AdminError)

    /// Makes a blob of one bucket a blob of another, without copying its bytes. Durable on return.
    ///
    /// - Throws: `bucketUnknown`, `blobUnknown`.
    func mountBlob(
        _ digest: Digest, from source: String, into bucket: String
    ) async throws(AdminError) -> BlobInfo

    /// Stores one blob. Durable on return; after an error nothing is kept.
    ///
    /// - Parameters:
    ///   - expecting: the digest that the bytes must have; nil accepts any bytes.
    ///   - expectedByteCount: the number of bytes to come when it is known, a hint.
    ///   - source: called for one buffer after the other until it answers 0.
    ///   - duplicates: told now and then how many bytes were stored already; not through a server,
    ///     which answers once.
    /// - Throws: `digestMismatch`, `bucketUnknown`, `sourceFailed` (its cause is what `source`
    ///   threw).
    func put(
        into bucket: String, expecting: Digest?, expectedByteCount: UInt64?,
        from source: @escaping AdminByteSource, duplicates: (@Sendable (UInt64) -> Void)?
    ) async throws(AdminError) -> BlobInfo

    /// Reads a blob or a part of it, in order.
    ///
    /// - Parameters:
    ///   - range: the bytes wanted, clamped to the end of the blob; nil is the whole blob.
    ///   - sink: called with one buffer after the other; reading waits for it to return.
    /// - Returns: the description of the whole blob.
    /// - Throws: `blobUnknown`, `rangeInvalid` (starts past the end), `corrupted`,
    ///   `sinkFailed` (its cause is what `sink` threw).
    func get(
        _ digest: Digest, in bucket: String, range: Range<UInt64>?,
        into sink: @escaping AdminByteSink
    ) async throws(AdminError) -> BlobInfo

    /// Lists the open upload sessions of a bucket in the order of their ids.
    ///
    /// - Parameters:
    ///   - after: the id of the last session already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 sessions. Fewer than `limit` answers mean the end.
    /// - Throws: `bucketUnknown`, `uploadUnknown` (`after` is not an id).
    func uploads(
        in bucket: String, after: String?, limit: Int
    ) async throws(AdminError) -> [UploadInfo]

    /// Ends an upload session and frees its bytes. Durable on return.
    ///
    /// - Throws: `bucketUnknown`, `uploadUnknown`, `uploadBusy` (bytes are arriving).
    func cancelUpload(_ id: String, in bucket: String) async throws(AdminError)

    /// Answers a call on the key service, the keys of a bucket or the audit log.
    ///
    /// - Throws: what the store says: `keyUnknown`, `keyDisabled`, `bucketUnknown`,
    ///   `invalidArgument`, `limitExceeded`, `accessDenied`; `keyUnavailable` when the keys of the
    ///   store are governed elsewhere.
    func perform(_ request: KeyRequest) async throws(AdminError) -> KeyAnswer

    /// Answers a call on the objects of a bucket.
    ///
    /// - Throws: what the store says: `bucketUnknown`, `objectUnknown`, `preconditionFailed`,
    ///   `domainMismatch`, `keyInvalid`, `invalidArgument`, `limitExceeded`.
    func perform(_ request: ObjectRequest) async throws(AdminError) -> ObjectAnswer

    /// Answers a call on quotas, usage and bills.
    ///
    /// - Throws: what the store says: `bucketUnknown`, `invalidArgument`.
    func perform(_ request: UsageRequest) async throws(AdminError) -> UsageAnswer

    /// Writes one object. Durable on return; after an error nothing is kept.
    ///
    /// - Parameter source: called for one buffer after the other until it answers 0.
    /// - Throws: as ``perform(_:)-(ObjectRequest)``, `blobUnknown` (a reference), `digestInvalid`,
    ///   `sourceFailed` (its cause is what `source` threw).
    func putObject(
        _ put: ObjectPut, from source: @escaping AdminByteSource
    ) async throws(AdminError) -> ObjectInfo

    /// Figures about the whole store.
    func statistics() async throws(AdminError) -> StatisticsInfo

    /// Frees what nothing needs and gives dead bytes back to the disk, while the store is in use.
    ///
    /// - Parameter isPreview: only tells what a sweep would free.
    func sweep(isPreview: Bool) async throws(AdminError) -> SweepInfo

    /// What keeps a blob alive, in all buckets.
    func keepers(of digest: Digest) async throws(AdminError) -> KeepersInfo

    /// Reads all stored records again, while the store is in use, and names the blobs that are
    /// known to be damaged.
    func scrub() async throws(AdminError) -> ScrubInfo

    /// Writes a consistent copy of the store while it is in use. Durable on return.
    ///
    /// - Parameters:
    ///   - path: an absolute path of a directory that is empty or not there yet.
    ///   - includesKeyFile: whether the copy can be opened without a key from elsewhere.
    /// - Throws: `invalidArgument` (the directory is not empty).
    func backUp(to path: String, includesKeyFile: Bool) async throws(AdminError) -> BackupInfo

    /// Verifies the store while it is in use.
    ///
    /// - Parameters:
    ///   - depth: the structure only, or every stored byte too.
    ///   - progress: called now and then, never concurrently.
    func verify(
        _ depth: VerifyDepthInfo, progress: @escaping @Sendable (VerifyProgressInfo) -> Void
    ) async throws(AdminError) -> VerifyInfo

    /// Ends the access: closes the store that ``LocalAccess`` owns, or the connections of
    /// ``AdminClient``. Call it once, last.
    func close() async throws(AdminError)
}

/// Fills the start of `buffer` and answers how many bytes it wrote; 0 is the end.
///
/// `buffer.count` is the most that is wanted and is never 0. The count must not change.
public typealias AdminByteSource = @Sendable (_ buffer: inout [UInt8]) async throws -> Int

/// Takes one buffer of a blob's bytes, in order. A buffer holds 1 byte to 1 MiB.
public typealias AdminByteSink = @Sendable (_ buffer: [UInt8]) async throws -> Void

extension AdminAccess {
    /// Creates an empty bucket under the store's own key. Durable on return.
    ///
    /// See ``createBucket(_:key:deduplication:)``.
    public func createBucket(_ name: String) async throws(AdminError) -> BucketInfo {
        try await createBucket(name, key: nil, deduplication: nil)
    }

    /// Stores one blob. Durable on return; after an error nothing is kept.
    ///
    /// See ``put(into:expecting:expectedByteCount:from:duplicates:)``.
    public func put(
        into bucket: String, expecting: Digest?, expectedByteCount: UInt64?,
        from source: @escaping AdminByteSource
    ) async throws(AdminError) -> BlobInfo {
        try await put(
            into: bucket, expecting: expecting, expectedByteCount: expectedByteCount,
            from: source, duplicates: nil)
    }
}
