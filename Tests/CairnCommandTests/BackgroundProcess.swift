// Part of Cairn, a content-addressed blob store.
import CairnTestSupport
import Foundation

/// A `cairn` that runs beside the test; stopped with this object at the latest.
final class BackgroundProcess: Sendable {
    private let process: ChildProcess
    private let input = Pipe()
    private let output = Pipe()

    /// Starts `cairn` with the arguments.
    init(_ tool: CairnTool, _ arguments: [String]) throws {
        // A process that ends early must fail the test, not the test runner.
        signal(SIGPIPE, SIG_IGN)
        process = try tool.child(
            arguments, input: .descriptor(input.fileHandleForReading.fileDescriptor),
            output: .descriptor(output.fileHandleForWriting.fileDescriptor), error: .null)
        // Only the child has them now, so that each side sees the other's end.
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
    }

    deinit { process.signal(SIGTERM) }

    /// The first line that the process prints; empty when it ends without one.
    func firstLine() async -> String {
        let handle = output.fileHandleForReading
        return await onThread {
            var line: [UInt8] = []
            while let byte = try? handle.read(upToCount: 1)?.first, byte != UInt8(ascii: "\n") {
                line.append(byte)
            }
            return String(decoding: line, as: UTF8.self)
        }
    }

    /// Writes to the standard input of the process, which has read all but what a pipe holds
    /// (64 KiB, man 7 pipe) on return.
    func write(_ bytes: [UInt8]) async throws {
        let handle = input.fileHandleForWriting
        let outcome = await onThread { Result { try handle.write(contentsOf: Data(bytes)) } }
        try outcome.get()
    }

    /// Ends the standard input of the process.
    func endInput() throws {
        try input.fileHandleForWriting.close()
    }

    /// Asks the process to stop and answers its exit code.
    func stop(_ signal: Int32 = SIGTERM) async -> Int32 {
        process.signal(signal)
        return await end()
    }

    /// Waits for the end of the process and answers its exit code.
    func end() async -> Int32 { await process.end() }
}
