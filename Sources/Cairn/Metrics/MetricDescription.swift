// Part of Cairn, a content-addressed blob store.

/// A metric: how it is called, what it is and what it says.
///
/// Names, labels and values of labels are an interface, like codes of errors: dashboards and alarms
/// rest on them. The page Metrics.md has the same list. No label ever has a secret, a digest or
/// a name that somebody has chosen.
package struct MetricDescription: Hashable, Sendable {
    /// What is done with its values.
    package enum Kind: String, Sendable {
        /// They are added up, and never go down.
        case counter
        /// The last one counts.
        case gauge
        /// They are counted by how large they are.
        case histogram
    }

    /// With the unit, and with `_total` for counters.
    package let name: String
    package let kind: Kind
    /// The names of labels, in the order of their values.
    package let labels: [String]
    /// One line for people.
    package let help: String

    /// Describes a metric.
    package init(_ name: String, _ kind: Kind, labels: [String] = [], _ help: String) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }
}

extension MetricDescription {
    /// All metrics of a store.
    package static let ofStores = [
        receivedBytes, deliveredBytes, deduplicatedBytes,
        commits, commitDuration, commitGroupTransactions, commitQueueDepth, fsyncDuration,
        workerQueueDepth, openUploadSessions,
        keyCacheRequests, keyCacheKeys, keyProviderCalls, keyProviderFailures,
        sweptChunks, sweptBytes, compactionMovedBytes, compactionFreedBytes,
        scrubbedBytes, scrubDamagedChunks, scrubUnusedDamage, scrubRounds,
        indexBytes, indexUnflushedBytes, indexCacheBytes, indexPendingCompactionBytes,
        indexEntries, indexBackgroundErrors, diskFreeBytes,
        errors, quotaDenials,
    ]

    // MARK: - Bytes

    static let receivedBytes = MetricDescription(
        "cairn_received_bytes_total", .counter,
        "Bytes that upload sessions took in.")
    static let deliveredBytes = MetricDescription(
        "cairn_delivered_bytes_total", .counter,
        "Bytes of blobs and objects that were handed to readers.")
    static let deduplicatedBytes = MetricDescription(
        "cairn_deduplicated_bytes_total", .counter,
        "Received bytes that were stored already.")

    // MARK: - Commits

    static let commits = MetricDescription(
        "cairn_commits_total", .counter, labels: ["outcome"],
        "Transactions that ended.")
    static let commitDuration = MetricDescription(
        "cairn_commit_duration_seconds", .histogram,
        "Time from the request for a transaction until it was on stable storage.")
    static let commitGroupTransactions = MetricDescription(
        "cairn_commit_group_transactions", .histogram,
        "Transactions that shared their syncs.")
    static let commitQueueDepth = MetricDescription(
        "cairn_commit_queue_depth", .gauge,
        "Transactions that wait for the committer.")
    static let fsyncDuration = MetricDescription(
        "cairn_fsync_duration_seconds", .histogram, labels: ["target"],
        "Time in which the committer made segments or the index durable.")

    // MARK: - Work under way

    static let workerQueueDepth = MetricDescription(
        "cairn_worker_queue_depth", .gauge,
        "Jobs that wait for a worker thread.")
    static let openUploadSessions = MetricDescription(
        "cairn_open_upload_sessions", .gauge,
        "Upload sessions that have a handle in this process.")

    // MARK: - Keys

    static let keyCacheRequests = MetricDescription(
        "cairn_key_cache_requests_total", .counter, labels: ["result"],
        "Look-ups of data keys among those open in memory.")
    static let keyCacheKeys = MetricDescription(
        "cairn_key_cache_keys", .gauge,
        "Data keys that are open in memory.")
    static let keyProviderCalls = MetricDescription(
        "cairn_key_provider_calls_total", .counter, labels: ["operation"],
        "Calls of the key provider.")
    static let keyProviderFailures = MetricDescription(
        "cairn_key_provider_failures_total", .counter, labels: ["operation"],
        "Calls of the key provider that failed.")

    // MARK: - Upkeep

    static let sweptChunks = MetricDescription(
        "cairn_swept_chunks_total", .counter,
        "Chunks that sweeps have freed.")
    static let sweptBytes = MetricDescription(
        "cairn_swept_bytes_total", .counter,
        "Bytes of the records of chunks that sweeps have freed.")
    static let compactionMovedBytes = MetricDescription(
        "cairn_compaction_moved_bytes_total", .counter,
        "Bytes of records that compactions have written again elsewhere.")
    static let compactionFreedBytes = MetricDescription(
        "cairn_compaction_freed_bytes_total", .counter,
        "Bytes of segment files that compactions have given back to the disk.")
    static let scrubbedBytes = MetricDescription(
        "cairn_scrubbed_bytes_total", .counter,
        "Bytes of records that scrubs have read again and checked.")
    static let scrubDamagedChunks = MetricDescription(
        "cairn_scrub_damaged_chunks_total", .counter,
        "Chunks that scrubs found to be damaged and that were not known to be.")
    static let scrubUnusedDamage = MetricDescription(
        "cairn_scrub_unused_damage_total", .counter,
        "Damaged places that scrubs found and that no chunk needs.")
    static let scrubRounds = MetricDescription(
        "cairn_scrub_rounds_total", .counter,
        "Rounds of the scrub over the whole store that came to their end.")

    // MARK: - The index and the disk

    static let indexBytes = MetricDescription(
        "cairn_index_bytes", .gauge,
        "Bytes of the files of the index, about.")
    static let indexUnflushedBytes = MetricDescription(
        "cairn_index_unflushed_bytes", .gauge,
        "Bytes of rows that are only in memory and in the log of the index.")
    static let indexCacheBytes = MetricDescription(
        "cairn_index_cache_bytes", .gauge,
        "Bytes of memory that the block cache of the index holds.")
    static let indexPendingCompactionBytes = MetricDescription(
        "cairn_index_pending_compaction_bytes", .gauge,
        "Bytes of the index that its background work has yet to rewrite.")
    static let indexEntries = MetricDescription(
        "cairn_index_entries", .gauge,
        "Rows of the index, about.")
    static let indexBackgroundErrors = MetricDescription(
        "cairn_index_background_errors", .gauge,
        "Failures of background work of the index since it was opened.")
    static let diskFreeBytes = MetricDescription(
        "cairn_disk_free_bytes", .gauge,
        "Bytes that the disk of the store has free.")

    // MARK: - Refusals

    static let errors = MetricDescription(
        "cairn_errors_total", .counter, labels: ["code"],
        "Failures of the work of the store, by the code of the error.")
    static let quotaDenials = MetricDescription(
        "cairn_quota_denials_total", .counter, labels: ["limit"],
        "Writes that a quota refused, by the limit that was met.")
}
