// Part of Cairn, a content-addressed blob store.
internal import Glibc

/// A lock that many calls pass side by side and one closing call waits for.
///
/// Thread-safe.
@safe final class AccessGate: @unchecked Sendable {
    // Unchecked: the lock is made for sharing and never moves.
    private let lock: UnsafeMutablePointer<pthread_rwlock_t>

    init() {
        unsafe lock = .allocate(capacity: 1)
        // The default attributes can't be refused (man 3 pthread_rwlock_init: ENOMEM, EAGAIN are
        // for systems where a lock needs resources; with glibc it doesn't).
        let result = unsafe pthread_rwlock_init(lock, nil)
        assert(result == 0)
    }

    deinit {
        unsafe pthread_rwlock_destroy(lock)
        unsafe lock.deallocate()
    }

    /// Runs while no one has the gate to himself.
    @inline(__always)
    func pass<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        unsafe pthread_rwlock_rdlock(lock)
        defer { unsafe pthread_rwlock_unlock(lock) }
        return try body()
    }

    /// Runs alone, after every pass under way has ended.
    func closeOff<R>(_ body: () -> R) -> R {
        unsafe pthread_rwlock_wrlock(lock)
        defer { unsafe pthread_rwlock_unlock(lock) }
        return body()
    }
}
