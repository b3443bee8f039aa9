// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// Takes an upload's windows through three stages on the store's worker threads.
///
/// 1. *Digest*, one window at a time and in order: cut, digest blob and chunks in one pass.
/// 2. *Place*, several windows at once: look the chunks up, compress, seal and append the misses.
/// 3. *Fold*, in order: add the chunks to the tree; now and then begin a checkpoint.
///
/// At most ``windowCountMax`` windows are inside; `submit` waits for a place. After a failure
/// every call throws that failure. Thread-safe; the session lets one call in at a time.
final class UploadPipeline: Sendable {
    /// One window being digested, one being placed, one ready for whichever is first, and one
    /// being filled by the caller: with one more, throughput did not change.
    static let windowCountMax = 3

    /// Checkpoint intervals that may be uncommitted beside the checkpoints under way.
    static let uncommittedIntervalMax: UInt64 = 2

    /// A state between two windows from which the upload can go on.
    struct Position: Sendable {
        var stage: DigestStage
        var builder: RecipeBuilder
        var ledger: ChunkLedger
    }

    private struct State {
        var stage: DigestStage
        var tree: UploadTree
        var waiting: [UploadWindow] = []
        var isDigesting = false
        var nextSequence = 0
        var placed: [Int: PlacedWindow] = [:]
        var isFolding = false
        var nextFold = 0
        // As `stage`, but behind the last folded window.
        var folded: DigestStage
        var spares: [UploadWindow] = []
        var failure: StoreError?
        // Jobs on worker threads that may still touch this state.
        var jobCount = 0
        // Whether a position was handed out to be made durable. One at a time: a checkpoint
        // describes the tree as the ledgers before it have left it, so they commit in order.
        var isCheckpointing = false
        var waiters: [@Sendable () -> Void] = []

        var windowCount: Int { nextSequence - nextFold + waiting.count }
        // Everything received is folded, and no checkpoint is under way.
        var isSettled: Bool { windowCount == 0 && !isCheckpointing }

        mutating func fail(_ error: StoreError) {
            if failure == nil { failure = error }
            waiting = []
        }

        mutating func takePosition() -> Position {
            isCheckpointing = true
            return Position(stage: folded, builder: tree.builder, ledger: tree.takeLedger())
        }

        mutating func takeDuePosition(every interval: UInt64) -> Position? {
            let isDue = !isFolding && tree.byteCountSinceCheckpoint >= interval
            return isDue && !isCheckpointing && failure == nil ? takePosition() : nil
        }
    }

    let placer: ChunkPlacer
    private let headroom: Int
    private let windowByteCount: Int
    private let checkpointInterval: UInt64
    private let checkpointer: UploadCheckpointer
    private let state: Mutex<State>

    init(
        placer: ChunkPlacer, stage: DigestStage, tree: UploadTree,
        checkpointer: UploadCheckpointer
    ) {
        self.placer = placer
        self.checkpointer = checkpointer
        let parameters = placer.engine.chunker
        headroom = parameters.maxByteCount
        windowByteCount = parameters.opaqueByteCount
        checkpointInterval = placer.engine.configuration.checkpointByteCount
        state = Mutex(State(stage: stage, tree: tree, folded: stage))
    }

    /// An empty window for the first bytes of the session.
    func makeFirstWindow() -> UploadWindow {
        UploadWindow(headroom: 0, byteCount: windowByteCount)
    }

    /// An empty window for bytes behind others.
    func makeWindow() -> UploadWindow {
        state.withLock { $0.spares.popLast() }
            ?? UploadWindow(headroom: headroom, byteCount: windowByteCount)
    }

    /// Hands a full window in; waits while ``windowCountMax`` others are inside, or while
    /// checkpoints are so slow that the uncommitted tree would outgrow its bound.
    func submit(_ window: UploadWindow) async throws(StoreError) {
        let uncommittedMax = Self.uncommittedIntervalMax * checkpointInterval
        try await wait { state in
            let isRoom =
                state.windowCount < Self.windowCountMax
                && state.tree.byteCountSinceCheckpoint < uncommittedMax
            if isRoom { state.waiting.append(window) }
            return isRoom ? () : nil
        }
        startDigesting()
    }

    /// Waits until every window is folded and no checkpoint is under way.
    func settle() async throws(StoreError) {
        try await wait { $0.isSettled ? () : nil }
    }

