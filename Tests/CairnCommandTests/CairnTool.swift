// Part of Cairn, a content-addressed blob store.
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
        let process = child(arguments, environment: environment)
        process.standardInput = files.input
        process.standardOutput = files.output
        process.standardError = files.error
        try await process.runToEnd()
        return try Outcome(
            exitCode: process.terminationStatus, output: files.outputBytes(),
            error: String(decoding: files.errorBytes(), as: UTF8.self))
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

    /// A process that is ready to run `cairn` on the store.
    func child(_ arguments: [String], environment: [String: String] = [:]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["timeout", "--kill-after=5", "\(Self.secondsMax)", Self.executable] + arguments
        // What the developer's own environment says about a store must not matter.
        var merged = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("CAIRN_") }
        merged["CAIRN_STORE"] = store
        process.environment = merged.merging(environment) { _, new in new }
        process.currentDirectoryURL = scratch
        return process
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
    let input: FileHandle
    let output: FileHandle
    let error: FileHandle
    private let outputURL: URL
    private let errorURL: URL

    init(in directory: URL, input bytes: [UInt8]) throws {
        let streams = directory.appendingPathComponent(".streams-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: streams, withIntermediateDirectories: true)
        outputURL = streams.appendingPathComponent("output")
        errorURL = streams.appendingPathComponent("error")
        let inputURL = streams.appendingPathComponent("input")
        try Data(bytes).write(to: inputURL)
        for url in [outputURL, errorURL] { try Data().write(to: url) }
        input = try FileHandle(forReadingFrom: inputURL)
        output = try FileHandle(forWritingTo: outputURL)
        error = try FileHandle(forWritingTo: errorURL)
    }

    func outputBytes() throws -> [UInt8] { try [UInt8](Data(contentsOf: outputURL)) }
    func errorBytes() throws -> [UInt8] { try [UInt8](Data(contentsOf: errorURL)) }
}

extension Process {
    /// Starts the process and waits for its end without blocking a thread.
    func runToEnd() async throws {
        try await withCheckedThrowingContinuation {
            (waiter: CheckedContinuation<Void, any Error>) in
            terminationHandler = { _ in waiter.resume() }
            do { try runWithSignals() } catch { waiter.resume(throwing: error) }
        }
    }

    /// Starts the process with all signals deliverable.
    ///
    /// A child inherits the mask of the thread that starts it, and the threads that run tests
    /// block SIGTERM: neither `stop` nor `timeout` could end it then.
    func runWithSignals() throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try run()
    }
}
