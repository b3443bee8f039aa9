// Part of Cairn, a content-addressed blob store.

/// Everything that a deduplication domain derives from its secret: the identity and the keys of
/// its chunks, and where its blobs are cut.
///
/// Whoever shares the secret shares chunks, and nobody else can tell which chunks there are.
/// Immutable, safe to share between threads; the prepared keys are wiped with the last copy.
package struct DomainKeys: Sendable {
    /// The keys as they are used, behind one reference so that there is one moment to wipe them.
    private final class Storage: @unchecked Sendable {
        // Unchecked: variables only for the sake of `deinit`, which runs alone.
        var hasher: SHA256
        var names: HMACSHA256
        var keys: HMACSHA256
        let chunkerKey: ChunkerKey

        init(_ derived: Span<UInt8>) {
            hasher = SHA256()
            hasher.update(derived.extracting(0..<64))
            names = HMACSHA256(key: derived.extracting(64..<96))
            keys = HMACSHA256(key: derived.extracting(96..<128))
            chunkerKey = ChunkerKey(derived.extracting(128..<160))
        }

        deinit {
            hasher.wipe()
            names.wipe()
            keys.wipe()
        }
    }

    private let storage: Storage

    /// What the records of the domain's chunks are bound to.
    package let scope: RecordScope

    /// The size of a domain's secret in bytes.
    package static let secretByteCount = 32

    // HKDF-SHA-512(secret: domain secret, salt: storeID[16] ‖ domainID[16], info: label)
    // = prefix[64] ‖ K_id[32] ‖ K_chunk[32] ‖ K_gear[32].          On disk: never change.
    private static let derivationLabel: [UInt8] = Array("cairn domain 1: H, id, chunk, gear".utf8)

    /// Derives the keys of a domain.
    ///
    /// - Throws: ``CoreError`` with code `invalidArgument` unless the secret has 32 bytes.
    package init(
        domainSecret: SecretBytes, storeID: Octets16, domainID: Octets16
    ) throws(CoreError) {
        guard domainSecret.byteCount == Self.secretByteCount else {
            throw CoreError(
                .invalidArgument,
                "a domain's secret has 32 bytes, not \(domainSecret.byteCount)")
        }
        let salt = storeID.bytes + domainID.bytes
        let derived = try SecretBytes(byteCount: 160) { output throws(CoreError) in
            try domainSecret.withSpan { secret throws(CoreError) in
                try hkdfSHA512(
                    secret: secret, salt: salt.span, info: Self.derivationLabel.span,
                    into: &output)
            }
        }
        storage = derived.withSpan { Storage($0) }
        scope = RecordScope(storeID: storeID, ownerID: domainID)
    }

    /// A digest that has seen the domain's secret prefix: H is what it gives after the plaintext
    /// of a chunk.
    ///
    /// The prefix fills one block, so H costs what a plain digest costs, and cannot be told from
    /// a blob's public digest even when the blob is a single chunk.
    package var hasher: SHA256 { storage.hasher }

    /// H of a chunk.
    package func chunkHash(of plaintext: Span<UInt8>) -> ChunkHash {
        var digest = storage.hasher
        digest.update(plaintext)
        return ChunkHash(digest.finalized())
    }

    /// The name of a chunk: HMAC-SHA-256(K_id, H ‖ length:u32).
    package func chunkID(_ hash: ChunkHash, byteCount: UInt32) -> ChunkID {
        ChunkID(Self.authenticate(storage.names, hash, byteCount))
    }

    /// Lets `body` use the key that seals a chunk: HMAC-SHA-256(K_chunk, H ‖ length:u32).
    ///
    /// The key is wiped afterwards.
    package func withChunkKey<Result: ~Copyable, Failure: Error>(
        _ hash: ChunkHash, byteCount: UInt32, _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var key = Self.authenticate(storage.keys, hash, byteCount)
        defer {
            var span = key.mutableSpan
            wipe(&span)
        }
        return try body(key.span)
    }

    /// Where the domain's blobs are cut.
    package var chunkerKey: ChunkerKey { storage.chunkerKey }

    // MARK: -

    private static func authenticate(
        _ code: HMACSHA256, _ hash: ChunkHash, _ byteCount: UInt32
    ) -> Octets32 {
        var length = InlineArray<4, UInt8>(repeating: 0)
        var span = length.mutableSpan
        span.setLittleEndian(byteCount, at: 0)
        return code.authenticate(hash.octets.span, length.span)
    }
}
