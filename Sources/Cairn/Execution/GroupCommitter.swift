// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments
internal import Synchronization

/// One index transaction that waits to be made durable.
struct CommitRequest: Sendable {
    /// Whether records appended before the request must be on stable storage first.
    let needsSegments: Bool
    /// What is told, on the committer's thread, whether an attempt was committed, before anything
    /// else begins.
    typealias End = @Sendable (_ isCommitted: Bool) -> Void

    /// Reads and writes the index; may run again when the index reports a conflict.
    let body: @Sendable (any IndexTransaction) throws(StoreError) -> End
    /// Called once, on the committer's thread, when the outcome is certain.
    let completion: @Sendable (Result<Void, StoreError>) -> Void
    /// When the caller began to wait.
    let submittedAt = ContinuousClock.now
}

/// Turns many concurrent commits into few flushes.
///
/// One thread takes every request that has arrived, syncs the segments once, applies the
/// transactions in order of arrival and syncs the index once: two flushes for the whole group,
/// however many callers wait. Data is durable before the index that refers to it. Thread-safe.
final class GroupCommitter: Sendable {
    /// Bounds the time between the first transaction of a group and its acknowledgement.
    static let groupCountMax = 512
    /// Serial execution makes conflicts impossible inside one process; a shared index may report
    /// them, and then a few attempts settle it.
    static let attemptCountMax = 16

    private struct State {
        var requests: [CommitRequest] = []
        var isStopping = false
    }

    private let state = Monitor(State())
    private let thread: Mutex<WorkerThread?>

    init(
        index: any Index, segments: any SegmentStore, catalogue: Catalogue, metrics: StoreMetrics
    ) throws(StoreError) {
        thread = Mutex(nil)
        let started = WorkerThread { [state] in
            while let group = Self.nextGroup(state) {
                Self.commit(group, index: index, segments: segments, catalogue, metrics)
            }
        }
        guard let started else {
            throw StoreError(.io, "the system gave no thread for the store's committer")
        }
        thread.withLock { $0 = started }
    }

    deinit {
        state.update { $0.isStopping = true }
        thread.withLock { $0?.detach() }
    }

    /// How many requests wait to be taken on.
    var waitingCount: Int { state.withLock { $0.requests.count } }

    /// Queues a request; its completion tells the outcome.
    func submit(_ request: CommitRequest) {
        let isAccepted = state.updateWakingOne { state in
            guard !state.isStopping else { return false }
            state.requests.append(request)
            return true
        }
        guard isAccepted else {
            return request.completion(.failure(StoreError(.closed, "the store is closed")))
        }
    }

    /// Lets queued requests finish, then ends the thread. Blocks until it has ended.
    func stop() {
        state.update { $0.isStopping = true }
        let ended = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        ended?.join()
    }

    // MARK: -

    private static func nextGroup(_ state: Monitor<State>) -> [CommitRequest]? {
        state.wait { state -> [CommitRequest]?? in
            guard state.requests.isEmpty else {
                let group = Array(state.requests.prefix(groupCountMax))
                state.requests.removeFirst(group.count)
                return .some(group)
            }
            return state.isStopping ? .some(nil) : nil
        }
    }

    private static func commit(
        _ group: [CommitRequest], index: any Index, segments: any SegmentStore,
        _ catalogue: Catalogue, _ metrics: StoreMetrics
    ) {
        metrics.countGroup(group.count)
        let segmentsResult = syncSegments(for: group, segments, metrics)
        let results = catalogue.record { recording in
            group.map { request in
                if request.needsSegments, case .failure = segmentsResult { return segmentsResult }
                return apply(request, to: index, &recording)
            }
        }
        let synced = syncIndex(index, after: results, catalogue, metrics)
        for (request, result) in zip(group, results) {
            // What was applied but not synced is not acknowledged.
            let outcome = if case .success = result { synced } else { result }
            metrics.countCommit(request, outcome)
            request.completion(outcome)
        }
    }

    private static func syncSegments(
        for group: [CommitRequest], _ segments: any SegmentStore, _ metrics: StoreMetrics
    ) -> Result<Void, StoreError> {
        guard group.contains(where: \.needsSegments) else { return .success(()) }
        do throws(SegmentError) {
            try metrics.measuringSegmentSync { () throws(SegmentError) in try segments.sync() }
            return .success(())
        } catch {
            return .failure(StoreError(error, while: "syncing segments before a commit"))
        }
    }

    private static func syncIndex(
        _ index: any Index, after results: [Result<Void, StoreError>], _ catalogue: Catalogue,
        _ metrics: StoreMetrics
    ) -> Result<Void, StoreError> {
        let isAnyApplied = results.contains { if case .success = $0 { true } else { false } }
        guard isAnyApplied else { return .success(()) }
        do throws(IndexError) {
            try metrics.measuringIndexSync { () throws(IndexError) in try index.sync() }
            catalogue.noteDurable()
            return .success(())
        } catch {
            return .failure(StoreError(error, while: "syncing the index at a commit"))
        }
    }

    private static func apply(
        _ request: CommitRequest, to index: any Index, _ recording: inout Catalogue.Recording
    ) -> Result<Void, StoreError> {
        for _ in 0..<attemptCountMax {
            do throws(StoreError) {
                if try attempt(request, on: index, &recording) { return .success(()) }
            } catch {
                return .failure(error)
            }
        }
        return .failure(StoreError(.io, "the index kept reporting conflicts; retry the call"))
    }

    // False: another transaction was first, run again.
    private static func attempt(
        _ request: CommitRequest, on index: any Index, _ recording: inout Catalogue.Recording
    ) throws(StoreError) -> Bool {
        let transaction = try lower(
            "beginning a transaction",
            index: { () throws(IndexError) in
                CatalogueTransaction(try index.begin())
            })
        let end: CommitRequest.End
        do throws(StoreError) {
            end = try request.body(transaction)
        } catch {
            transaction.rollback()
            throw error
        }
        do throws(IndexError) {
            if !transaction.changes.isEmpty {
                try transaction.put(
                    Tables.meta, MetaKey.catalogueSequence, recording.nextSequence)
            }
            try transaction.commit()
            recording.append(transaction)
            end(true)
            return true
        } catch {
            transaction.rollback()
            end(false)
            if error.code == .conflict { return false }
            throw StoreError(error, while: "committing a transaction")
        }
    }
}
