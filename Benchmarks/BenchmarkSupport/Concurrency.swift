// Part of Cairn, a content-addressed blob store.

/// Calls `body` with each number below `count`, by so many tasks at once.
public func concurrently(
    _ width: Int, _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<width {
            group.addTask {
                for number in stride(from: worker, to: count, by: width) { try await body(number) }
            }
        }
        try await group.waitForAll()
    }
}
