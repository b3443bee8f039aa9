// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import Synchronization

/// Wrapped keys by slot, and the opened ones for a bounded time.
///
/// A slot is a number that records carry in their header; the key table maps it to a wrapped
/// key. Plaintext keys are cached for a bounded time and wiped when the last user lets go of them.
/// Thread-safe.
final class KeyTable: Sendable {
    /// Bounds the cache: a secret takes a locked page of its own, 16 MiB in all.
    static let cachedCountMax = 4096

    /// What a key must be for. A slot is only a number: whoever could exchange rows of the key
    /// table would else have data sealed under another's key.
    struct Purpose: Hashable, Sendable {
        var kind: KeyRow.Kind
        var ownerID: Octets16
        /// Nil where an older key than expected could open nothing and is not used to seal.
        var generation: UInt32?

        init(kind: KeyRow.Kind, ownerID: Octets16, generation: UInt32? = nil) {
            self.kind = kind
            self.ownerID = ownerID
            self.generation = generation
        }

        fileprivate init(_ row: KeyRow) {
            self.init(kind: row.kind, ownerID: row.ownerID, generation: row.generation)
        }

        fileprivate func isMet(by other: Purpose) -> Bool {
            kind == other.kind && ownerID == other.ownerID
                && (generation == nil || generation == other.generation)
        }
    }

    private enum Opened {
        case secret(SecretBytes)
        case domain(DomainKeys)
    }

    private struct Entry {
        var opened: Opened
        var purpose: Purpose
        var expiresAt: Timestamp

        /// A clock that is set back by more than the lifetime does not keep a key open.
        func isValid(at now: Timestamp, _ lifetime: Duration) -> Bool {
            expiresAt > now && expiresAt <= now + lifetime
        }
    }

    private struct Cache {
        var entries: [UInt32: Entry] = [:]
        /// Grows when everything is forgotten: what was asked for before is not remembered after.
        var epoch: UInt64 = 0
        /// Slots that somebody is opening, and who waits for that.
        var waiters: [UInt32: [Waiter]] = [:]
    }

    /// Gets nil when the key may be at hand now, or the error of who tried.
    private typealias Waiter = CheckedContinuation<StoreError?, Never>

    let storeID: Octets16
    private let provider: any KeyProvider
    private let index: any Index
    private let pool: WorkerPool
    private let clock: any StoreClock
    /// How long a key stays open after the provider gave it: the bound within which a customer
    /// key that was disabled elsewhere takes effect.
    private let lifetime: Duration
    private let metrics: StoreMetrics
    private let cache = Mutex(Cache())

    init(
        storeID: Octets16, provider: any KeyProvider, index: any Index, pool: WorkerPool,
        clock: any StoreClock, lifetime: Duration
    ) {
        self.storeID = storeID
        self.provider = provider
        self.index = index
        self.pool = pool
        metrics = pool.metrics
        self.clock = clock
        self.lifetime = lifetime
    }

    /// Opens the keys that a bucket works with.
    func keys(of row: BucketRow, _ bucket: BucketID) async throws(StoreError) -> BucketKeys {
        let indexKey = try await secret(row.indexKeySlot, .bucketIndex, of: bucket)
        return BucketKeys(
            bucketID: bucket, dataKeySlot: row.dataKeySlot,
            dataKey: try await secret(
                row.dataKeySlot, .bucketData, of: bucket, generation: row.generation),
            names: indexKey.withSpan { HMACSHA256(key: $0) },
            domain: try await open(row.domain, of: bucket),
            domains: row.formerDomains + [row.domain])
    }

    /// Opens a data key of a bucket, of whatever generation.
    func dataKey(_ slot: UInt32, of bucket: BucketID) async throws(StoreError) -> SecretBytes {
        try await secret(slot, .bucketData, of: bucket)
    }

    /// Fails when the customer key may not be used any more; for those who keep the keys of a
    /// bucket for long.
    func confirm(_ keys: BucketKeys) async throws(StoreError) {
        _ = try await dataKey(keys.dataKeySlot, of: keys.bucketID)
    }

    /// As ``confirm(_:)``, on a thread of the caller that may block.
    func confirmBlocking(_ keys: BucketKeys) throws(StoreError) {
        let purpose = Purpose(kind: .bucketData, ownerID: keys.bucketID.octets)
        if cached(keys.dataKeySlot, purpose) != nil { return }
        let outcome = Monitor<Result<Void, StoreError>?>(nil)
        Task {
            let result: Result<Void, StoreError>
            do throws(StoreError) {
                result = .success(try await confirm(keys))
            } catch {
                result = .failure(error)
            }
            outcome.update { $0 = result }
        }
        try outcome.wait { $0 }.get()
    }

    private func secret(
        _ slot: UInt32, _ kind: KeyRow.Kind, of bucket: BucketID, generation: UInt32? = nil
    ) async throws(StoreError) -> SecretBytes {
        do throws(StoreError) {
            return try await secret(
                slot,
                for: Purpose(kind: kind, ownerID: bucket.octets, generation: generation))
        } catch {
            // Its keys go with a bucket: a handle that is left over is no damage.
            guard error.code == .corrupted, try await !exists(bucket) else { throw error }
            throw StoreError(.bucketUnknown, "the bucket was deleted")
        }
    }

