// Part of Cairn, a content-addressed blob store.

import Foundation
import Synchronization

/// Runs a closure on so many threads at once, and returns when all have ended.
///
/// Real threads, since the calls under test block: a task would block the pool that all tests
/// share.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    for index in 0..<count {
        group.enter()
        let thread = Thread {
            body(index)
            group.leave()
        }
        thread.start()
    }
    group.wait()
}

/// A directory of its own for a test, removed with all that is in it.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory
        .appendingPathComponent("cairn-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// A value that threads share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func update(_ body: (inout Value) -> Void) { value.withLock { body(&$0) } }

    var current: Value { value.withLock { $0 } }
}

/// Gives way to other threads that are ready.
func yieldThread() { sched_yield() }
