// Part of Cairn, a content-addressed blob store.

internal import CairnCore
import Foundation

/// Threads that run beside the test.
///
/// Real ones, since the calls under test block: tasks would block the pool that all tests share,
/// and a dispatch queue starts no more threads than there are processors while those are busy.
public final class TestThreads: Sendable {
    private let runningCount: Monitor<Int>

    /// Starts so many threads, each with its number.
    public init(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        runningCount = Monitor(count)
        for number in 0..<count {
            let thread = Thread { [runningCount] in
                body(number)
                runningCount.update { $0 -= 1 }
            }
            thread.start()
        }
    }

    /// Blocks until all have ended.
    public func wait() {
        runningCount.wait { $0 == 0 ? () : nil }
    }
}

/// Runs a closure on so many threads at once, and returns when all have ended.
public func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    TestThreads(count, body).wait()
}

/// A value that threads share.
public final class Shared<Value: Sendable>: Sendable {
    private let value: Monitor<Value>

    /// Guards a value.
    public init(_ value: Value) { self.value = Monitor(value) }

    /// Changes the value.
    public func update(_ body: (inout Value) -> Void) { value.withLock { body(&$0) } }

    /// The value as it is now.
    public var current: Value { value.withLock { $0 } }
}

/// Gives way to other threads that are ready.
public func yieldThread() { sched_yield() }
