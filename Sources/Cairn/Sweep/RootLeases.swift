// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// Which trees are being read, and which chunks are about to be swept.
///
/// A tree is kept by its root alone: a node that has a row counts its children, so nothing below a
/// root that is not swept is ever swept either. The sweep condemns a chunk before it deletes its
/// row and absolves it when that has taken effect; meanwhile nobody can lease it, and who asks
/// waits. So a reader that holds a lease and finds the row will find the whole tree.
/// Thread-safe.
final class RootLeases: Sendable {
    private struct State {
        var counts: [ChunkID: Int] = [:]
        var condemned: Set<ChunkID> = []
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Keeps a root, and so its tree, until the lease goes. Waits while the root is condemned.
    func lease(_ root: ChunkID) async -> RootLease {
        while true {
            let isHeld = state.withLock { state in
                guard !state.condemned.contains(root) else { return false }
                state.counts[root, default: 0] += 1
                return true
            }
            if isHeld { return RootLease(root, self) }
            await waitForAbsolution(of: root)
        }
    }

    /// Condemns those of `ids` that nobody leases or has condemned, and answers them.
    func condemn(_ ids: [ChunkID]) -> [ChunkID] {
        state.withLock { state in
            ids.filter { id in
                state.counts[id] == nil && state.condemned.insert(id).inserted
            }
        }
    }

    /// Ends the condemnation of chunks whose fate is durable, or that were spared.
    func absolve(_ ids: [ChunkID]) {
        let waiters = state.withLock { state in
            state.condemned.subtract(ids)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// How many roots are leased.
    var count: Int { state.withLock { $0.counts.count } }

    func isLeased(_ root: ChunkID) -> Bool { state.withLock { $0.counts[root] != nil } }

    fileprivate func release(_ root: ChunkID) {
        state.withLock { state in
            guard let count = state.counts[root] else { return }
            state.counts[root] = count > 1 ? count - 1 : nil
        }
    }

    private func waitForAbsolution(of root: ChunkID) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.condemned.contains(root) else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }
}

/// Keeps one tree from the sweep for as long as it is referred to.
final class RootLease: Sendable {
    private let root: ChunkID
    private let leases: RootLeases

    fileprivate init(_ root: ChunkID, _ leases: RootLeases) {
        self.root = root
        self.leases = leases
    }

    deinit { leases.release(root) }
}
