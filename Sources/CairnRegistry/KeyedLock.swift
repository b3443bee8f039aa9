// Part of Cairn, a content-addressed blob store.
internal import Synchronization

/// Lets one task at a time work on each of many keys; waiting tasks get their turn in order.
///
/// Safe to share. A key takes memory only while someone holds it. Waiting is not ended by
/// cancellation: what is done under the lock is short.
final class KeyedLock: Sendable {
    private typealias Waiters = [CheckedContinuation<Void, Never>]

    /// The keys that are held, and who waits for each.
    private let held = Mutex<[String: Waiters]>([:])

    /// Runs `body` while no other task runs one for the same key.
    func withLock<Value, Failure: Error>(
        _ key: String, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await acquire(key)
        defer { release(key) }
        return try await body()
    }

    // MARK: -

    private func acquire(_ key: String) async {
        await withCheckedContinuation { continuation in
            let isFree = held.withLock { held in
                guard held[key] != nil else {
                    held[key] = []
                    return true
                }
                held[key]?.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// Hands the key to the one that has waited longest.
    private func release(_ key: String) {
        let next = held.withLock { held -> CheckedContinuation<Void, Never>? in
            guard var waiters = held[key], !waiters.isEmpty else {
                held[key] = nil
                return nil
            }
            let next = waiters.removeFirst()
            held[key] = waiters
            return next
        }
        next?.resume()
    }
}
