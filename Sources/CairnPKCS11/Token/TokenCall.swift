// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

/// A call that waits for a thread, whatever its result.
protocol WaitingCall: Sendable {
    /// Makes the call, unless it was refused meanwhile.
    func run(on worker: TokenWorker)
    /// Answers without making the call, unless it has begun.
    func refuse(_ reason: String)
}

/// One call and who waits for it; has exactly one answer. Thread-safe.
final class TokenCall<Result: Sendable>: WaitingCall {
    typealias Answer = Swift.Result<Result, KeyError>
    typealias Waiter = CheckedContinuation<Void, Never>

    private enum Stage {
        case new
        case waiting(Waiter)
        case running(Waiter)
        case answered(Answer)
    }

    private let stage = Monitor(Stage.new)
    private let body: @Sendable (TokenSession) throws(KeyError) -> Result

    init(_ body: @escaping @Sendable (TokenSession) throws(KeyError) -> Result) {
        self.body = body
    }

    /// Says who waits; goes on at once when the task was cancelled before.
    func wait(with waiter: Waiter) {
        let isAnswered = stage.withLock { stage in
            if case .answered = stage { return true }
            stage = .waiting(waiter)
            return false
        }
        if isAnswered { waiter.resume() }
    }

    /// The answer, once the waiter goes on.
    var answer: Answer? {
        stage.withLock { stage in
            if case .answered(let answer) = stage { answer } else { nil }
        }
    }

    func run(on worker: TokenWorker) {
        let waiter: Waiter? = stage.withLock { stage in
            guard case .waiting(let waiter) = stage else { return nil }
            stage = .running(waiter)
            return waiter
        }
        guard let waiter else { return }
        let answer: Answer
        do throws(KeyError) {
            answer = .success(try worker.perform(body))
        } catch {
            answer = .failure(error)
        }
        stage.withLock { $0 = .answered(answer) }
        waiter.resume()
    }

    func refuse(_ reason: String) {
        let waiter: Waiter? = stage.withLock { stage in
            let waiter: Waiter?
            switch stage {
            case .new: waiter = nil
            case .waiting(let found): waiter = found
            case .running, .answered: return nil
            }
            stage = .answered(.failure(KeyError(.unavailable, reason)))
            return waiter
        }
        waiter?.resume()
    }
}
