// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

/// The threads that call the token, each with a session of its own.
///
/// Calls of a PKCS#11 library block, over a network perhaps for long, so none of them runs on the
/// threads on which Swift runs tasks. As many calls are under way as there are threads, and a
/// bounded number waits. Thread-safe.
final class TokenThreads: Sendable {
    private struct State {
        var waiting: [any WaitingCall] = []
        var threadCount = 0
        var isClosing = false
        // Those who wait for the last thread to end.
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Monitor<State>
    private let queueCountMax: Int

    /// Starts the threads; each opens its session with its first call.
    ///
    /// - Throws: ``KeyError`` with code `unavailable` when the system gives none.
    init(count: Int, queueCountMax: Int, token: Token) throws(KeyError) {
        self.queueCountMax = queueCountMax
        state = Monitor(State())
        for _ in 0..<count {
            state.withLock { $0.threadCount += 1 }
            let thread = WorkerThread { [state] in Self.work(state, token) }
            guard let thread else {
                state.withLock { $0.threadCount -= 1 }
                beginClosing()
                throw KeyError(.unavailable, "the system gave no thread for calls of the token")
            }
            thread.detach()
        }
    }

    // The last reference may go on one of the threads, which cannot wait for itself.
    deinit { beginClosing() }

    /// Runs `body` on one of the threads and gives back its result.
    ///
    /// A call that is cancelled while it waits is not made. One that has begun cannot be stopped
    /// and tells what it did.
    ///
    /// - Throws: what `body` throws; ``KeyError`` with code `unavailable` when too many calls
    ///   wait, when the call was cancelled, or after closing.
    func run<Result: Sendable>(
        _ body: @escaping @Sendable (TokenSession) throws(KeyError) -> Result
    ) async throws(KeyError) -> Result {
        let call = TokenCall(body)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                call.wait(with: continuation)
                submit(call)
            }
        } onCancel: {
            call.refuse("the call was cancelled")
        }
        guard let answer = call.answer else {
            throw KeyError(.unavailable, "a call of the token ended without an answer")
        }
        return try answer.get()
    }

    /// Refuses calls that wait and calls to come, and returns when those under way have ended and
    /// the sessions are closed.
    func close() async {
        beginClosing()
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.threadCount > 0 else { return true }
                state.closers.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    // MARK: -

    private func submit(_ call: any WaitingCall) {
        let reason: String? = state.updateWakingOne { state in
            if state.isClosing { return "the provider is closed" }
            if state.waiting.count >= queueCountMax {
                return "\(queueCountMax) calls wait for the token; try again later"
            }
            state.waiting.append(call)
            return nil
        }
        if let reason { call.refuse(reason) }
    }

    private func beginClosing() {
        let refused = state.update { state in
            state.isClosing = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for call in refused { call.refuse("the provider is closed") }
    }

    private static func work(_ state: Monitor<State>, _ token: Token) {
        let worker = TokenWorker(token)
        while let call = next(state) { call.run(on: worker) }
        worker.disconnect()
        // The count goes down before the library is given up, so that only one thread does it; and
        // whoever closes hears of it afterwards, so that it is then really given up.
        let isLast = state.withLock { state in
            guard state.threadCount == 1 else {
                state.threadCount -= 1
                return false
            }
            return true
        }
        guard isLast else { return }
        token.release()
        let closers = state.withLock { state in
            state.threadCount = 0
            return state.closers
        }
        for closer in closers { closer.resume() }
    }

    private static func next(_ state: Monitor<State>) -> (any WaitingCall)? {
        state.wait { state -> (any WaitingCall)?? in
            guard state.waiting.isEmpty else { return .some(state.waiting.removeFirst()) }
            return state.isClosing ? .some(nil) : nil
        }
    }
}
