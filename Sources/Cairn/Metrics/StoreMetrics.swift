// Part of Cairn, a content-addressed blob store.

internal import CoreMetrics

/// What a store counts and measures.
///
/// Made once, when the store is opened, with all its handles: counting never looks one up and
/// never allocates. Where nobody collects the figures, a count is a call that does nothing. The
/// rest of the store does not know what counts. Thread-safe.
final class StoreMetrics: Sendable {
    private let receivedBytes: Counter
    private let deliveredBytes: Counter
    private let deduplicatedBytes: Counter

    private let committed: Counter
    private let commitFailed: Counter
    private let commitDuration: Timer
    private let commitGroupTransactions: Recorder
    private let segmentSync: Timer
    private let indexSync: Timer

    private let keyCacheHits: Counter
    private let keyCacheMisses: Counter
    let keyProvider: KeyProviderMetrics

    private let sweptChunks: Counter
    private let sweptBytes: Counter
    private let compactionMovedBytes: Counter
    private let compactionFreedBytes: Counter
    private let scrubbedBytes: Counter
    private let scrubDamagedChunks: Counter
    private let scrubUnusedDamage: Counter
    private let scrubRounds: Counter

    let gauges: StoreGauges

    /// The limits of quotas, and what stands for any that is not among them.
    private static let quotaLimits = Quota.Limit.allCases.map(\.name) + [otherLimit]
    private static let otherLimit = "other"
    private let errors: [StoreError.Code: Counter]
    private let quotaDenials: [String: Counter]

    /// Makes all handles.
    init(_ factory: any MetricsFactory) {
        receivedBytes = factory.counter(.receivedBytes)
        deliveredBytes = factory.counter(.deliveredBytes)
        deduplicatedBytes = factory.counter(.deduplicatedBytes)
        committed = factory.counter(.commits, "committed")
        commitFailed = factory.counter(.commits, "failed")
        commitDuration = factory.timer(.commitDuration)
        commitGroupTransactions = factory.recorder(.commitGroupTransactions)
        segmentSync = factory.timer(.fsyncDuration, "segments")
        indexSync = factory.timer(.fsyncDuration, "index")
        keyCacheHits = factory.counter(.keyCacheRequests, "hit")
        keyCacheMisses = factory.counter(.keyCacheRequests, "miss")
        keyProvider = KeyProviderMetrics(factory)
        sweptChunks = factory.counter(.sweptChunks)
        sweptBytes = factory.counter(.sweptBytes)
        compactionMovedBytes = factory.counter(.compactionMovedBytes)
        compactionFreedBytes = factory.counter(.compactionFreedBytes)
        scrubbedBytes = factory.counter(.scrubbedBytes)
        scrubDamagedChunks = factory.counter(.scrubDamagedChunks)
        scrubUnusedDamage = factory.counter(.scrubUnusedDamage)
        scrubRounds = factory.counter(.scrubRounds)
        gauges = StoreGauges(factory)
        // From the start, so that the first failure is an increase and not a new series.
        errors = Dictionary(
            uniqueKeysWithValues: StoreError.Code.all.map {
                ($0, factory.counter(.errors, $0.description))
            })
        quotaDenials = Dictionary(
            uniqueKeysWithValues: Self.quotaLimits.map {
                ($0, factory.counter(.quotaDenials, $0))
            })
    }

    /// Makes all handles with the factory that the task has, else the one of the process.
    convenience init() { self.init(MetricsSystem.factory) }

    // MARK: - Bytes

    func countReceived(_ byteCount: Int) { receivedBytes.increment(by: byteCount) }
    func countDelivered(_ byteCount: Int) { deliveredBytes.increment(by: byteCount) }

    /// Counts the bytes of chunks for which nothing had to be stored.
    func countDuplicates(of chunks: [CutChunk], _ placed: [PlacedChunk]) {
        var byteCount = 0
        for (chunk, placed) in zip(chunks, placed) where placed.isDuplicate {
            byteCount += chunk.range.count
        }
        if byteCount > 0 { deduplicatedBytes.increment(by: byteCount) }
    }

    // MARK: - Commits

    func countGroup(_ transactionCount: Int) { commitGroupTransactions.record(transactionCount) }

    /// Counts a transaction that has ended, before its caller goes on.
    func countCommit(_ request: CommitRequest, _ result: Result<Void, StoreError>) {
        switch result {
        case .success:
            committed.increment()
            commitDuration.record(since: request.submittedAt)
        case .failure(let error):
            commitFailed.increment()
            count(error)
        }
    }

    func measuringSegmentSync<E: Error>(_ sync: () throws(E) -> Void) throws(E) {
        try segmentSync.measure(sync)
    }

