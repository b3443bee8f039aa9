// Part of Cairn, a content-addressed blob store.
internal import Glibc

/// A system call on a user's file that failed.
struct FileFailure: Error, CustomStringConvertible {
    /// What was attempted on which file, in words for a terminal.
    let attempt: String

    /// The system's error number.
    let number: Int32

    /// Whether nothing has that name.
    var isMissing: Bool { number == ENOENT }

    /// Whether something has that name already.
    var isExisting: Bool { number == EEXIST }

    /// Whether the disk that holds the file is full.
    var isOutOfSpace: Bool { number == ENOSPC || number == EDQUOT }

    /// Whether nobody reads the other end of the pipe any more.
    var isBrokenPipe: Bool { number == EPIPE }

    var description: String { "\(attempt): \(Descriptor.text(of: number))" }
}

/// An open file descriptor.
///
/// The command line tool calls the C library for files only here and in ``Path``. Every call
/// blocks the calling thread; use it from a ``FileThread``.
///
/// Thread-safety: a value may move between threads; its position belongs to one at a time.
final class Descriptor: Sendable {
    /// The descriptor of standard input.
    static let standardInput = Descriptor(
        number: STDIN_FILENO, name: "standard input", owned: false)

    /// The descriptor of standard output.
    static let standardOutput = Descriptor(
        number: STDOUT_FILENO, name: "standard output", owned: false)

    /// The descriptor of standard error.
    static let standardError = Descriptor(
        number: STDERR_FILENO, name: "standard error", owned: false)

    /// The name that messages give the file.
    let name: String

    /// The system's number of the descriptor, valid as long as this object.
    let number: Int32

    private let owned: Bool

    private init(number: Int32, name: String, owned: Bool) {
        self.number = number
        self.name = name
        self.owned = owned
    }

    deinit {
        // Readers have nothing to lose here; writers have synced before.
        if owned { _ = close(number) }
    }

    /// Opens the file at `path` for reading.
    static func reading(_ path: String) throws(FileFailure) -> Descriptor {
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { throw FileFailure(attempt: "cannot open \(path)", number: errno) }
        let descriptor = Descriptor(number: number, name: path, owned: true)
        guard try descriptor.kind() != S_IFDIR else {
            throw FileFailure(attempt: "cannot read \(path)", number: EISDIR)
        }
        return descriptor
    }

    /// Opens the pipe or device at `path` for writing.
    static func writing(_ path: String) throws(FileFailure) -> Descriptor {
        let number = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard number >= 0 else { throw FileFailure(attempt: "cannot open \(path)", number: errno) }
        return Descriptor(number: number, name: path, owned: true)
    }