    private func exists(_ bucket: BucketID) async throws(StoreError) -> Bool {
        try await pool.run { [index] (_) throws(StoreError) in
            try lower(
                "looking for a bucket",
                index: { () throws(IndexError) in
                    try index.get(Tables.buckets, bucket.octets.bytes) != nil
                })
        }
    }

    /// Opens the key of one slot, which must be made for this purpose.
    func secret(_ slot: UInt32, for purpose: Purpose) async throws(StoreError) -> SecretBytes {
        let opened = try await opened(slot, for: purpose) { .secret($0) }
        guard case .secret(let secret) = opened else { throw Self.otherKind(slot) }
        return secret
    }

    /// Opens the domain of a blob, as its bucket reaches it.
    func domain(_ slot: UInt32, for keys: BucketKeys) async throws(StoreError) -> OpenDomain {
        if slot == keys.domain.slot { return keys.domain }
        guard let domain = keys.domain(slot: slot) else {
            throw StoreError(.corrupted, "a blob lies in a domain that its bucket never had")
        }
        return try await open(domain, of: keys.bucketID)
    }

    private func open(
        _ reference: DomainReference, of bucket: BucketID
    ) async throws(StoreError) -> OpenDomain {
        let slot = reference.copySlot ?? reference.slot
        let purpose =
            reference.copySlot == nil
            ? Purpose(kind: .domain, ownerID: reference.id)
            : Purpose(
                kind: .domainCopy, ownerID: bucket.octets, generation: reference.slot)
        let opened = try await opened(slot, for: purpose) { (secret) throws(StoreError) in
            .domain(
                try lower(
                    "deriving the keys of a domain",
                    core: { () throws(CoreError) in
                        try DomainKeys(
                            domainSecret: secret, storeID: storeID, domainID: reference.id)
                    }))
        }
        guard case .domain(let keys) = opened else { throw Self.otherKind(slot) }
        return OpenDomain(slot: reference.slot, keys: keys)
    }

    private static func otherKind(_ slot: UInt32) -> StoreError {
        StoreError(.corrupted, "the key in slot \(slot) is of another kind")
    }

    // From the cache, or by one call of the provider however many ask at once.
    private func opened(
        _ slot: UInt32, for purpose: Purpose,
        _ make: (SecretBytes) throws(StoreError) -> Opened
    ) async throws(StoreError) -> Opened {
        while true {
            if let opened = cached(slot, purpose) { return opened }
            guard beginOpening(slot) else {
                if let error = await waited(for: slot) { throw error }
                continue
            }
            let result: Result<Opened, StoreError>
            do throws(StoreError) {
                // Another may have opened it since the first look.
                if let opened = cached(slot, purpose) {
                    result = .success(opened)
                } else {
                    result = .success(try await open(slot, purpose, make))
                }
            } catch {
                result = .failure(error)
            }
            resume(slot, result)
            return try result.get()
        }
    }

    private func open(
        _ slot: UInt32, _ purpose: Purpose,
        _ make: (SecretBytes) throws(StoreError) -> Opened
    ) async throws(StoreError) -> Opened {
        metrics.countKeyCacheMiss()
        let epoch = epoch
        let row = try await row(slot, for: purpose)
        let opened = try make(await unwrap(row))
        remember(opened, Purpose(row), in: slot, since: epoch)
        return opened
    }

    // False when another is at it.
    private func beginOpening(_ slot: UInt32) -> Bool {
        cache.withLock { cache in
            guard cache.waiters[slot] == nil else { return false }
            cache.waiters[slot] = []
            return true
        }
    }

    private func waited(for slot: UInt32) async -> StoreError? {
        await withCheckedContinuation { (waiter: Waiter) in
            let isOver = cache.withLock { cache in
                guard cache.waiters[slot] != nil else { return true }
                cache.waiters[slot]?.append(waiter)
                return false
            }
            if isOver { waiter.resume(returning: nil) }
        }
    }

    private func resume(_ slot: UInt32, _ result: Result<Opened, StoreError>) {
        let waiters = cache.withLock { $0.waiters.removeValue(forKey: slot) }
        let error: StoreError? = if case .failure(let error) = result { error } else { nil }
        for waiter in waiters ?? [] { waiter.resume(returning: error) }
    }

    // MARK: - Wrapping

    /// Makes a new key and its row; the caller stores the row under a slot of its choice.
    ///
    /// - Parameter customerKey: wraps the new key; nil is the store's default key.
    func generate(
        _ kind: KeyRow.Kind, owner: Octets16, generation: UInt32 = 1,
        under customerKey: KeyID? = nil
    ) async throws(StoreError) -> KeyRow {
        do throws(KeyError) {
            let context = try context(kind, owner: owner, generation: generation)
            let key = try await provider.generateDataKey(
                under: Self.reference(customerKey), context: context)
            return KeyRow(
                kind: kind, ownerID: owner, generation: generation, wrapped: key.wrapped)
        } catch {
            throw counted(error, while: "generating a data key")
        }
    }

