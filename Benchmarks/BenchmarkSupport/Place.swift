// Part of Cairn, a content-addressed blob store.

public import ArgumentParser
import Foundation

/// Where a benchmark works.
public struct Place: ParsableArguments {
    @Option(help: "Where to work.")
    var directory = NSTemporaryDirectory()

    /// As the command line says.
    public init() {}

    /// Calls `body` with a path where nothing is yet; removes what it has put there.
    public func withStorePath<R>(_ body: (String) async throws -> R) async throws -> R {
        let path = "\(directory)/cairn-benchmark-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await body(path)
    }
}
