// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import NIOHTTP1

/// One open upload session.
public struct UploadInfo: Codable, Hashable, Sendable {
    /// The session's id, a UUID.
    public var id: String
    /// How many bytes have arrived.
    public var receivedByteCount: UInt64
    /// How many of them survive a crash.
    public var durableByteCount: UInt64
    /// When the session began, RFC 3339.
    public var startedAt: String
    /// When the session ends by itself unless it is used, RFC 3339.
    public var expiresAt: String

    /// Makes a description from its parts.
    public init(
        id: String, receivedByteCount: UInt64, durableByteCount: UInt64, startedAt: String,
        expiresAt: String
    ) {
        self.id = id
        self.receivedByteCount = receivedByteCount
        self.durableByteCount = durableByteCount
        self.startedAt = startedAt
        self.expiresAt = expiresAt
    }
}

extension UploadInfo {
    init(_ upload: UploadDescription) {
        self.init(
            id: upload.id.description, receivedByteCount: upload.receivedByteCount,
            durableByteCount: upload.durableByteCount, startedAt: upload.startedAt.description,
            expiresAt: upload.expiresAt.description)
    }
}

extension LocalAccess {
    /// Lists the open upload sessions of a bucket.
    public func uploads(
        in bucket: String, after: String?, limit: Int
    ) async throws(AdminError) -> [UploadInfo] {
        let limit = try Self.checked(limit)
        var last: UploadID?
        if let after { last = try Self.uploadID(after) }
        do throws(StoreError) {
            let bucket = try await store.defaultAccount.bucket(bucket)
            return try await bucket.uploads(after: last, limit: limit).map { UploadInfo($0) }
        } catch {
            throw AdminError(error)
        }
    }

    /// Ends an upload session and frees its bytes.
    public func cancelUpload(_ id: String, in bucket: String) async throws(AdminError) {
        do throws(StoreError) {
            let bucket = try await store.defaultAccount.bucket(bucket)
            guard let id = UploadID(id) else { throw Self.uploadUnknown }
            try await bucket.cancelUpload(id)
        } catch {
            throw AdminError(error)
        }
    }

    private static var uploadUnknown: StoreError {
        StoreError(.uploadUnknown, "There is no such upload session in the bucket.")
    }

    private static func uploadID(_ text: String) throws(AdminError) -> UploadID {
        guard let id = UploadID(text) else { throw AdminError(uploadUnknown) }
        return id
    }
}

extension AdminClient {
    /// Lists the open upload sessions of a bucket.
    public func uploads(
        in bucket: String, after: String?, limit: Int
    ) async throws(AdminError) -> [UploadInfo] {
        try await ask(
            .GET, .uploads, ["bucket": bucket, "after": after, "limit": String(limit)])
    }

    /// Ends an upload session and frees its bytes.
    public func cancelUpload(_ id: String, in bucket: String) async throws(AdminError) {
        _ = try await answer(.DELETE, .upload, ["bucket": bucket, "upload": id])
    }
}
