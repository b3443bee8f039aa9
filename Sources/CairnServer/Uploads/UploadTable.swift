// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnRegistry
internal import Synchronization

/// The upload sessions that are open between requests.
///
/// A session is lent to one request at a time. Only so many stay open; the one that was idle
/// longest is suspended, and resumed from the store when its next request comes. Safe to share
/// between tasks.
final class UploadTable: Sendable {
    private struct Entry {
        let repositoryID: String
        let repositoryName: String
        /// Nil while the store resumes it.
        var session: UploadSession?
        var isLent: Bool
        /// Requests that wait until the session, which is being suspended, can be resumed.
        var waiters: [CheckedContinuation<Void, Never>]?
        var lastUse: UInt64
        var lastUseTime = ContinuousClock.now
        /// What a client has been told to be safe.
        var acknowledgedByteCount: UInt64
    }

    private struct State {
        var entries: [UploadID: Entry] = [:]
        var useCount: UInt64 = 0
        var isClosed = false

        /// Requests for the session wait from here on.
        mutating func takeToSuspend(_ id: UploadID) -> UploadSession? {
            entries[id]?.isLent = true
            entries[id]?.waiters = []
            return entries[id]?.session
        }

        mutating func insert(
            _ id: UploadID, _ repository: Repository, _ session: UploadSession?
        ) {
            useCount += 1
            entries[id] = Entry(
                repositoryID: repository.id, repositoryName: repository.name, session: session,
                isLent: true, lastUse: useCount,
                acknowledgedByteCount: 0)
        }
    }

    private let openCountMax: Int
    private let state = Mutex(State())

    /// - Parameter openCountMax: the most sessions that are open at once, idle or lent.
    init(openCountMax: Int) { self.openCountMax = openCountMax }

    /// Starts a session, which is lent to the caller.
    func begin(
        in repository: Repository, algorithm: Digest.Algorithm, byteCount: UInt64?
    ) async throws -> UploadSession {
        await makeRoom(for: 1)
        let session = try await repository.beginUpload(
            algorithm: algorithm, expectedByteCount: byteCount)
        let isOpen = state.withLock { state in
            guard !state.isClosed else { return false }
            state.insert(session.id, repository, session)
            return true
        }
        guard isOpen else { throw Failure.shuttingDown }
        return session
    }

    /// Lends a session, resumed from the store if need be.
    ///
    /// - Throws: `uploadUnknown`, also for a session of another repository; `uploadBusy` when it
    ///   is lent already.
    func borrow(_ id: UploadID, in repository: Repository) async throws -> UploadSession {
        while true {
            switch try claim(id, repository) {
            case .open(let session): return session
            case .leaving: await waitForEnd(of: id)
            case .closed: return try await resume(id, repository)
            }
        }
    }

    /// Takes a session back that stays open.
    ///
    /// - Parameter acknowledged: how many bytes the client is told to be safe.
    func giveBack(_ session: UploadSession, acknowledged: UInt64? = nil) {
        state.withLock { state in
            state.useCount += 1
            state.entries[session.id]?.isLent = false
            state.entries[session.id]?.lastUse = state.useCount
            state.entries[session.id]?.lastUseTime = ContinuousClock.now
            if let acknowledged {
                state.entries[session.id]?.acknowledgedByteCount = acknowledged
            }
        }
    }

    /// Takes a session back whose request failed: what it received stays, its memory goes.
    func suspend(_ session: UploadSession) async {
        // The request has failed already, and an error here would tell nothing more: the session
        // then stands where it was last acknowledged.
        do { try await session.suspend() } catch {}
        forget(session.id)
    }

    /// Takes a session back that is finished or cancelled.
    func forget(_ id: UploadID) {
        let entry = state.withLock { $0.entries.removeValue(forKey: id) }
        for waiter in entry?.waiters ?? [] { waiter.resume() }
    }