    /// Opens a directory, for ``sync()``.
    static func directory(_ path: String) throws(FileFailure) -> Descriptor {
        let number = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw FileFailure(attempt: "cannot open \(path)", number: errno) }
        return Descriptor(number: number, name: path, owned: true)
    }

    /// Makes a directory inside this one, durably, unless there is something of that name.
    func makeDirectory(_ component: String) throws(FileFailure) {
        if unsafe mkdirat(number, component, 0o777) == 0 { return try sync() }
        guard errno == EEXIST else {
            throw FileFailure(attempt: "cannot make \(name)/\(component)", number: errno)
        }
    }

    /// Opens a directory inside this one; a symbolic link is refused.
    func directory(_ component: String) throws(FileFailure) -> Descriptor {
        let path = name + "/" + component
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let inner = unsafe openat(number, component, flags)
        guard inner >= 0 else {
            throw FileFailure(attempt: "cannot enter \(path)", number: errno)
        }
        return Descriptor(number: inner, name: path, owned: true)
    }

    /// Opens a regular file in this directory for reading; a symbolic link is refused.
    func file(_ component: String) throws(FileFailure) -> Descriptor {
        let path = name + "/" + component
        // Without waiting for the other end, should it be a pipe.
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let inner = unsafe openat(number, component, flags)
        guard inner >= 0 else { throw FileFailure(attempt: "cannot open \(path)", number: errno) }
        let file = Descriptor(number: inner, name: path, owned: true)
        guard try file.kind() == S_IFREG else {
            throw FileFailure(attempt: "cannot read \(path), no regular file", number: EINVAL)
        }
        return file
    }

    /// Removes a file from this directory; one that is not there is as good.
    func remove(_ component: String) throws(FileFailure) {
        guard unsafe unlinkat(number, component, 0) == 0 || errno == ENOENT else {
            throw FileFailure(attempt: "cannot remove \(name)/\(component)", number: errno)
        }
    }

    /// Removes a directory from this one, if it is empty.
    ///
    /// - Returns: whether it is gone.
    func removeDirectory(_ component: String) -> Bool {
        unsafe unlinkat(number, component, AT_REMOVEDIR) == 0
    }

    /// A path that leads to this directory, wherever its name leads to by now (man 5 proc).
    var pathByNumber: String { "/proc/self/fd/\(number)" }

    /// Creates the file at `path`, which must not exist, with `mode` less the user's mask.
    static func creating(_ path: String, mode: UInt32) throws(FileFailure) -> Descriptor {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let number = unsafe open(path, flags, mode_t(mode))
        guard number >= 0 else {
            throw FileFailure(attempt: "cannot create \(path)", number: errno)
        }
        return Descriptor(number: number, name: path, owned: true)
    }

    /// Creates a file without a name in `directory`, `nil` where the file system has no such thing.
    static func nameless(in directory: String) -> Descriptor? {
        let number = unsafe open(directory, O_WRONLY | namelessFlag | O_CLOEXEC, mode_t(0o666))
        guard number >= 0 else { return nil }
        return Descriptor(number: number, name: "a file in \(directory)", owned: true)
    }

    /// Gives a file without a name one that is not taken.
    func link(as path: String) throws(FileFailure) {
        // man 2 open: this is how a file made by O_TMPFILE is linked without privileges.
        let source = "/proc/self/fd/\(number)"
        guard unsafe linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 else {
            throw FileFailure(attempt: "cannot create \(path)", number: errno)
        }
    }

    // O_TMPFILE of fcntl.h, a macro that Swift cannot see: __O_TMPFILE | O_DIRECTORY.
    private static let namelessFlag: Int32 = 0o20000000 | O_DIRECTORY

    /// Reads until `byteCount` bytes are there or the input ends; empty only at the end.
    func read(byteCount: Int) throws(FileFailure) -> [UInt8] {
        var failed: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
            while filled < byteCount {
                let rest = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                let count = unsafe Glibc.read(number, rest.baseAddress, rest.count)
                if count > 0 {
                    filled += count
                } else if count == 0 || errno != EINTR {
                    failed = count == 0 ? 0 : errno
                    return
                }
            }
        }
        guard failed == 0 else { throw FileFailure(attempt: "cannot read \(name)", number: failed) }
        return bytes
    }

    /// Writes all of `bytes`.
    func write(_ bytes: [UInt8]) throws(FileFailure) {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(
                    number, buffer.baseAddress?.advanced(by: written), buffer.count - written)
            }
            if count >= 0 {
                written += count
            } else if errno != EINTR {
                throw FileFailure(attempt: "cannot write \(name)", number: errno)
            }
        }
    }

    /// Forces what was written onto stable storage.
    func sync() throws(FileFailure) {
        guard fsync(number) == 0 else {
            throw FileFailure(attempt: "cannot sync \(name)", number: errno)
        }
    }

    /// The size of a regular file in bytes, `nil` for a pipe or a device.
    func byteCount() throws(FileFailure) -> UInt64? {
        try kind() == S_IFREG ? UInt64(exactly: status().st_size) : nil
    }

    /// Whether a person sees what is written here.
    var isTerminal: Bool { isatty(number) == 1 }

    /// The number of columns of the terminal, 80 where it does not say.
    var columnCount: Int {
        var size = winsize()
        let isKnown = unsafe ioctl(number, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    /// The system's words for an error number.
    static func text(of number: Int32) -> String {
        unsafe strerror(number).map { unsafe String(cString: $0) } ?? "error \(number)"
    }

    private func status() throws(FileFailure) -> stat {
        var status = stat()
        guard unsafe fstat(number, &status) == 0 else {
            throw FileFailure(attempt: "cannot examine \(name)", number: errno)
        }
        return status
    }

    private func kind() throws(FileFailure) -> mode_t {
        try status().st_mode & S_IFMT
    }
}