    func measuringIndexSync<E: Error>(_ sync: () throws(E) -> Void) throws(E) {
        try indexSync.measure(sync)
    }

    // MARK: - Keys

    func countKeyCacheHit() { keyCacheHits.increment() }
    func countKeyCacheMiss() { keyCacheMisses.increment() }

    // MARK: - Upkeep

    func countSwept(chunkCount: Int, byteCount: UInt64) {
        sweptChunks.increment(by: chunkCount)
        sweptBytes.increment(by: byteCount)
    }

    func countCompaction(movedByteCount: UInt64) {
        compactionMovedBytes.increment(by: movedByteCount)
    }

    func countCompaction(freedByteCount: UInt64) {
        compactionFreedBytes.increment(by: freedByteCount)
    }

    func countScrubbed(_ byteCount: UInt64) { scrubbedBytes.increment(by: byteCount) }
    func countDamagedChunk() { scrubDamagedChunks.increment() }
    func countUnusedDamage(_ count: Int) { scrubUnusedDamage.increment(by: count) }
    func countScrubRound() { scrubRounds.increment() }

    // MARK: - Refusals

    /// Counts an error once, however many layers see it on its way to the caller.
    func count(_ error: StoreError) {
        guard error.beginCounting() else { return }
        errors[error.code]?.increment()
        if let limit = error.exceededLimit { countQuotaDenial(limit: limit.name) }
    }

    /// Counts what a job on a worker thread has thrown.
    func countFailure(_ error: any Error) {
        // One that says that a chunk has moved is followed there, not reported.
        guard let error = error as? StoreError, !error.isSegmentGone else { return }
        count(error)
    }

    /// Counts a write that a quota refused.
    ///
    /// - Parameter limit: the name of the limit that was met. One that quotas do not have counts as
    ///   `other`, so that no name that somebody has chosen ever becomes a label.
    func countQuotaDenial(limit: String) {
        (quotaDenials[limit] ?? quotaDenials[Self.otherLimit])?.increment()
    }
}

/// What a store counts of its key provider, by operation.
final class KeyProviderMetrics: Sendable {
    /// A call: what it is named in AWS KMS, where it has such a name.
    enum Operation: String, CaseIterable {
        case describeKey = "DescribeKey"
        case generateDataKey = "GenerateDataKey"
        case generateDataKeyWithoutPlaintext = "GenerateDataKeyWithoutPlaintext"
        case encrypt = "Encrypt"
        case decrypt = "Decrypt"
        case reEncrypt = "ReEncrypt"
        case isCurrent = "IsCurrent"
    }

    private let calls: [Operation: Counter]
    private let failures: [Operation: Counter]

    init(_ factory: any MetricsFactory) {
        func counters(_ description: MetricDescription) -> [Operation: Counter] {
            Dictionary(
                uniqueKeysWithValues: Operation.allCases.map {
                    ($0, factory.counter(description, $0.rawValue))
                })
        }
        calls = counters(.keyProviderCalls)
        failures = counters(.keyProviderFailures)
    }

    func countCall(_ operation: Operation) { calls[operation]?.increment() }
    func countFailure(_ operation: Operation) { failures[operation]?.increment() }
}

/// Figures that are read when somebody wants them, because reading them costs something.
final class StoreGauges: Sendable {
    let commitQueueDepth: Gauge
    let workerQueueDepth: Gauge
    let openUploadSessions: Gauge
    let keyCacheKeys: Gauge
    let indexBytes: Gauge
    let indexUnflushedBytes: Gauge
    let indexCacheBytes: Gauge
    let indexPendingCompactionBytes: Gauge
    let indexEntries: Gauge
    let indexBackgroundErrors: Gauge
    let diskFreeBytes: Gauge

    init(_ factory: any MetricsFactory) {
        commitQueueDepth = factory.gauge(.commitQueueDepth)
        workerQueueDepth = factory.gauge(.workerQueueDepth)
        openUploadSessions = factory.gauge(.openUploadSessions)
        keyCacheKeys = factory.gauge(.keyCacheKeys)
        indexBytes = factory.gauge(.indexBytes)
        indexUnflushedBytes = factory.gauge(.indexUnflushedBytes)
        indexCacheBytes = factory.gauge(.indexCacheBytes)
        indexPendingCompactionBytes = factory.gauge(.indexPendingCompactionBytes)
        indexEntries = factory.gauge(.indexEntries)
        indexBackgroundErrors = factory.gauge(.indexBackgroundErrors)
        diskFreeBytes = factory.gauge(.diskFreeBytes)
    }
}
