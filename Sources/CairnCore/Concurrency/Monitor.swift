// Part of Cairn, a content-addressed blob store.

internal import Glibc

/// State behind a lock, and a way to wait until it has changed.
///
/// Inside of the lock belongs neither input nor output nor a call of foreign code. The standard
/// library has a mutex and no condition to wait for, hence this pair of POSIX.
///
/// `@unchecked Sendable`: `state` is touched only while `mutex` is held.
@safe
package final class Monitor<State>: @unchecked Sendable {
    private var state: State
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    /// Guards a state.
    package init(_ state: sending State) {
        self.state = state
        unsafe mutex = .allocate(capacity: 1)
        unsafe changed = .allocate(capacity: 1)
        let mutexResult = unsafe pthread_mutex_init(mutex, nil)
        let conditionResult = unsafe pthread_cond_init(changed, nil)
        // With default attributes neither can fail on Linux (man 3 pthread_mutex_init).
        assert(mutexResult == 0)
        assert(conditionResult == 0)
    }

    deinit {
        unsafe pthread_cond_destroy(changed)
        unsafe pthread_mutex_destroy(mutex)
        unsafe changed.deallocate()
        unsafe mutex.deallocate()
    }

    /// Looks at the state or changes it without waking anyone.
    package func withLock<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Changes the state and wakes all who wait.
    package func update<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_cond_broadcast(changed)
            unsafe pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Changes the state and wakes one of those who wait; for states that one waiter takes on.
    package func updateWakingOne<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_cond_signal(changed)
            unsafe pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Waits until `body` returns a value or throws; it runs under the lock, each time that the
    /// state may have changed.
    package func wait<Result, Failure: Error>(
        for body: (inout State) throws(Failure) -> Result?
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = try body(&state) { return result }
            unsafe pthread_cond_wait(changed, mutex)
        }
    }
}
