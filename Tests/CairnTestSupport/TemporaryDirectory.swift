// Part of Cairn, a content-addressed blob store.

internal import Foundation

/// A directory of one test's own, removed with everything in it when the object goes.
public final class TemporaryDirectory: Sendable {
    /// Its absolute path.
    public let path: String

    /// Creates a directory that nobody else has.
    public init() throws {
        let name = "cairn-test-" + UUID().uuidString.lowercased()
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of something inside.
    public func path(_ name: String) -> String { path + "/" + name }

    /// A path inside that is not used yet.
    public func fresh(_ name: String = "index") -> String { path("\(name)-\(UUID().uuidString)") }
}

/// Runs a closure with a directory that is gone afterwards.
public func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let directory = try TemporaryDirectory()
    return try withExtendedLifetime(directory) { try body(directory.path) }
}

/// The same for work that waits.
public func withTemporaryDirectory<Result>(
    _ body: (String) async throws -> Result
) async throws -> Result {
    let directory = try TemporaryDirectory()
    defer { withExtendedLifetime(directory) {} }
    return try await body(directory.path)
}