    /// Makes everything handed in durable, and `rest` behind it.
    func checkpoint(behind rest: [UInt8]) async throws(StoreError) {
        let position = try await wait { $0.isSettled ? $0.takePosition() : nil }
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            commit(position, behind: rest) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// What the chunk table lacks of the tree; the caller releases its holds. Settled only.
    func takeLedger() -> ChunkLedger {
        state.withLock { $0.tree.takeLedger() }
    }

    /// Gives back what a session that ends still holds.
    func abandon() async {
        fail(StoreError(.closed, "the upload session has ended"))
        // No worker thread touches the state any more then.
        await suspend { $0.jobCount == 0 && !$0.isCheckpointing ? () : nil }
        let (placed, ledger) = state.withLock { state in
            defer { state.placed = [:] }
            return (state.placed.values, state.tree.takeLedger())
        }
        for window in placed {
            for chunk in window.chunks { placer.engine.inFlight.release(chunk.id, count: 1) }
        }
        ledger.release(placer.engine.inFlight)
    }

    var hasFailed: Bool { state.withLock { $0.failure != nil } }

    /// The bytes folded so far for which nothing had to be stored; nil while a fold is under way.
    var duplicateByteCount: UInt64? {
        state.withLock { $0.isFolding ? nil : $0.tree.duplicateByteCount }
    }

    /// The stage behind everything folded. Settled only.
    var stage: DigestStage { state.withLock { $0.folded } }

    /// The forest of everything folded, for reading it back. Settled only.
    var forest: [IdentifiedEntry] { state.withLock { $0.tree.builder.forest } }

    /// The position at the end of the blob: cuts and places the last window and closes the tree.
    ///
    /// - Returns: nil, and nothing changed, when the digest is not `expected`.
    /// - Throws: ``StoreError`` with code `digestMismatch`, `invalidArgument`, and nothing changed,
    ///   when the checksums are others.
    func finish(
        _ window: UploadWindow, expecting expected: Digest?, _ checksums: [Checksum]
    ) async throws(StoreError) -> FinishedTree? {
        try await placer.engine.pool.run { [self] (context) throws(StoreError) in
            try finish(window, expecting: expected, checksums, &context)
        }
    }

    // MARK: - Waiting

    // Waits until `body` returns a value; it runs under the lock, and may change the state then.
    private func wait<R: Sendable>(
        for body: @Sendable (inout State) -> R?
    ) async throws(StoreError) -> R {
        let result: Result<R, StoreError> = await suspend { state in
            if let failure = state.failure { return .failure(failure) }
            return body(&state).map { .success($0) }
        }
        return try result.get()
    }

    private func suspend<R: Sendable>(for body: @Sendable (inout State) -> R?) async -> R {
        while true {
            let result: R? = await withCheckedContinuation { continuation in
                let result = state.withLock { state in
                    let result = body(&state)
                    if result == nil {
                        state.waiters.append { continuation.resume(returning: nil) }
                    }
                    return result
                }
                if let result { continuation.resume(returning: result) }
            }
            if let result { return result }
        }
    }

    private func run(_ body: @escaping @Sendable (inout WorkerContext) -> Void) {
        state.withLock { $0.jobCount += 1 }
        placer.engine.pool.submit { [self] context in
            body(&context)
            state.withLock { $0.jobCount -= 1 }
            wakeWaiters()
        }
    }

    private func wakeWaiters() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for wake in waiters { wake() }
    }

    private func fail(_ error: StoreError) {
        state.withLock { $0.fail(error) }
        wakeWaiters()
    }

    // MARK: - Stage 1

    private func startDigesting() {
        let starts = state.withLock { state in
            guard !state.isDigesting, !state.waiting.isEmpty else { return false }
            state.isDigesting = true
            return true
        }
        if starts { run { [self] _ in digestWaiting() } }
    }

    private func digestWaiting() {
        while let (window, sequence, before) = nextWindow() {
            var stage = before
            let chunks = window.withBytes {
                stage.process(&$0, headroom: window.headroom, isFinal: false)
            }
            let cut = CutWindow(window: window, chunks: chunks, after: stage)
            state.withLock { $0.stage = cut.after }
            run { [self] context in place(cut, sequence, &context) }
        }
    }

    private func nextWindow() -> (UploadWindow, sequence: Int, DigestStage)? {
        state.withLock { state in
            guard state.failure == nil, !state.waiting.isEmpty else {
                state.isDigesting = false
                return nil
            }
            defer { state.nextSequence += 1 }
            return (state.waiting.removeFirst(), state.nextSequence, state.stage)
        }
    }

    // MARK: - Stage 2

    private func place(_ cut: CutWindow, _ sequence: Int, _ context: inout WorkerContext) {
        do throws(StoreError) {
            let chunks = try place(cut, &context)
            state.withLock { $0.placed[sequence] = PlacedWindow(cut: cut, chunks: chunks) }
        } catch {
            return fail(error)
        }
        fold(&context)
    }

