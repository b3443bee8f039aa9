// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Tells when everyone who entered before some moment has left.
///
/// Whoever looks up where a chunk lies and has not made that known to others yet is inside. Who
/// wants to remove a segment first makes all look-ups to come answer otherwise, and then waits for
/// those that came before. Thread-safe.
final class EpochGate: Sendable {
    /// The right to rely on what was looked up since it was given.
    struct Pass: Sendable {
        fileprivate let epoch: UInt64
    }

    private struct State {
        var epoch: UInt64 = 0
        var counts: [UInt64: Int] = [:]
    }

    private let state = Monitor(State())

    func enter() -> Pass {
        state.withLock { state in
            state.counts[state.epoch, default: 0] += 1
            return Pass(epoch: state.epoch)
        }
    }

    func leave(_ pass: Pass) {
        let isLast = state.withLock { state in
            let rest = (state.counts[pass.epoch] ?? 0) - 1
            state.counts[pass.epoch] = rest > 0 ? rest : nil
            return rest <= 0
        }
        if isLast { state.update { _ in } }
    }

    /// Blocks until everyone has left who entered before the call. Not to be called from inside.
    func waitForEarlier() {
        let limit = state.withLock { state in
            defer { state.epoch += 1 }
            return state.epoch
        }
        state.wait { state in state.counts.keys.allSatisfy { $0 > limit } ? () : nil }
    }
}