    /// Wraps a key anew, under the newest material of a customer key.
    ///
    /// - Parameter copy: what the new row is for, if not for the same as the old one.
    func rewrap(
        _ row: KeyRow, under customerKey: KeyID?, as copy: KeyRow? = nil
    ) async throws(StoreError) -> KeyRow {
        var result = copy ?? row
        do throws(KeyError) {
            result.wrapped = try await provider.reEncrypt(
                row.wrapped, context: context(of: row), to: Self.reference(customerKey),
                newContext: context(of: result))
        } catch {
            throw counted(error, while: "wrapping a data key anew")
        }
        return result
    }

    /// Whether a key is wrapped with the newest material of its customer key.
    func isCurrent(_ row: KeyRow, under customerKey: KeyID?) async throws(StoreError) -> Bool {
        do throws(KeyError) {
            return try await provider.isCurrent(row.wrapped, under: Self.reference(customerKey))
        } catch {
            throw counted(error, while: "looking at a wrapped key")
        }
    }

    /// Opens a key from its row alone.
    func unwrap(_ row: KeyRow) async throws(StoreError) -> SecretBytes {
        do throws(KeyError) {
            return try await provider.decryptDataKey(row.wrapped, context: context(of: row))
        } catch {
            throw counted(error, while: "opening a data key")
        }
    }

    /// The customer key that a caller means; nil for the store's default key. It can be used now.
    func customerKey(_ encryption: BucketEncryption) async throws(StoreError) -> KeyID? {
        guard case .customerKey(let reference) = encryption else { return nil }
        do throws(KeyError) {
            let key = try await provider.describeKey(reference)
            guard key.state.isUsable else {
                throw KeyError(.keyDisabled, "key \(key.id) is \(key.state)")
            }
            // Whoever names the default key means what everybody else has who named none.
            return key.aliases.contains(KeyReference.defaultAlias) ? nil : key.id
        } catch {
            throw counted(error, while: "looking up a customer key")
        }
    }

    /// The row of a slot, which must be for this purpose.
    func row(_ slot: UInt32, for purpose: Purpose) async throws(StoreError) -> KeyRow {
        let row = try await row(slot)
        guard purpose.isMet(by: Purpose(row)) else {
            throw StoreError(.corrupted, "the key in slot \(slot) is another's, or an older one")
        }
        return row
    }

    func row(_ slot: UInt32) async throws(StoreError) -> KeyRow {
        // A result, not an error of the job: the caller knows whether the bucket was deleted.
        let result = await pool.run { [index] _ in
            Result { () throws(StoreError) in
                try Self.row(slot, in: index)
            }
        }
        return try result.get()
    }

    /// The row of a slot. Blocking.
    static func row(
        _ slot: UInt32, in index: any IndexReader
    ) throws(StoreError) -> KeyRow {
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

    // MARK: - Forgetting

    /// Wipes keys of the cache whose rows are gone.
    func forget(_ slots: [UInt32]) {
        cache.withLock { cache in
            for slot in slots { cache.entries[slot] = nil }
            // Whoever is opening one of them does not remember it.
            cache.epoch += 1
        }
    }

    /// Wipes all keys of the cache: the next use of each asks the provider.
    func forgetAll() {
        cache.withLock { cache in
            cache.entries.removeAll()
            cache.epoch += 1
        }
    }

    // MARK: -

    /// How many keys are open in memory.
    var cachedCount: Int { cache.withLock { $0.entries.count } }

    private var epoch: UInt64 { cache.withLock { $0.epoch } }

    private func cached(_ slot: UInt32, _ purpose: Purpose) -> Opened? {
        let now = clock.now()
        return cache.withLock { cache in
            guard let entry = cache.entries[slot], purpose.isMet(by: entry.purpose) else {
                return nil
            }
            guard entry.isValid(at: now, lifetime) else {
                cache.entries[slot] = nil
                return nil
            }
            metrics.countKeyCacheHit()
            return entry.opened
        }
    }

    private func remember(
        _ opened: Opened, _ purpose: Purpose, in slot: UInt32, since epoch: UInt64
    ) {
        let now = clock.now()
        cache.withLock { cache in
            guard cache.epoch == epoch else { return }
            // Nobody may ask for an expired one again: it would stay for ever.
            cache.entries = cache.entries.filter { $0.value.isValid(at: now, lifetime) }
            // Rare and harmless: every key can be opened again.
            if cache.entries.count >= Self.cachedCountMax { cache.entries.removeAll() }
            cache.entries[slot] = Entry(
                opened: opened, purpose: purpose, expiresAt: now + lifetime)
        }
    }

    private func counted(_ error: KeyError, while doing: String) -> StoreError {
        let error = StoreError(error, while: doing)
        metrics.count(error)
        return error
    }

    private static func reference(_ customerKey: KeyID?) -> KeyReference {
        customerKey.map(KeyReference.init) ?? .default
    }

    private func context(of row: KeyRow) throws(KeyError) -> EncryptionContext {
        try context(row.kind, owner: row.ownerID, generation: row.generation)
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
        case .domainCopy: "deduplication-copy"
        }
    }
}
