// Part of Cairn, a content-addressed blob store.
public import Cairn
public import CairnCore
internal import CairnKeys
internal import Glibc

/// Administrates a store that this process has opened.
///
/// Safe to share between tasks, as the store is.
public struct LocalAccess: AdminAccess {
    /// Buffers that a source fills, 256 KiB: large enough that the calls cost nothing.
    static let sourceBufferByteCount = 256 * 1024
    /// The longest page of buckets or blobs.
    static let pageCountMax = 1000

    let store: Store
    private let ownsStore: Bool
    private let isServer: Bool

    /// Makes an access to an open store.
    ///
    /// - Parameter ownsStore: whether ``close()`` closes the store.
    public init(_ store: Store, ownsStore: Bool = true) {
        self.init(store, ownsStore: ownsStore, isServer: false)
    }

    init(_ store: Store, ownsStore: Bool, isServer: Bool) {
        self.store = store
        self.ownsStore = ownsStore
        self.isServer = isServer
    }

    /// Describes this process.
    public func information() async throws(AdminError) -> ServerInfo {
        ServerInfo(
            version: CairnVersion.current, processID: getpid(), storeID: store.id,
            isServer: isServer)
    }

    /// Closes the store, if this access owns it.
    public func close() async throws(AdminError) {
        guard ownsStore else { return }
        do throws(StoreError) { try await store.close() } catch { throw AdminError(error) }
    }

    // MARK: Buckets

    /// Lists buckets in the order of their names.
    public func buckets(
        after: String?, limit: Int
    ) async throws(AdminError) -> [BucketInfo] {
        let limit = try Self.checked(limit)
        do throws(StoreError) {
            let page = try await store.defaultAccount.buckets(after: after, limit: limit)
            return page.map { BucketInfo($0) }
        } catch {
            throw AdminError(error)
        }
    }

    /// Creates an empty bucket.
    public func createBucket(
        _ name: String, key: String?, deduplication: String?
    ) async throws(AdminError) -> BucketInfo {
        do throws(StoreError) {
            let bucket = try await store.defaultAccount.createBucket(
                name, configuration: BucketConfiguration(key: key, deduplication: deduplication))
            return BucketInfo(try await bucket.describe())
        } catch {
            throw AdminError(error)
        }
    }

    /// Describes one bucket.
    public func bucket(_ name: String) async throws(AdminError) -> BucketInfo {
        do throws(StoreError) {
            return BucketInfo(try await store.defaultAccount.bucket(name).describe())
        } catch {
            throw AdminError(error)
        }
    }

    /// Deletes a bucket.
    public func deleteBucket(_ name: String, withContents: Bool) async throws(AdminError) {
        do throws(StoreError) {
            try await store.defaultAccount.deleteBucket(
                name, contents: withContents ? .delete : .mustBeEmpty)
        } catch {
            throw AdminError(error)
        }
    }

    // MARK: Blobs

    /// Lists the blobs of a bucket.
    public func blobs(
        in bucket: String, after: String?, limit: Int
    ) async throws(AdminError) -> BlobListing {
        let limit = try Self.checked(limit)
        var cursor: BlobCursor?
        if let after {
            guard let parsed = BlobCursor(after) else {
                throw AdminError(.invalidArgument, "The cursor is not one that a listing gave.")
            }
            cursor = parsed
        }
        do throws(StoreError) {
            let bucket = try await store.defaultAccount.bucket(bucket)
            let page = try await bucket.blobs(after: cursor, limit: limit)
            return BlobListing(
                blobs: page.blobs.map { BlobInfo($0) }, next: page.next?.description)
        } catch {
            throw AdminError(error)
        }
    }

    /// Describes one blob.
    public func stat(
        _ digest: Digest, in bucket: String
    ) async throws(AdminError) -> BlobInfo {
        do throws(StoreError) {
            return BlobInfo(try await store.defaultAccount.bucket(bucket).stat(digest))
        } catch {
            throw AdminError(error)
        }
    }

