// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// How closely ``Store/verify(_:progress:)`` looks.
public enum VerifyDepth: Hashable, Sendable {
    /// Every row, every recipe and every reference count; the bytes of chunks are not read.
    case structure
    /// Every stored byte too, and the digest of every blob.
    case full
}

/// How far a verification came.
public struct VerifyProgress: Hashable, Sendable {
    /// Blobs checked so far.
    public var checkedBlobCount: UInt64 = 0
    /// Blobs to be checked in all; nil while that is not known.
    public var totalBlobCount: UInt64?
    /// Bytes of blobs and segments read so far.
    public var checkedByteCount: UInt64 = 0
}

/// Something that is not as it must be.
public struct VerifyProblem: Hashable, Sendable, CustomStringConvertible {
    /// The bucket that suffers, if one does.
    public let bucket: String?
    /// The blob that suffers, if its digest is known.
    public let digest: Digest?
    /// What is wrong.
    public let message: String

    /// The bucket, the blob and what is wrong, in one line.
    public var description: String {
        let place = [bucket.map { "bucket \($0)" }, digest.map { "blob \($0)" }]
        return (place.compactMap { $0 } + [message]).joined(separator: ": ")
    }
}

/// What a verification found.
public struct VerifyReport: Hashable, Sendable {
    /// The problems named are bounded; ``problemCount`` counts on.
    public static let problemCountMax = 1000

    /// Blobs that were checked.
    public internal(set) var checkedBlobCount: UInt64 = 0
    /// Bytes of blobs and segments that were read.
    public internal(set) var checkedByteCount: UInt64 = 0
    /// Damaged places in segments that no chunk needs: what a power cut tore before it was
    /// acknowledged, or dead bytes. Nothing is lost there.
    public internal(set) var unusedDamageCount: UInt64 = 0
    /// Buckets whose customer key may not be used now, or is destroyed: of their blobs only the
    /// stored bytes and the references were checked.
    public internal(set) var lockedBucketCount: UInt64 = 0
    /// The problems, at most ``problemCountMax``.
    public internal(set) var problems: [VerifyProblem] = []
    /// How many problems there are.
    public internal(set) var problemCount: UInt64 = 0

    /// Whether everything is as it must be.
    public var isSound: Bool { problemCount == 0 }

    mutating func add(_ message: String, bucket: String? = nil, digest: Digest? = nil) {
        problemCount += 1
        guard problems.count < Self.problemCountMax else { return }
        problems.append(VerifyProblem(bucket: bucket, digest: digest, message: message))
    }
}
