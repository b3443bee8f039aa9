// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// The state of an upload session.
public struct UploadDescription: Hashable, Sendable {
    /// The name of the session, for ``Bucket/resumeUpload(_:)``.
    public let id: UploadID
    /// The bytes received: where the next append continues.
    public let receivedByteCount: UInt64
    /// The bytes that survive a crash: where a resumed session continues.
    public let durableByteCount: UInt64
    /// When the session began.
    public let startedAt: Timestamp
    /// When the session is given up, unless it is used before.
    public let expiresAt: Timestamp
}
