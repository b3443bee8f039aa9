// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments
internal import Synchronization

/// The parts of an open store that accounts, buckets, sessions and readers share.
///
/// It is free of public concerns: names, conditions and descriptions live above it. Thread-safe.
final class Engine: Sendable {
    let storeID: Octets16
    let configuration: StoreConfiguration
    let chunker: ChunkerParameters
    let disk: any Disk
    let index: any Index
    let segments: any SegmentStore
    let catalogue: Catalogue
    let segmentByteCount: UInt64
    let keys: KeyTable
    let audit: AuditRecorder
    /// Nil when customer keys are with an external provider.
    let keyring: KeyringHolder?
    /// Seals what the store must read without any customer's key: reference lists, bucket rows.
    let storeKey: SecretBytes
    let metrics: StoreMetrics
    let pool: WorkerPool
    let committer: GroupCommitter
    let clock: any StoreClock
    let random: any RandomSource
    let inFlight = InFlightChunks()
    let liveUploads = LiveUploads()
    let leases = RootLeases()
    let knownSettings = KnownSettings()
    let ledger: UsageLedger
    let traffic: TrafficLedger
    let frontiers = FrontierTasks()
    let placing = EpochGate()
    let segmentPins = SegmentPins()
    private let closed = Atomic(false)
    private let bucketChanges = Atomic<UInt64>(0)

    init(
        storeID: Octets16, configuration: StoreConfiguration, chunker: ChunkerParameters,
        disk: any Disk, index: any Index, segments: any SegmentStore, catalogue: Catalogue,
        segmentByteCount: UInt64, keys: KeyTable, audit: AuditRecorder, keyring: KeyringHolder?,
        storeKey: SecretBytes, pool: WorkerPool, committer: GroupCommitter,
        ledger: UsageLedger, clock: any StoreClock, random: any RandomSource
    ) {
        self.ledger = ledger
        traffic = TrafficLedger(at: ledger.meterClock.now())
        self.storeID = storeID
        self.configuration = configuration
        self.chunker = chunker
        self.disk = disk
        self.index = index
        self.segments = segments
        self.catalogue = catalogue
        self.segmentByteCount = segmentByteCount
        self.keys = keys
        self.audit = audit
        self.keyring = keyring
        self.storeKey = storeKey
        metrics = pool.metrics
        self.pool = pool
        self.committer = committer
        self.clock = clock
        self.random = random
    }

    /// How often keys of buckets were changed: handles of buckets look whether theirs were.
    var bucketChangeCount: UInt64 { bucketChanges.load(ordering: .acquiring) }

    func countBucketChange() { bucketChanges.add(1, ordering: .acquiringAndReleasing) }

    func checkOpen() throws(StoreError) {
        guard !closed.load(ordering: .acquiring) else {
            throw StoreError(.closed, "the store is closed; open it again")
        }
    }

    /// Marks the store closed; false when it was so before.
    func markClosed() -> Bool { !closed.exchange(true, ordering: .acquiringAndReleasing) }

    /// Reads the index on a worker thread.
    func read<R: Sendable>(
        _ doing: String, _ body: @escaping @Sendable (any Index) throws(IndexError) -> R
    ) async throws(StoreError) -> R {
        try checkOpen()
        return try await pool.run { [index] (_) throws(StoreError) -> R in
            try lower(doing, index: { () throws(IndexError) in try body(index) })
        }
    }

    /// Makes the catalogue complete, and its logs short.
    func foldCatalogue() async throws(StoreError) {
        let reserved = configuration.reservedByteCount
        try await pool.run { [catalogue, index] (_) throws(StoreError) in
            try catalogue.fold(index, leaving: reserved)
        }
    }

