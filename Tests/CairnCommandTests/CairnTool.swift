// Part of Cairn, a content-addressed blob store.
import CairnTestSupport
import Foundation

/// What a finished process left.
struct Outcome {
    /// The exit code; 124 when the time was up.
    let exitCode: Int32
    /// The bytes of standard output.
    let output: [UInt8]
    /// The text of standard error.
    let error: String

    /// Standard output as text.
    var text: String { String(decoding: output, as: UTF8.self) }

    /// The lines of standard output.
    var lines: [String] { text.split(separator: "\n").map(String.init) }
}

/// The built `cairn`, with a store and a scratch directory of its own.
///
/// Every child runs under `timeout`, so none outlives a test that is killed by much.
final class CairnTool: Sendable {
    /// The longest a command may run before it is killed, in seconds.
    static let secondsMax = 120

    /// Where a test may put files; removed with this object.
    let scratch: URL

    /// The store's directory, not created yet.
    var store: String { scratch.appendingPathComponent("store").path }

    init() throws {
        scratch = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-command-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: scratch)
    }

    /// A tool whose store has one bucket named `app/web`.
    static func withBucket() async throws -> CairnTool {
        let tool = try CairnTool()
        _ = try await tool.succeed("init")
        _ = try await tool.succeed("bucket", "create", "app/web")
        return tool
    }

    /// The path of a file in the scratch directory.
    func path(_ name: String) -> String {
        scratch.appendingPathComponent(name).path
    }

    /// Writes a file into the scratch directory and answers its path.
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: path(name)))
        return path(name)
    }

    /// Runs a command to its end.
    func run(
        _ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:]
    ) async throws -> Outcome {
        let files = try ChildFiles(in: scratch, input: input)
        let process = try child(
            arguments, environment: environment, input: .file(files.input),
            output: .file(files.output), error: .file(files.error))
        return try Outcome(
            exitCode: await process.end(), output: read(files.output),
            error: String(decoding: read(files.error), as: UTF8.self))
    }

    /// Runs a command to its end.
    func run(_ arguments: String..., input: [UInt8] = []) async throws -> Outcome {
        try await run(arguments, input: input)
    }

    /// Runs a command that must succeed.
    func succeed(_ arguments: String..., input: [UInt8] = []) async throws -> Outcome {
        let outcome = try await run(arguments, input: input)
        guard outcome.exitCode == 0 else { throw UnexpectedFailure(arguments, outcome) }
        return outcome
    }

    /// Starts `cairn` on the store.
    func child(
        _ arguments: [String], environment: [String: String] = [:], input: ChildProcess.Stream,
        output: ChildProcess.Stream, error: ChildProcess.Stream
    ) throws -> ChildProcess {
        // What the developer's own environment says about a store must not matter.
        var merged = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("CAIRN_") }
        merged["CAIRN_STORE"] = store
        return try ChildProcess(
            ["/usr/bin/timeout", "--kill-after=5", "\(Self.secondsMax)", Self.executable]
                + arguments, environment: merged.merging(environment) { _, new in new },
            directory: scratch.path, input: input, output: output, error: error)
    }

    /// The program, which the build leaves beside the test bundle.
    static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("cairn").path
}

/// A command that failed although it should not have.
struct UnexpectedFailure: Error, CustomStringConvertible {
    let description: String

    init(_ arguments: [String], _ outcome: Outcome) {
        description =
            "cairn \(arguments.joined(separator: " ")) ended with \(outcome.exitCode): "
            + outcome.error
    }
}

/// Files that stand for the standard streams, so that no pipe can fill up.
private struct ChildFiles {
    let input: String
    let output: String
    let error: String

    init(in directory: URL, input bytes: [UInt8]) throws {
        let streams = directory.appendingPathComponent(".streams-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: streams, withIntermediateDirectories: true)
        input = streams.appendingPathComponent("input").path
        output = streams.appendingPathComponent("output").path
        error = streams.appendingPathComponent("error").path
        try Data(bytes).write(to: URL(fileURLWithPath: input))
    }
}