    /// Lends a session that is open and idle; nil when it is not open here.
    ///
    /// - Throws: `uploadBusy` when a request has it.
    func takeIdle(_ id: UploadID, inBucket name: String) throws(AdminError) -> UploadSession? {
        let (isBusy, session) = state.withLock { state -> (Bool, UploadSession?) in
            guard let entry = state.entries[id], entry.repositoryName == name else {
                return (false, nil)
            }
            guard !entry.isLent else { return (true, nil) }
            state.entries[id]?.isLent = true
            return (false, entry.session)
        }
        guard !isBusy else {
            throw AdminError(.uploadBusy, "A client is sending bytes to the upload session.")
        }
        return session
    }

    /// How many bytes of a session are safe, while a request has it; nil when none has.
    func acknowledgedByteCount(_ id: UploadID, in repository: Repository) -> UInt64? {
        state.withLock { state in
            guard let entry = state.entries[id], entry.isLent, entry.session != nil,
                entry.repositoryID == repository.id
            else { return nil }
            return entry.acknowledgedByteCount
        }
    }

    /// Suspends every session and lends none from now on. Call it when no request runs any more.
    func close() async {
        let sessions = state.withLock { state in
            state.isClosed = true
            let sessions = state.entries.values.compactMap { $0.session }
            state.entries = [:]
            return sessions
        }
        for session in sessions { await suspend(session) }
    }

    /// Suspends sessions that nobody has used for so long: from then on they expire as any other,
    /// and hold no memory.
    func suspendIdle(for duration: Duration) async {
        while let session = takeIdle(since: ContinuousClock.now - duration) {
            await suspend(session)
        }
    }

    private func takeIdle(since moment: ContinuousClock.Instant) -> UploadSession? {
        state.withLock { state in
            let idle = state.entries.first { !$0.value.isLent && $0.value.lastUseTime <= moment }
            guard let idle else { return nil }
            return state.takeToSuspend(idle.key)
        }
    }

    // MARK: -

    private enum Claim {
        case open(UploadSession)
        /// The caller has to resume it.
        case closed
        /// It is being suspended to make room; soon it can be resumed.
        case leaving
    }

    /// Marks a session as lent.
    private func claim(_ id: UploadID, _ repository: Repository) throws -> Claim {
        try state.withLock { state in
            guard !state.isClosed else { throw Failure.shuttingDown }
            guard var entry = state.entries[id] else {
                state.insert(id, repository, nil)
                return .closed
            }
            guard entry.repositoryID == repository.id else {
                throw RegistryError(
                    .uploadUnknown, "The repository has no such upload session.")
            }
            if entry.waiters != nil { return .leaving }
            guard !entry.isLent, let session = entry.session else {
                throw RegistryError(
                    .uploadBusy, "Another request writes to the upload session.")
            }
            entry.isLent = true
            state.entries[id] = entry
            return .open(session)
        }
    }

    private func resume(_ id: UploadID, _ repository: Repository) async throws -> UploadSession {
        await makeRoom(for: 0)
        do {
            let session = try await repository.resumeUpload(id)
            state.withLock { state in
                state.entries[id]?.session = session
                state.entries[id]?.acknowledgedByteCount = session.status.durableByteCount
            }
            return session
        } catch {
            forget(id)
            throw error
        }
    }

    private func waitForEnd(of id: UploadID) async {
        await withCheckedContinuation { continuation in
            let isWaiting = state.withLock { state in
                guard state.entries[id]?.waiters != nil else { return false }
                state.entries[id]?.waiters?.append(continuation)
                return true
            }
            if !isWaiting { continuation.resume() }
        }
    }

    /// Suspends idle sessions until there is room. When all are lent, the limit gives way: the
    /// number of connections bounds them.
    private func makeRoom(for count: Int) async {
        while let session = takeOldestIdle(for: count) { await suspend(session) }
    }

    private func takeOldestIdle(for count: Int) -> UploadSession? {
        state.withLock { state in
            guard state.entries.count + count > openCountMax else { return nil }
            let idle = state.entries.filter { !$0.value.isLent }
            guard let oldest = idle.min(by: { $0.value.lastUse < $1.value.lastUse }) else {
                return nil
            }
            return state.takeToSuspend(oldest.key)
        }
    }
}
