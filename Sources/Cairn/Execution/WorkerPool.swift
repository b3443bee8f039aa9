// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// What a worker thread owns: the contexts that would be costly to make for each job.
struct WorkerContext: ~Copyable, Sendable {
    var sealer: RecordSealer

    init(random: any RandomSource) throws(StoreError) {
        sealer = try lower(
            "preparing a worker thread",
            core: { () throws(CoreError) in
                try RecordSealer(random: random)
            })
    }
}

/// The threads that do the store's work: hashing, sealing, file and index calls.
///
/// Nothing of that runs on the cooperative pool, whose threads must never block. The queue is
/// bounded by its users: an upload session has a fixed number of windows in flight, a reader a
/// fixed number of extents, any other caller one job. Thread-safe.
final class WorkerPool: Sendable {
    typealias Job = @Sendable (inout WorkerContext) -> Void

    private struct State {
        var jobs: [Job?] = []
        // Consumed slots at the front of `jobs`; dropped when they outnumber the waiting ones.
        var head = 0
        var isStopping = false
    }

    let metrics: StoreMetrics
    private let state = Monitor(State())
    private let threads: Mutex<[WorkerThread]>

    init(
        count: Int, random: any RandomSource, metrics: StoreMetrics
    ) throws(StoreError) {
        self.metrics = metrics
        threads = Mutex([])
        var started: [WorkerThread] = []
        for number in 0..<count {
            let context = ContextBox(try WorkerContext(random: random))
            let thread = WorkerThread { [state] in
                if var context = context.take() { Self.work(state, &context) }
            }
            guard let thread else {
                Self.stop(state, started)
                throw StoreError(.io, "the system gave no thread for the store's worker \(number)")
            }
            started.append(thread)
        }
        threads.withLock { $0 = started }
    }

    // The last reference may be dropped by a job, on a thread that cannot join itself.
    deinit {
        state.update { $0.isStopping = true }
        threads.withLock { threads in for thread in threads { thread.detach() } }
    }

    /// How many jobs wait for a thread.
    var waitingCount: Int { state.withLock { $0.jobs.count - $0.head } }

    /// Queues a job and returns at once.
    func submit(_ job: @escaping Job) {
        state.updateWakingOne { $0.jobs.append(job) }
    }

    /// Runs `body` on a worker thread and gives back its result.
    func run<R: Sendable, E: Error>(
        _ body: @escaping @Sendable (inout WorkerContext) throws(E) -> R
    ) async throws(E) -> R {
        let result: Result<R, E> = await withCheckedContinuation { continuation in
            submit { [metrics] context in
                do throws(E) {
                    continuation.resume(returning: .success(try body(&context)))
                } catch {
                    metrics.countFailure(error)
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// Lets queued jobs finish, then ends the threads. Blocks until they have ended.
    func stop() {
        let ended = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        Self.stop(state, ended)
    }

    // MARK: -

    private static func stop(_ state: Monitor<State>, _ threads: [WorkerThread]) {
        state.update { $0.isStopping = true }
        for thread in threads { thread.join() }
    }

    private static func work(_ state: Monitor<State>, _ context: inout WorkerContext) {
        while let job = next(state) { job(&context) }
    }

    private static func next(_ state: Monitor<State>) -> Job? {
        state.wait { state -> Job?? in
            if state.head < state.jobs.count {
                let job = state.jobs[state.head]
                state.jobs[state.head] = nil
                state.head += 1
                if state.head * 2 > state.jobs.count {
                    state.jobs.removeFirst(state.head)
                    state.head = 0
                }
                return .some(job)
            }
            return state.isStopping ? .some(.none) : .none
        }
    }
}

/// Hands a context to the thread that will own it.
private final class ContextBox: Sendable {
    private let context: Mutex<WorkerContext?>

    init(_ context: consuming sending WorkerContext) { self.context = Mutex(context) }

    func take() -> WorkerContext? {
        context.withLock { context in
            var taken: WorkerContext?
            swap(&taken, &context)
            return taken
        }
    }
}