    /// Deletes a blob from one bucket.
    public func deleteBlob(_ digest: Digest, in bucket: String) async throws(AdminError) {
        do throws(StoreError) {
            try await store.defaultAccount.bucket(bucket).deleteBlob(digest)
        } catch {
            throw AdminError(error)
        }
    }

    /// Makes a blob of one bucket a blob of another.
    public func mountBlob(
        _ digest: Digest, from source: String, into bucket: String
    ) async throws(AdminError) -> BlobInfo {
        do throws(StoreError) {
            let source = try await store.defaultAccount.bucket(source)
            let bucket = try await store.defaultAccount.bucket(bucket)
            return BlobInfo(try await bucket.mountBlob(digest, from: source))
        } catch {
            throw AdminError(error)
        }
    }

    /// Stores one blob.
    public func put(
        into bucket: String, expecting: Digest?, expectedByteCount: UInt64?,
        from source: @escaping AdminByteSource, duplicates: (@Sendable (UInt64) -> Void)?
    ) async throws(AdminError) -> BlobInfo {
        try await upload(
            into: bucket, algorithm: expecting?.algorithm ?? .sha256,
            expectedByteCount: expectedByteCount, from: source, duplicates: duplicates
        ) { (session) throws(StoreError) in
            BlobInfo(try await session.commit(expecting: expecting))
        }
    }

    /// Sends the bytes of a source through an upload session.
    func upload<Value: Sendable>(
        into bucket: String, algorithm: Digest.Algorithm = .sha256,
        expectedByteCount: UInt64? = nil, from source: @escaping AdminByteSource,
        duplicates: (@Sendable (UInt64) -> Void)? = nil,
        finish: (UploadSession) async throws(StoreError) -> Value
    ) async throws(AdminError) -> Value {
        let session: UploadSession
        do throws(StoreError) {
            let bucket = try await store.defaultAccount.bucket(bucket)
            session = try await bucket.beginUpload(
                algorithm: algorithm, expectedByteCount: expectedByteCount)
        } catch {
            throw AdminError(error)
        }
        do throws(AdminError) {
            try await Self.append(source, to: session, duplicates)
            do throws(StoreError) { return try await finish(session) } catch {
                throw AdminError(error)
            }
        } catch {
            // The first error is the one to report; a session that is left expires by itself.
            do { try await session.cancel() } catch {}
            throw error
        }
    }

    /// Reads a blob or a part of it, in order.
    public func get(
        _ digest: Digest, in bucket: String, range: Range<UInt64>?,
        into sink: @escaping AdminByteSink
    ) async throws(AdminError) -> BlobInfo {
        let opening = try await open(digest, in: bucket, range: range)
        var iterator = opening.blob.bytes(in: opening.range).makeAsyncIterator()
        while let buffer = try await Self.next(&iterator) {
            do { try await sink(buffer) } catch {
                throw AdminError(.sinkFailed, "The reader's sink failed.", cause: error)
            }
        }
        return BlobInfo(opening.blob.description)
    }

    // MARK: The store

    /// Figures about the whole store.
    public func statistics() async throws(AdminError) -> StatisticsInfo {
        do throws(StoreError) {
            return StatisticsInfo(try await store.statistics())
        } catch {
            throw AdminError(error)
        }
    }

    /// What keeps a blob alive.
    public func keepers(of digest: Digest) async throws(AdminError) -> KeepersInfo {
        do throws(StoreError) {
            return KeepersInfo(try await store.keepers(of: digest), digest)
        } catch {
            throw AdminError(error)
        }
    }

    /// Reads all stored records again.
    public func scrub() async throws(AdminError) -> ScrubInfo {
        do throws(StoreError) {
            var configuration = ScrubConfiguration()
            configuration.startsOver = true
            let report = try await store.scrub(configuration)
            return ScrubInfo(report, try await store.damagedBlobs())
        } catch {
            throw AdminError(error)
        }
    }

