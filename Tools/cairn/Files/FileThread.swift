// Part of Cairn, a content-addressed blob store.
internal import Dispatch

/// A thread for calls that block, such as reading a pipe, so that they never hold up the
/// threads on which Swift runs tasks.
///
/// Thread-safety: calls may come from anywhere; they run one after the other.
final class FileThread: Sendable {
    private let queue = DispatchQueue(label: "cairn.files")

    /// Runs `body` on the thread and waits for it without blocking.
    func run<Result: Sendable>(
        _ body: @escaping @Sendable () throws(FileFailure) -> Result
    ) async throws(FileFailure) -> Result {
        let outcome: Swift.Result<Result, FileFailure> = await withCheckedContinuation { waiter in
            queue.async { waiter.resume(returning: Swift.Result(catching: body)) }
        }
        return try outcome.get()
    }
}
