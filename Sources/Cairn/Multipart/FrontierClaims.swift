// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// Which multipart uploads somebody brings forward: one call at a time, and none of the others
/// waits. Thread-safe.
final class FrontierClaims: Sendable {
    private enum State {
        case running
        /// Somebody else came by meanwhile: what he has brought may have been overlooked.
        case wantedAgain
    }

    private let states = Mutex<[MultipartUploadID: State]>([:])

    /// False when somebody is at it, who will look again before he ends.
    func begin(_ id: MultipartUploadID) -> Bool {
        states.withLock { states in
            guard states[id] == nil else {
                states[id] = .wantedAgain
                return false
            }
            states[id] = .running
            return true
        }
    }

    /// Ends the work, unless somebody came by meanwhile.
    func isWantedAgain(_ id: MultipartUploadID) -> Bool {
        states.withLock { states in
            let isWanted = states[id] == .wantedAgain
            states[id] = isWanted ? .running : nil
            return isWanted
        }
    }

    /// Ends the work in any case.
    func abandon(_ id: MultipartUploadID) { states.withLock { $0[id] = nil } }
}