    /// Writes a consistent copy of the store.
    public func backUp(
        to path: String, includesKeyFile: Bool
    ) async throws(AdminError) -> BackupInfo {
        do throws(StoreError) {
            return BackupInfo(
                try await store.backUp(to: path, includesKeyFile: includesKeyFile))
        } catch {
            throw AdminError(error)
        }
    }

    /// Frees what nothing needs, or tells what that would be.
    public func sweep(isPreview: Bool) async throws(AdminError) -> SweepInfo {
        do throws(StoreError) {
            if isPreview { return SweepInfo(try await store.sweepPreview(), CompactionReport()) }
            let swept = try await store.sweep()
            return SweepInfo(swept, try await store.compact())
        } catch {
            throw AdminError(error)
        }
    }

    /// Verifies the store while it is in use.
    public func verify(
        _ depth: VerifyDepthInfo, progress: @escaping @Sendable (VerifyProgressInfo) -> Void
    ) async throws(AdminError) -> VerifyInfo {
        do throws(StoreError) {
            let report = try await store.verify(
                depth == .full ? .full : .structure,
                progress: { progress(VerifyProgressInfo($0)) })
            return VerifyInfo(report)
        } catch {
            throw AdminError(error)
        }
    }

    // MARK: -

    /// A blob opened and the part of it that was asked for, clamped to its end.
    struct Opening: Sendable {
        let blob: Blob
        let range: Range<UInt64>
    }

    func open(
        _ digest: Digest, in bucket: String, range: Range<UInt64>?
    ) async throws(AdminError) -> Opening {
        let blob: Blob
        do throws(StoreError) {
            blob = try await store.defaultAccount.bucket(bucket).openBlob(digest)
        } catch {
            throw AdminError(error)
        }
        let byteCount = blob.description.byteCount
        guard let range else { return Opening(blob: blob, range: 0..<byteCount) }
        guard range.lowerBound <= byteCount else {
            throw AdminError(
                .rangeInvalid,
                "The range starts at \(range.lowerBound) and the blob has \(byteCount) bytes.")
        }
        return Opening(blob: blob, range: range.clamped(to: 0..<byteCount))
    }

    private static func append(
        _ source: AdminByteSource, to session: UploadSession,
        _ duplicates: (@Sendable (UInt64) -> Void)?
    ) async throws(AdminError) {
        var buffer = [UInt8](repeating: 0, count: sourceBufferByteCount)
        while true {
            let count: Int
            do {
                try Task.checkCancellation()
                count = try await source(&buffer)
            } catch {
                throw AdminError(.sourceFailed, "The writer's source failed.", cause: error)
            }
            guard count > 0 else { return }
            guard count <= buffer.count else {
                throw AdminError(.invalidArgument, "The source answered more than it was asked.")
            }
            do throws(StoreError) {
                _ = try await session.append(buffer.span.extracting(first: count), at: nil)
            } catch {
                throw AdminError(error)
            }
            if let duplicates, let byteCount = session.duplicateByteCount { duplicates(byteCount) }
        }
    }

