// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// What is computed over a stream of bytes as a whole, in one pass.
///
/// A value: a copy is a point in the stream to go on from.
struct StreamDigests: Sendable {
    private(set) var sha256 = SHA256()
    private(set) var sha512: SHA512?

    /// How many bytes were digested.
    var byteCount: UInt64 { sha256.byteCount }
    /// That of the digest.
    var algorithm: Digest.Algorithm { sha512 == nil ? .sha256 : .sha512 }
    /// Of all bytes so far.
    var digest: Digest { sha512?.digest ?? sha256.digest }

    init(_ algorithm: Digest.Algorithm) {
        sha512 = algorithm == .sha512 ? SHA512() : nil
    }

    /// Restores what was computed before.
    init(sha256: SHA256, sha512: SHA512?) {
        self.sha256 = sha256
        self.sha512 = sha512
    }

    mutating func update(_ bytes: Span<UInt8>) {
        sha256.update(bytes)
        sha512?.update(bytes)
    }

    /// Digests more bytes, and all of them for a digest of their own as well, at the cost of one.
    mutating func update(_ bytes: Span<UInt8>, beside other: inout SHA256) {
        SHA256.update(&sha256, &other, with: bytes)
        sha512?.update(bytes)
    }
}

extension SHA256 {
    var digest: Digest {
        // A digest of 32 bytes always makes a SHA-256 digest.
        Digest(sha256: finalized())
    }
}