    /// Runs a transaction; on return its effects are on stable storage.
    func transact<R: Sendable>(
        needsSegments: Bool = false, cause: BucketEvent.Cause = .call,
        _ body: @escaping @Sendable (Transaction) throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        try checkOpen()
        let outcome = Outcome<R>()
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            submit(needsSegments: needsSegments, cause: cause) {
                (transaction) throws(StoreError) in
                outcome.set(try body(transaction))
            } completion: { result in
                continuation.resume(returning: result)
            }
        }
        try result.get()
        guard let value = outcome.value else {
            throw StoreError(.io, "a transaction ended without a result")
        }
        return value
    }

    /// Queues a transaction.
    ///
    /// - Parameter completion: told the outcome once, on the committer's thread; on success its
    ///   effects are on stable storage.
    func submit(
        needsSegments: Bool = false, cause: BucketEvent.Cause = .call,
        _ body: @escaping @Sendable (Transaction) throws(StoreError) -> Void,
        completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        let (now, events, ledger) = (clock.now(), configuration.eventRetention, ledger)
        committer.submit(
            CommitRequest(
                needsSegments: needsSegments,
                body: { (base) throws(StoreError) in
                    let transaction = Transaction(
                        base, at: now, cause: cause, keeping: events, ledger)
                    try body(transaction)
                    return try transaction.settleUsage().end
                }, completion: completion))
    }
}

/// Carries a result from the committer's thread; the last attempt of a transaction wins.
private final class Outcome<R: Sendable>: Sendable {
    private let storage = Mutex<R?>(nil)
    var value: R? { storage.withLock { $0 } }
    func set(_ value: R) { storage.withLock { $0 = value } }
}

/// An index transaction in the store's own terms: rows instead of bytes, `StoreError` thrown.
struct Transaction {
    private let base: any IndexTransaction
    /// When the caller asked for it.
    let now: Timestamp
    /// Why he did.
    let cause: BucketEvent.Cause
    let events: EventRetention
    let usage: PendingUsage

    init(
        _ base: any IndexTransaction, at now: Timestamp, cause: BucketEvent.Cause,
        keeping events: EventRetention, _ ledger: UsageLedger
    ) {
        usage = PendingUsage(ledger)
        self.base = base
        self.now = now
        self.cause = cause
        self.events = events
    }

    func get(_ table: IndexTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        try lower(
            "reading \(table.name)",
            index: { () throws(IndexError) in
                try base.get(table, key)
            })
    }

    func getMany(_ table: IndexTable, _ keys: [[UInt8]]) throws(StoreError) -> [[UInt8]?] {
        try lower(
            "reading \(table.name)",
            index: { () throws(IndexError) in
                try base.getMany(table, keys)
            })
    }

    /// The first rows whose keys begin with `prefix`.
    func scan(
        _ table: IndexTable, prefix: [UInt8], limit: Int
    ) throws(StoreError) -> [IndexEntry] {
        try scan(table, from: prefix, prefix: prefix, limit: limit)
    }

    /// The first rows from a key on whose keys begin with `prefix`.
    func scan(
        _ table: IndexTable, from: [UInt8], prefix: [UInt8], limit: Int
    ) throws(StoreError) -> [IndexEntry] {
        try lower(
            "reading \(table.name)",
            index: { () throws(IndexError) in
                try base.scan(
                    table, from: from, before: firstKey(behindPrefix: prefix), limit: limit)
            })
    }

    func put(_ table: IndexTable, _ key: [UInt8], _ value: [UInt8]) throws(StoreError) {
        try lower(
            "writing \(table.name)",
            index: { () throws(IndexError) in
                try base.put(table, key, value)
            })
    }

    func delete(_ table: IndexTable, _ key: [UInt8]) throws(StoreError) {
        try lower(
            "writing \(table.name)",
            index: { () throws(IndexError) in
                try base.delete(table, key)
            })
    }

    /// Adds to a counter.
    func add(_ table: IndexTable, _ key: [UInt8], _ delta: Int64) throws(StoreError) {
        guard delta != 0 else { return }
        try lower(
            "writing \(table.name)",
            index: { () throws(IndexError) in
                try base.add(table, key, delta)
            })
    }

    /// Reads a row and decodes it.
    func row<Row>(
        _ table: IndexTable, _ key: [UInt8], _ decode: ([UInt8]) throws(CoreError) -> Row
    ) throws(StoreError) -> Row? {
        guard let bytes = try get(table, key) else { return nil }
        return try lower(
            "reading \(table.name)",
            core: { () throws(CoreError) in
                try decode(bytes)
            })
    }
}