    private static func next(
        _ iterator: inout BlobBytes.AsyncIterator
    ) async throws(AdminError) -> [UInt8]? {
        do throws(StoreError) {
            return try await iterator.next(isolation: #isolation)
        } catch {
            throw AdminError(error)
        }
    }

    static func checked(_ limit: Int) throws(AdminError) -> Int {
        guard limit > 0, limit <= pageCountMax else {
            throw AdminError(.invalidArgument, "The limit must be 1 to \(pageCountMax).")
        }
        return limit
    }
}

// MARK: - From the store's values

extension AdminError {
    init(_ error: StoreError) {
        self.init(Code(name: error.code.description), error.message, cause: error)
    }
}

extension BucketInfo {
    init(_ bucket: BucketDescription) {
        self.init(
            name: bucket.name, id: bucket.id, createdAt: bucket.createdAt.description,
            blobCount: UInt64(bucket.blobCount), logicalByteCount: UInt64(bucket.logicalByteCount),
            objectCount: bucket.objectCount,
            olderVersionCount: bucket.olderVersionCount, customerKey: bucket.encryption.keyText,
            keyGeneration: bucket.keyGeneration, deduplication: bucket.deduplication.name)
    }
}

extension BucketEncryption {
    fileprivate var keyText: String? {
        switch self {
        case .storeManaged: nil
        case .customerKey(let key): key.text
        }
    }
}

extension BlobInfo {
    init(_ blob: BlobDescription) {
        self.init(
            digest: blob.digest.description, byteCount: blob.byteCount,
            createdAt: blob.createdAt.description)
    }
}

extension SweepInfo {
    init(_ sweep: SweepReport, _ compaction: CompactionReport) {
        self.init(
            chunkCount: sweep.chunkCount, byteCount: sweep.byteCount,
            expiredBlobCount: sweep.expiredBlobCount, bucketCount: sweep.bucketCount,
            leasedCount: sweep.leasedCount,
            damagedCount: sweep.damagedCount, segmentCount: compaction.segmentCount,
            freedByteCount: compaction.freedByteCount, movedByteCount: compaction.movedByteCount)
    }
}

extension KeepersInfo {
    init(_ keepers: BlobKeepers, _ digest: Digest) {
        self.init(
            digest: digest.description,
            keepers: keepers.keepers.map { keeper in
                KeeperInfo(
                    account: keeper.account, bucket: keeper.bucket, isPinned: keeper.isPinned,
                    leaseEnd: keeper.leaseEnd?.description, objectCount: keeper.objectCount,
                    objectKeys: keeper.objectKeys,
                    freedByteCount: keeper.freedByteCount)
            }, isBeingRead: keepers.isBeingRead, freedByteCount: keepers.freedByteCount)
    }
}

extension ScrubInfo {
    init(_ report: ScrubReport, _ damaged: [DamagedBlob]) {
        self.init(
            segmentCount: report.segmentCount, byteCount: report.byteCount,
            damagedChunkCount: report.damagedChunkCount,
            unusedDamageCount: report.unusedDamageCount,
            damagedBlobs: damaged.map { blob in
                DamagedBlobInfo(
                    account: blob.account, bucket: blob.bucket, digest: blob.digest.description)
            })
    }
}

extension BackupInfo {
    init(_ report: BackupReport) {
        self.init(
            segmentCount: report.segmentCount, linkedByteCount: report.linkedByteCount,
            copiedByteCount: report.copiedByteCount, includesKeyFile: report.includesKeyFile)
    }
}

extension StatisticsInfo {
    init(_ statistics: StoreStatistics) {
        self.init(
            accountCount: UInt64(statistics.accountCount),
            bucketCount: UInt64(statistics.bucketCount),
            blobCount: UInt64(statistics.blobCount),
            logicalByteCount: UInt64(statistics.logicalByteCount),
            storedByteCount: UInt64(statistics.storedByteCount),
            chunkCount: UInt64(statistics.chunkCount),
            segmentCount: UInt64(statistics.segmentCount),
            indexByteCount: UInt64(statistics.indexByteCount),
            catalogueByteCount: statistics.catalogueByteCount,
            isCatalogueComplete: statistics.isCatalogueComplete,
            openUploadCount: UInt64(statistics.openUploadCount))
    }
}

extension VerifyProgressInfo {
    init(_ progress: VerifyProgress) {
        self.init(
            checkedBlobCount: progress.checkedBlobCount, totalBlobCount: progress.totalBlobCount,
            checkedByteCount: progress.checkedByteCount)
    }
}

extension VerifyInfo {
    init(_ report: VerifyReport) {
        self.init(
            isSound: report.isSound, checkedBlobCount: report.checkedBlobCount,
            checkedByteCount: report.checkedByteCount,
            unusedDamageCount: report.unusedDamageCount,
            problems: report.problems.map { $0.description })
    }
}
