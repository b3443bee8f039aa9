// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import Synchronization

/// The keys of a bucket at hand: what sealing and opening need.
struct BucketKeys: Sendable {
    /// The slot of the current data key, written into the header of every record it seals.
    let accountID: AccountID
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

    /// What a key must be for. A slot is only a number: whoever could exchange rows of the key
    /// table would else have data sealed under another's key.
    struct Purpose: Hashable, Sendable {
        var kind: KeyRow.Kind
        var ownerID: Octets16
    }

    private enum Opened {
        case secret(SecretBytes)
        case domain(DomainKeys)
    }

    private struct Entry {
        var opened: Opened
        var purpose: Purpose
        var expiresAt: Timestamp

        /// A clock that is set back does not keep a key open longer.
        func isValid(at now: Timestamp) -> Bool {
            expiresAt > now && expiresAt <= now + KeyTable.lifetime
        }
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
    func keys(of row: BucketRow, _ bucket: BucketID) async throws(StoreError) -> BucketKeys {
        let indexKey = try await secret(
            row.indexKeySlot, for: Purpose(kind: .bucketIndex, ownerID: bucket.octets))
        return BucketKeys(
            accountID: row.accountID, dataKeySlot: row.dataKeySlot,
            dataKey: try await secret(
                row.dataKeySlot, for: Purpose(kind: .bucketData, ownerID: bucket.octets)),
            names: indexKey.withSpan { HMACSHA256(key: $0) },
            domainSlot: row.domainSlot,
            domain: try await domain(row.domainSlot, of: row.accountID))
    }

    /// Opens the key of one slot, which must be made for this purpose.
    func secret(_ slot: UInt32, for purpose: Purpose) async throws(StoreError) -> SecretBytes {
        if case .secret(let secret)? = cached(slot, purpose) { return secret }
        let secret = try await unwrap(slot, purpose)
        remember(.secret(secret), purpose, in: slot)
        return secret
    }

    /// Opens the keys of a deduplication domain, which must be the account's.
    func domain(_ slot: UInt32, of account: AccountID) async throws(StoreError) -> DomainKeys {
        let purpose = Purpose(kind: .domain, ownerID: account.octets)
        if case .domain(let domain)? = cached(slot, purpose) { return domain }
        let secret = try await unwrap(slot, purpose)
        let domain = try lower(
            "deriving the keys of a domain",
            core: { () throws(CoreError) in
                try DomainKeys(domainSecret: secret, storeID: storeID, domainID: account.octets)
            })
        remember(.domain(domain), purpose, in: slot)
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

    private func unwrap(
        _ slot: UInt32, _ purpose: Purpose
    ) async throws(StoreError) -> SecretBytes {
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
        guard Purpose(kind: row.kind, ownerID: row.ownerID) == purpose else {
            throw StoreError(.corrupted, "the key in slot \(slot) is another's")
        }
        return try await unwrap(row)
    }

    private func cached(_ slot: UInt32, _ purpose: Purpose) -> Opened? {
        let now = clock.now()
        return cache.withLock { cache in
            guard let entry = cache[slot], entry.purpose == purpose else { return nil }
            guard entry.isValid(at: now) else {
                cache[slot] = nil
                return nil
            }
            return entry.opened
        }
    }

    private func remember(_ opened: Opened, _ purpose: Purpose, in slot: UInt32) {
        let now = clock.now()
        cache.withLock { cache in
            // Nobody may ask for an expired one again: it would stay for ever.
            cache = cache.filter { $0.value.isValid(at: now) }
            // Rare and harmless: every key can be opened again.
            if cache.count >= Self.cachedCountMax { cache.removeAll() }
            cache[slot] = Entry(
                opened: opened, purpose: purpose, expiresAt: now + Self.lifetime)
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
