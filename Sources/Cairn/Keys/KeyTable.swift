// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import Synchronization

/// The keys of a bucket at hand: what sealing and opening need.
struct BucketKeys: Sendable {
    /// The slot of the current data key, written into the header of every record it seals.
    let dataKeySlot: UInt32
    let dataKey: SecretBytes
    /// Names digests and object keys in the index.
    let names: HMACSHA256
    let domainSlot: UInt32
    let domain: DomainKeys

    func linkName(of digest: Digest) -> LinkName {
        let algorithm: [UInt8] = [digest.algorithm.rawValue]
        return LinkName(octets: names.authenticate(algorithm.span, digest.bytes.span))
    }

    /// Binds a sealed object to its key. No digest algorithm has the number 0, so that the name
    /// of an object never equals that of a link.
    func objectName(of key: String) -> Octets32 {
        let kind: [UInt8] = [0]
        return names.authenticate(kind.span, Array(key.utf8).span)
    }
}

/// Wrapped keys by slot, and the opened ones for a bounded time.
///
/// A slot is a number that records carry in their header; the key table maps it to a wrapped
/// key. Plaintext keys are cached for ``lifetime`` and wiped when the last user lets go of them.
/// Thread-safe.
final class KeyTable: Sendable {
    /// How long a key stays open after the provider gave it: the bound within which a disabled
    /// customer key takes effect.
    static let lifetime = Duration.seconds(300)
    /// Bounds the cache: a secret takes a locked page of its own, 16 MiB in all.
    static let cachedCountMax = 4096

    private enum Opened {
        case secret(SecretBytes)
        case domain(DomainKeys)
    }

    private struct Entry {
        var opened: Opened
        var expiresAt: Timestamp
    }

    let storeID: Octets16
    private let provider: any KeyProvider
    private let index: any Index
    private let pool: WorkerPool
    private let clock: any StoreClock
    private let cache = Mutex<[UInt32: Entry]>([:])

    init(
        storeID: Octets16, provider: any KeyProvider, index: any Index, pool: WorkerPool,
        clock: any StoreClock
    ) {
        self.storeID = storeID
        self.provider = provider
        self.index = index
        self.pool = pool
        self.clock = clock
    }

    /// Opens the keys that a bucket works with.
    func keys(of bucket: BucketRow) async throws(StoreError) -> BucketKeys {
        let indexKey = try await secret(bucket.indexKeySlot)
        return BucketKeys(
            dataKeySlot: bucket.dataKeySlot,
            dataKey: try await secret(bucket.dataKeySlot),
            names: indexKey.withSpan { HMACSHA256(key: $0) },
            domainSlot: bucket.domainSlot,
            domain: try await domain(bucket.domainSlot))
    }

    /// Opens the key of one slot.
    func secret(_ slot: UInt32) async throws(StoreError) -> SecretBytes {
        if case .secret(let secret)? = cached(slot) { return secret }
        let (secret, _) = try await unwrap(slot)
        remember(.secret(secret), in: slot)
        return secret
    }

    /// Opens the keys of a deduplication domain.
    func domain(_ slot: UInt32) async throws(StoreError) -> DomainKeys {
        if case .domain(let domain)? = cached(slot) { return domain }
        let (secret, row) = try await unwrap(slot)
        let domain = try lower(
            "deriving the keys of a domain",
            core: { () throws(CoreError) in
                try DomainKeys(domainSecret: secret, storeID: storeID, domainID: row.ownerID)
            })
        remember(.domain(domain), in: slot)
        return domain
    }

    /// Makes a new key and its row; the caller stores the row under a slot of its choice.
    func generate(
        _ kind: KeyRow.Kind, owner: Octets16, generation: UInt32 = 1
    ) async throws(StoreError) -> KeyRow {
        do throws(KeyError) {
            let context = try context(kind, owner: owner, generation: generation)
            let key = try await provider.generateDataKey(under: .default, context: context)
            return KeyRow(
                kind: kind, ownerID: owner, generation: generation, wrapped: key.wrapped)
        } catch {
            throw StoreError(error, while: "generating a data key")
        }
    }

    /// Opens a key from its row alone.
    func unwrap(_ row: KeyRow) async throws(StoreError) -> SecretBytes {
        do throws(KeyError) {
            let context = try context(row.kind, owner: row.ownerID, generation: row.generation)
            return try await provider.decryptDataKey(row.wrapped, context: context)
        } catch {
            throw StoreError(error, while: "opening a data key")
        }
    }

    /// Wipes keys of the cache whose rows are gone.
    func forget(_ slots: [UInt32]) {
        cache.withLock { cache in for slot in slots { cache[slot] = nil } }
    }

    // MARK: -

    private func unwrap(_ slot: UInt32) async throws(StoreError) -> (SecretBytes, KeyRow) {
        let row = try await pool.run { [index] (_) throws(StoreError) -> KeyRow in
            let bytes = try lower(
                "reading a key",
                index: { () throws(IndexError) in
                    try index.get(Tables.keys, RowKey.keySlot(slot))
                })
            guard let bytes else {
                throw StoreError(.corrupted, "the key table has no slot \(slot)")
            }
            return try lower(
                "reading a key",
                core: { () throws(CoreError) in
                    try KeyRow(decoding: bytes)
                })
        }
        return (try await unwrap(row), row)
    }

    private func cached(_ slot: UInt32) -> Opened? {
        let now = clock.now()
        return cache.withLock { cache in
            guard let entry = cache[slot], entry.expiresAt > now else {
                cache[slot] = nil
                return nil
            }
            return entry.opened
        }
    }

    private func remember(_ opened: Opened, in slot: UInt32) {
        let expiresAt = clock.now() + Self.lifetime
        cache.withLock { cache in
            // Rare and harmless: every key can be opened again.
            if cache.count >= Self.cachedCountMax { cache.removeAll() }
            cache[slot] = Entry(opened: opened, expiresAt: expiresAt)
        }
    }

    private func context(
        _ kind: KeyRow.Kind, owner: Octets16, generation: UInt32
    ) throws(KeyError) -> EncryptionContext {
        try EncryptionContext([
            "cairn:store": UUIDText.format(storeID),
            "cairn:purpose": kind.purpose,
            "cairn:owner": UUIDText.format(owner),
            "cairn:generation": String(generation),
        ])
    }
}

extension KeyRow.Kind {
    // Bound to the wrapped key by the provider: never rename.
    fileprivate var purpose: String {
        switch self {
        case .store: "store"
        case .domain: "deduplication"
        case .bucketData: "bucket-data"
        case .bucketIndex: "bucket-index"
        }
    }
}
