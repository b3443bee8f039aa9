// Part of Cairn, a content-addressed blob store.
internal import Synchronization

/// Tells once that all listeners of a server accept connections.
///
/// Thread-safe: each listener reports from a thread of its own.
final class Readiness: Sendable {
    private struct State {
        var missingCount: Int
        var port = 0
    }

    private let state: Mutex<State>
    private let onReady: @Sendable (Int) -> Void

    /// - Parameter onReady: called with the TCP port of the listener that has one.
    init(listenerCount: Int, _ onReady: @escaping @Sendable (Int) -> Void) {
        state = Mutex(State(missingCount: listenerCount))
        self.onReady = onReady
    }

    /// Reports that one more listener accepts connections, at a TCP port if it has one.
    func accepts(port: Int?) {
        let ready: Int? = state.withLock { state in
            state.missingCount -= 1
            if let port { state.port = port }
            return state.missingCount == 0 ? state.port : nil
        }
        if let ready { onReady(ready) }
    }
}
