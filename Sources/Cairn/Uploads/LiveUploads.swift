// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// The upload sessions that somebody in this process has in his hands: one at a time.
final class LiveUploads: Sendable {
    /// The right to a session, until it is released.
    struct Claim: Sendable {
        let id: UploadID
        fileprivate let number: UInt64
    }

    private struct State {
        var numbers: [UploadID: UInt64] = [:]
        var nextNumber: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Nil when somebody else has the session.
    func claim(_ id: UploadID) -> Claim? {
        state.withLock { state in
            guard state.numbers[id] == nil else { return nil }
            defer { state.nextNumber += 1 }
            state.numbers[id] = state.nextNumber
            return Claim(id: id, number: state.nextNumber)
        }
    }

    /// Gives a session back; a claim that was released before takes nothing from its successor.
    func release(_ claim: Claim) {
        state.withLock { state in
            if state.numbers[claim.id] == claim.number { state.numbers[claim.id] = nil }
        }
    }

    var count: Int { state.withLock { $0.numbers.count } }
}
