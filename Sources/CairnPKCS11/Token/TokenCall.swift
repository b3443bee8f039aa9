// Part of Cairn, a content-addressed blob store.

internal import CairnKeys
internal import Synchronization

/// A call that waits for a thread, whatever its result.
protocol WaitingCall: Sendable {
    /// Makes the call, unless it was refused meanwhile.
    func run(on worker: TokenWorker)
    /// Answers without making the call, unless it has begun.
    func refuse(_ reason: String)
}

/// One call and who waits for it; answers exactly once. Thread-safe.
final class TokenCall<Result: Sendable>: WaitingCall {
    typealias Answer = Swift.Result<Result, KeyError>

    private enum Stage {
        case new
        case refused(KeyError)
        case waiting(CheckedContinuation<Answer, Never>)
        case taken
    }

    private let stage = Mutex(Stage.new)
    private let body: @Sendable (TokenSession) throws(KeyError) -> Result

    init(_ body: @escaping @Sendable (TokenSession) throws(KeyError) -> Result) {
        self.body = body
    }

    /// Says who waits. Refused already when the task was cancelled before.
    func wait(with continuation: CheckedContinuation<Answer, Never>) {
        let refusal: KeyError? = stage.withLock { stage in
            if case .refused(let error) = stage {
                stage = .taken
                return error
            }
            stage = .waiting(continuation)
            return nil
        }
        if let refusal { continuation.resume(returning: .failure(refusal)) }
    }

    func run(on worker: TokenWorker) {
        let waiter: CheckedContinuation<Answer, Never>? = stage.withLock { stage in
            guard case .waiting(let waiter) = stage else { return nil }
            stage = .taken
            return waiter
        }
        guard let waiter else { return }
        do throws(KeyError) {
            waiter.resume(returning: .success(try worker.perform(body)))
        } catch {
            waiter.resume(returning: .failure(error))
        }
    }

    func refuse(_ reason: String) {
        let error = KeyError(.unavailable, reason)
        let waiter: CheckedContinuation<Answer, Never>? = stage.withLock { stage in
            switch stage {
            case .new:
                stage = .refused(error)
                return nil
            case .waiting(let waiter):
                stage = .taken
                return waiter
            case .refused, .taken:
                return nil
            }
        }
        waiter?.resume(returning: .failure(error))
    }
}
