// Part of Cairn, a content-addressed blob store.
internal import Foundation

/// A process that a test has started.
///
/// In place of Foundation's, which looks at every open descriptor before it starts one, and now
/// and then reads beyond the end of a directory's buffer there.
public final class ChildProcess: Sendable {
    /// Where a standard stream of the child goes or comes from.
    public enum Stream: Sendable {
        case null
        case inherited
        /// A file: created or emptied for output.
        case file(String)
        /// A descriptor of the caller's, who closes it.
        case descriptor(CInt)
    }

    /// The number of the process.
    public let number: Int32
    private let code: Shared<Int32?> = Shared(nil)
    private let waiting = NSLock()

    /// Starts a program with all signals deliverable and no other descriptor than the three.
    ///
    /// - Parameters:
    ///   - command: the path of the program, and its arguments.
    ///   - environment: nil inherits it.
    public init(
        _ command: [String], environment: [String: String]? = nil, directory: String = ".",
        input: Stream = .null, output: Stream = .null, error: Stream = .null
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (target, stream) in [(CInt(0), input), (1, output), (2, error)] {
            let flags = target == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC
            switch stream {
            case .null:
                posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0)
            case .inherited: posix_spawn_file_actions_adddup2(&actions, target, target)
            case .file(let path):
                posix_spawn_file_actions_addopen(&actions, target, path, flags, 0o600)
            case .descriptor(let number):
                posix_spawn_file_actions_adddup2(&actions, number, target)
            }
        }
        GNU.closeFrom(&actions, 3)
        GNU.changeDirectory(&actions, directory)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A child inherits the mask of the thread that starts it, and threads that run tests block
        // SIGTERM; what the test ignores the child should not.
        var none = sigset_t()
        sigemptyset(&none)
        var pipe = sigset_t()
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &pipe)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let variables = environment ?? ProcessInfo.processInfo.environment
        var arguments = command.map { strdup($0) } + [nil]
        var settings = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + settings { free(text) } }
        var number = pid_t()
        let result = posix_spawn(
            &number, command[0], &actions, &attributes, &arguments, &settings)
        guard result == 0 else {
            throw Failure(
                description: "cannot start \(command[0]): \(String(cString: strerror(result)))")
        }
        self.number = number
    }

    /// Why a process did not start.
    public struct Failure: Error, CustomStringConvertible {
        /// What was to be started, and why it was not.
        public let description: String
    }

    /// Whether the process has not been waited for yet.
    public var isRunning: Bool { code.current == nil }

    /// Sends a signal, unless the process has been waited for.
    public func signal(_ signal: Int32) {
        if isRunning { kill(number, signal) }
    }

    /// Waits for the end of the process, away from the threads that run tests.
    ///
    /// - Returns: its exit code, or the number of the signal that ended it.
    @discardableResult
    public func end() async -> Int32 {
        await onThread { [self] in wait() }
    }

    private func wait() -> Int32 {
        waiting.lock()
        defer { waiting.unlock() }
        if let known = code.current { return known }
        var status: Int32 = 0
        while waitpid(number, &status, 0) < 0, errno == EINTR {}
        // As `man 2 waitpid` has it: the low seven bits are the signal, the next eight the code.
        let signal = status & 0x7F
        let found = signal == 0 ? (status >> 8) & 0xFF : signal
        code.update { $0 = found }
        return found
    }
}

/// Functions of glibc (since 2.34 and 2.29) that its headers show to C alone.
private enum GNU {
    typealias CloseFrom =
        @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt
    typealias ChangeDirectory =
        @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, UnsafePointer<CChar>) ->
        CInt

    static func closeFrom(_ actions: inout posix_spawn_file_actions_t, _ first: CInt) {
        let function = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np")
        _ = unsafeBitCast(function, to: CloseFrom.self)(&actions, first)
    }

    static func changeDirectory(_ actions: inout posix_spawn_file_actions_t, _ path: String) {
        let function = dlsym(nil, "posix_spawn_file_actions_addchdir_np")
        _ = unsafeBitCast(function, to: ChangeDirectory.self)(&actions, path)
    }
}

/// Runs something that blocks away from the threads that run tests.
public func onThread<Result: Sendable>(
    _ body: @escaping @Sendable () -> Result
) async -> Result {
    await withCheckedContinuation { waiter in
        Thread.detachNewThread { waiter.resume(returning: body()) }
    }
}
