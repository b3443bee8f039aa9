// Part of Cairn, a content-addressed blob store.

/// HMAC-SHA-256 (RFC 2104) with a key prepared once.
///
/// Both padded key blocks are digested at creation, so that a short message costs two
/// compressions and no allocation. Holds what the key was turned into: as secret as the key, no
/// description. A plain value, safe to share between threads.
package struct HMACSHA256: Sendable {
    private var inner: SHA256
    private var outer: SHA256

    /// Prepares a key of any length.
    package init(key: Span<UInt8>) {
        var block = InlineArray<64, UInt8>(repeating: 0)
        if key.count <= 64 {
            for index in key.indices { block[index] = key[index] }
        } else {
            // RFC 2104, 2: longer keys are digested first.
            let digest = SHA256.digest(of: key)
            for index in 0..<Octets32.byteCount { block[index] = digest.span[index] }
        }
        inner = Self.state(block, 0x36)
        outer = Self.state(block, 0x5c)
        CairnCore.wipe(&block)
    }

    /// The code of `first` followed by `second`.
    package func authenticate(
        _ first: Span<UInt8>, _ second: Span<UInt8> = Span()
    ) -> Octets32 {
        var digest = inner
        digest.update(first)
        digest.update(second)
        return finish(digest)
    }

    /// A computation to which a message of several pieces is added before ``finish(_:)``.
    package func begin() -> SHA256 { inner }

    /// The code of the message that was added to a computation from ``begin()``.
    package func finish(_ digest: SHA256) -> Octets32 {
        var result = outer
        result.update(digest.finalized().span)
        return result.finalized()
    }

    /// Overwrites the prepared key with zeros, after which it is of no use.
    package mutating func wipe() {
        inner.wipe()
        outer.wipe()
    }

    // MARK: -

    private static func state(_ key: InlineArray<64, UInt8>, _ padding: UInt8) -> SHA256 {
        var block = key
        for index in block.indices { block[index] ^= padding }
        var digest = SHA256()
        digest.update(block.span)
        CairnCore.wipe(&block)
        return digest
    }
}
