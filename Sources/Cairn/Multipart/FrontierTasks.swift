// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// Digests parts of multipart uploads in the background: one task for an upload, some uploads at a
/// time. Thread-safe.
///
/// What is not done here is done by the completion of the upload.
final class FrontierTasks: Sendable {
    /// Each holds the buffers of one reader, 5 MiB.
    static let taskCountMax = 16

    private struct Entry {
        let task: Task<Void, Never>
        /// Somebody came by meanwhile: what he has brought may have been overlooked.
        var isWantedAgain = false
    }

    private struct State {
        var entries: [MultipartUploadID: Entry] = [:]
        var isStopped = false
    }

    private let state = Mutex(State())

    /// Has `work` done, unless enough others are at work.
    ///
    /// - Parameter work: done again if somebody comes by meanwhile.
    func run(_ id: MultipartUploadID, _ work: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            if state.entries[id] != nil {
                state.entries[id]?.isWantedAgain = true
                return
            }
            guard !state.isStopped, state.entries.count < Self.taskCountMax else { return }
            // It looks at its entry only when that is there.
            let task = Task { [self] in
                repeat { await work() } while isWantedAgain(id)
            }
            state.entries[id] = Entry(task: task)
        }
    }

    /// Has the work on an upload end soon, and waits for that.
    func interrupt(_ id: MultipartUploadID) async {
        guard let task = state.withLock({ $0.entries[id]?.task }) else { return }
        task.cancel()
        await task.value
    }

    /// Waits until nobody is at work on an upload.
    func wait(for id: MultipartUploadID) async {
        while let task = state.withLock({ $0.entries[id]?.task }) { await task.value }
    }

    /// Ends all work and waits until it has ended.
    func stop() async {
        let tasks = state.withLock { state in
            state.isStopped = true
            return state.entries.values.map(\.task)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    // Ends the work, unless somebody came by.
    private func isWantedAgain(_ id: MultipartUploadID) -> Bool {
        state.withLock { state in
            guard !Task.isCancelled, state.entries[id]?.isWantedAgain == true else {
                state.entries[id] = nil
                return false
            }
            state.entries[id]?.isWantedAgain = false
            return true
        }
    }
}
