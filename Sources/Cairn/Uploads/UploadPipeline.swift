// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// Takes an upload's windows through three stages on the store's worker threads.
///
/// 1. *Digest*, one window at a time and in order: cut, digest blob and chunks in one pass.
/// 2. *Place*, several windows at once: look the chunks up, compress, seal and append the misses.
/// 3. *Fold*, in order: add the chunks to the tree; now and then hand out a checkpoint.
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
        var waiters: [CheckedContinuation<Void, Never>] = []

        var windowCount: Int { nextSequence - nextFold + waiting.count }

        mutating func takePosition() -> Position {
            Position(stage: folded, builder: tree.builder, ledger: tree.takeLedger())
        }
    }

    let placer: ChunkPlacer
    let headroom: Int
    let windowByteCount: Int
    private let checkpointInterval: UInt64
    private let onCheckpoint: @Sendable (Position) -> Void
    private let mayCheckpoint: @Sendable () -> Bool
    private let state: Mutex<State>

    init(
        placer: ChunkPlacer, stage: DigestStage, tree: UploadTree,
        mayCheckpoint: @escaping @Sendable () -> Bool,
        onCheckpoint: @escaping @Sendable (Position) -> Void
    ) {
        self.placer = placer
        let parameters = placer.engine.chunker
        headroom = parameters.maxByteCount
        windowByteCount = parameters.opaqueByteCount
        checkpointInterval = placer.engine.configuration.checkpointByteCount
        self.mayCheckpoint = mayCheckpoint
        self.onCheckpoint = onCheckpoint
        state = Mutex(State(stage: stage, tree: tree, folded: stage))
    }

    /// An empty window.
    func makeWindow() -> UploadWindow {
        state.withLock { $0.spares.popLast() }
            ?? UploadWindow(headroom: headroom, byteCount: windowByteCount)
    }

    /// Hands a full window in; waits while ``windowCountMax`` others are inside, or while
    /// checkpoints are so slow that the uncommitted tree would outgrow its bound.
    func submit(_ window: UploadWindow) async throws(StoreError) {
        let uncommittedMax = Self.uncommittedIntervalMax * checkpointInterval
        try await wait {
            $0.windowCount < Self.windowCountMax
                && $0.tree.byteCountSinceCheckpoint < uncommittedMax
        }
        state.withLock { $0.waiting.append(window) }
        startDigesting()
    }

    /// Waits until every window is folded.
    func drain() async throws(StoreError) {
        try await wait { $0.windowCount == 0 }
    }

    /// Hands out a checkpoint that was put off because too many were under way.
    func checkpointIfDue() {
        let position = state.withLock { state -> Position? in
            let isDue =
                !state.isFolding && state.failure == nil
                && state.tree.byteCountSinceCheckpoint >= checkpointInterval
            return isDue && mayCheckpoint() ? state.takePosition() : nil
        }
        if let position { onCheckpoint(position) }
        wakeWaiters()
    }

    /// The position behind everything folded; the ledger passes to the caller. Drained only.
    func takePosition() -> Position {
        state.withLock { $0.takePosition() }
    }

    /// Gives back what a session that ends without a commit still holds.
    func abandon() async {
        fail(StoreError(.closed, "the upload session has ended"))
        await quiesce()
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

    /// The stage behind everything folded. Drained only.
    var stage: DigestStage { state.withLock { $0.folded } }

    /// The forest of everything folded, for reading it back. Drained only.
    var forest: [IdentifiedEntry] { state.withLock { $0.tree.builder.forest } }

    /// The position at the end of the blob: cuts and places the last window and closes the tree.
    ///
    /// - Returns: nil, and nothing changed, when the digest is not `expected`.
    func finish(
        _ window: UploadWindow, expecting expected: Digest?
    ) async throws(StoreError) -> FinishedTree? {
        try await placer.engine.pool.run { [self] (context) throws(StoreError) in
            try finish(window, expecting: expected, &context)
        }
    }

    // MARK: - Waiting

    private func wait(_ isReady: @Sendable (borrowing State) -> Bool) async throws(StoreError) {
        await suspend { $0.failure != nil || isReady($0) }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    // Waits until no worker thread touches the state any more, also after a failure.
    private func quiesce() async {
        await suspend { $0.jobCount == 0 }
    }

    private func suspend(until isReady: (borrowing State) -> Bool) async {
        while !state.withLock({ isReady($0) }) {
            await withCheckedContinuation { continuation in
                let resumesNow = state.withLock { state in
                    if isReady(state) { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if resumesNow { continuation.resume() }
            }
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
        for waiter in waiters { waiter.resume() }
    }

    func fail(_ error: StoreError) {
        state.withLock { state in
            if state.failure == nil { state.failure = error }
            state.waiting = []
        }
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
                stage.process(&$0, headroom: headroom, isFinal: false)
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
                finishFold(window, tree)
                return fail(error)
            }
            finishFold(window, tree)
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

    private func finishFold(_ window: PlacedWindow, _ tree: consuming UploadTree) {
        let isDue = tree.byteCountSinceCheckpoint >= checkpointInterval
        let position = state.withLock { [tree] state -> Position? in
            state.tree = tree
            state.folded = window.cut.after
            state.nextFold += 1
            state.isFolding = false
            window.cut.window.reset()
            state.spares.append(window.cut.window)
            return isDue && mayCheckpoint() ? state.takePosition() : nil
        }
        if let position { onCheckpoint(position) }
        wakeWaiters()
    }

    private func finish(
        _ window: UploadWindow, expecting expected: Digest?, _ context: inout WorkerContext
    ) throws(StoreError) -> FinishedTree? {
        var (stage, tree) = state.withLock { ($0.folded, $0.tree) }
        let chunks = window.withBytes { stage.process(&$0, headroom: headroom, isFinal: true) }
        let digest = stage.finalDigest(rest: Span())
        if let expected, expected != digest { return nil }
        let cut = CutWindow(window: window, chunks: chunks, after: stage)
        let placed = try place(cut, &context)
        // From here on the holds are in the tree's ledger, whatever happens.
        defer { state.withLock { [tree] in $0.tree = tree } }
        do throws(StoreError) {
            try tree.add(chunks, placed, layout: cut.layout, placer, &context)
            let root = try tree.finish(layout: cut.layout, placer, &context)
            return FinishedTree(
                digest: digest, byteCount: stage.cutByteCount, layout: cut.layout, root: root)
        } catch {
            fail(error)
            throw error
        }
    }
}

/// Room for the next bytes of an upload, filled by the session and read by one stage at a time.
///
/// A reference, so that the memory goes round instead of being copied or given back: fresh pages
/// would cost more than the digest.
final class UploadWindow: Sendable {
    private let headroom: Int
    private let byteCountMax: Int
    private let bytes: Mutex<[UInt8]>

    /// - Parameter headroom: free bytes in front, for the tail of the window before.
    init(headroom: Int, byteCount: Int) {
        self.headroom = headroom
        self.byteCountMax = headroom + byteCount
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headroom + byteCount)
        bytes.append(contentsOf: repeatElement(0, count: headroom))
        self.bytes = Mutex(bytes)
    }

    func withBytes<R, E: Error>(_ body: (inout [UInt8]) throws(E) -> R) throws(E) -> R {
        try bytes.withLock { (bytes) throws(E) in try body(&bytes) }
    }

    /// The bytes behind the headroom.
    var byteCount: Int { bytes.withLock { $0.count } - headroom }
    var isFull: Bool { byteCount == byteCountMax - headroom }

    /// Copies as much of `source` as there is room for; returns how much that was.
    func fill(from source: Span<UInt8>) -> Int {
        bytes.withLock { bytes in
            let count = min(source.count, byteCountMax - bytes.count)
            bytes.append(contentsOf: source.extracting(..<count))
            return count
        }
    }

    /// The bytes behind the headroom, copied.
    var contents: [UInt8] {
        bytes.withLock { [UInt8](copying: $0.span.extracting(headroom...)) }
    }

    func reset() {
        bytes.withLock { $0.removeSubrange(headroom...) }
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
    var digest: Digest
    var byteCount: UInt64
    var layout: BlobLayout
    /// nil for the blob of no bytes.
    var root: IdentifiedEntry?
}