    private func place(
        _ cut: CutWindow, _ context: inout WorkerContext
    ) throws(StoreError) -> [PlacedChunk] {
        try cut.window.withBytes { (bytes) throws(StoreError) in
            try placer.place(
                cut.chunks, of: bytes, compress: cut.after.layout != .opaque, &context)
        }
    }

    // MARK: - Stage 3

    private func fold(_ context: inout WorkerContext) {
        while let (window, before) = nextFold() {
            var tree = before
            do throws(StoreError) {
                try tree.add(
                    window.cut.chunks, window.chunks, layout: window.cut.layout, placer, &context)
            } catch {
                return finishFold(window, tree, failure: error)
            }
            finishFold(window, tree, failure: nil)
        }
    }

    private func nextFold() -> (PlacedWindow, UploadTree)? {
        state.withLock { state in
            guard !state.isFolding, state.failure == nil,
                let window = state.placed.removeValue(forKey: state.nextFold)
            else { return nil }
            state.isFolding = true
            // The tree is moved out, not copied: its tables must not be shared while they grow.
            let tree = state.tree
            state.tree = UploadTree()
            return (window, tree)
        }
    }

    // A tree that lacks a node is kept for the holds in its ledger, and nobody may go on from it.
    private func finishFold(
        _ window: PlacedWindow, _ tree: consuming UploadTree, failure: StoreError?
    ) {
        let position = state.withLock { [tree] state -> Position? in
            state.tree = tree
            if let failure {
                state.fail(failure)
            } else {
                state.folded = window.cut.after
            }
            state.nextFold += 1
            state.isFolding = false
            if window.cut.window.headroom == headroom {
                window.cut.window.reset()
                state.spares.append(window.cut.window)
            }
            return state.takeDuePosition(every: checkpointInterval)
        }
        if let position { commit(position, behind: []) { _ in } }
        wakeWaiters()
    }

    // MARK: - Checkpoints

    private func commit(
        _ position: Position, behind rest: [UInt8],
        _ completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        checkpointer.commit(position, behind: rest) { [self] result in
            finishCheckpoint(result)
            completion(result)
        }
    }

    // The next one, put off until now, is handed out in the same step that ends this one.
    private func finishCheckpoint(_ result: Result<Void, StoreError>) {
        let position = state.withLock { state -> Position? in
            state.isCheckpointing = false
            if case .failure(let error) = result { state.fail(error) }
            return state.takeDuePosition(every: checkpointInterval)
        }
        if let position { commit(position, behind: []) { _ in } }
        wakeWaiters()
    }

    // MARK: - The end

    private func finish(
        _ window: UploadWindow, expecting expected: Digest?, _ checksums: [Checksum],
        _ context: inout WorkerContext
    ) throws(StoreError) -> FinishedTree? {
        var (stage, tree) = try state.withLock { (state) throws(StoreError) in
            if let failure = state.failure { throw failure }
            return (state.folded, state.tree)
        }
        let chunks = window.withBytes {
            stage.process(&$0, headroom: window.headroom, isFinal: true)
        }
        let digests = stage.finalDigests(rest: Span())
        if let expected, expected != digests.digest { return nil }
        try ChecksumRequest.check(checksums, digests.checksums)
        let cut = CutWindow(window: window, chunks: chunks, after: stage)
        let placed = try place(cut, &context)
        // From here on the holds are in the tree's ledger, whatever happens.
        defer { state.withLock { [tree] in $0.tree = tree } }
        do throws(StoreError) {
            try tree.add(chunks, placed, layout: cut.layout, placer, &context)
            let root = try tree.finish(layout: cut.layout, placer, &context)
            guard root?.entry.byteCount ?? 0 == stage.cutByteCount else {
                throw StoreError(.corrupted, "the tree of an upload is not as long as its bytes")
            }
            return FinishedTree(
                digests: digests, byteCount: stage.cutByteCount, layout: cut.layout, root: root)
        } catch {
            fail(error)
            throw error
        }
    }
}

/// A window after its bytes were cut and digested.
struct CutWindow: Sendable {
    var window: UploadWindow
    var chunks: [CutChunk]
    /// The stage as it was behind this window: what a checkpoint there must restore.
    var after: DigestStage

    /// Undecided only while there is nothing to place.
    var layout: BlobLayout { after.layout ?? .other }
}

private struct PlacedWindow: Sendable {
    var cut: CutWindow
    var chunks: [PlacedChunk]
}

/// A blob that is complete but for its commit.
struct FinishedTree: Sendable {
    var digests: StreamDigests
    var byteCount: UInt64
    var layout: BlobLayout
    /// nil for the blob of no bytes.
    var root: IdentifiedEntry?
}
