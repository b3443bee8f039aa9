// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// The upload sessions that this process has in its hands: no two handles for one session.
final class LiveUploads: Sendable {
    private let ids = Mutex<Set<UploadID>>([])

    /// False when a handle exists already.
    func insert(_ id: UploadID) -> Bool { ids.withLock { $0.insert(id).inserted } }
    func remove(_ id: UploadID) { ids.withLock { _ = $0.remove(id) } }
    func contains(_ id: UploadID) -> Bool { ids.withLock { $0.contains(id) } }
    var count: Int { ids.withLock { $0.count } }
}
