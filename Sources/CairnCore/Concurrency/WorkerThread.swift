// Part of Cairn, a content-addressed blob store.

internal import Glibc

/// A thread of the operating system that runs one closure. Join it once, from another thread.
@safe
package struct WorkerThread: Sendable {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private let handle: pthread_t

    /// Starts the thread; nil when the system gives none.
    package init?(_ body: @escaping @Sendable () -> Void) {
        let start = unsafe Unmanaged.passRetained(Start(body))
        var handle = pthread_t()
        let result = unsafe pthread_create(
            &handle, nil,
            { argument in
                if let argument = unsafe argument {
                    unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            }, start.toOpaque())
        guard result == 0 else {
            unsafe start.release()
            return nil
        }
        self.handle = handle
    }

    /// Waits for the end of the thread.
    package func join() { pthread_join(handle, nil) }

    /// Lets the thread end on its own; instead of joining it.
    package func detach() { pthread_detach(handle) }
}
