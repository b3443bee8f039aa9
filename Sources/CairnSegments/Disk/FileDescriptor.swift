// Part of Cairn, a content-addressed blob store.

internal import Glibc

/// An open descriptor of the system, closed when the value ends.
///
/// The one place that makes system calls on files. Each call is repeated when a signal interrupts
/// it, and carries on where a short read or write left off. Safe to share between threads, as the
/// system's calls with an explicit offset are.
struct FileDescriptor: ~Copyable, Sendable {
    private let number: CInt

    // O_DIRECT of <asm/fcntl.h>, which the Glibc module keeps to itself.
    #if arch(x86_64)
        private static let bypassCacheFlag: CInt? = 0o40000
    #elseif arch(arm64)
        private static let bypassCacheFlag: CInt? = 0o200000
    #else
        private static let bypassCacheFlag: CInt? = nil
    #endif

    private init(number: CInt) { self.number = number }

    deinit { _ = Glibc.close(number) }

    // MARK: Opening

    /// Opens a directory by a path of the system's own; links on the way are followed.
    static func openRoot(_ path: String) throws(DiskError) -> FileDescriptor {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        return try FileDescriptor(
            number: retrying("opening the directory \(path)") { unsafe Glibc.open(path, flags) })
    }

    /// Creates a directory by a path of the system's own; one that exists is as good.
    static func createRoot(_ path: String) throws(DiskError) {
        do {
            _ = try retrying("creating the directory \(path)") { unsafe Glibc.mkdir(path, 0o700) }
        } catch let error where error.code == .exists {
            return
        }
    }

    /// Opens a directory by its name in this one; a link is refused.
    borrowing func openDirectory(_ name: String) throws(DiskError) -> FileDescriptor {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW
        return try FileDescriptor(
            number: Self.retrying("opening the directory \(name)") {
                unsafe Glibc.openat(number, name, flags)
            })
    }

    /// Opens a regular file by its name in this directory; everything else is refused.
    borrowing func openFile(
        _ name: String, _ mode: DiskOpenMode, isDirect: Bool = false
    ) throws(DiskError) -> FileDescriptor {
        // O_NONBLOCK: without it, opening a planted pipe waits for its other end.
        var flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        switch mode.access {
        case .read: flags |= O_RDONLY
        case .readWrite: flags |= O_RDWR
        case .create: flags |= O_RDWR | O_CREAT | O_EXCL
        }
        if isDirect {
            guard let bypass = Self.bypassCacheFlag else {
                throw DiskError(.invalidArgument, "this platform has no direct access")
            }
            flags |= bypass
        }
        let file = try FileDescriptor(
            number: Self.retrying("opening \(name)") {
                unsafe Glibc.openat(number, name, flags, mode_t(mode.permissions))
            })
        guard try file.status().isRegular else {
            throw DiskError(.notRegularFile, "\(name) is no regular file")
        }
        return file
    }

    /// Opens the file of a lock, creating it if it is missing.
    borrowing func openLockFile(_ name: String) throws(DiskError) -> FileDescriptor {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let file = try FileDescriptor(
            number: Self.retrying("opening the lock file \(name)") {
                unsafe Glibc.openat(number, name, flags, 0o600)
            })
        guard try file.status().isRegular else {
            throw DiskError(.notRegularFile, "the lock file \(name) is no regular file")
        }
        return file
    }

    // MARK: Bytes

    /// Writes `bytes` from `start` on at `offset` of the file, once; returns how many it took.
    borrowing func writeOnce(
        _ bytes: Span<UInt8>, from start: Int, at offset: UInt64
    ) throws(DiskError) -> Int {
        let position = try Self.fileOffset(offset)
        return try unsafe bytes.withUnsafeBytes { (buffer) throws(DiskError) -> Int in
            let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[start...])
            return try Self.retrying("writing \(rest.count) bytes at \(offset)") {
                unsafe Glibc.pwrite(number, rest.baseAddress, rest.count, position)
            }
        }
    }

    /// Reads into `bytes` from `start` on, once; returns how many bytes came, zero at the end.
    borrowing func readOnce(
        into bytes: inout MutableSpan<UInt8>, from start: Int, at offset: UInt64
    ) throws(DiskError) -> Int {
        let position = try Self.fileOffset(offset)
        return try unsafe bytes.withUnsafeMutableBytes { (buffer) throws(DiskError) -> Int in
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[start...])
            return try Self.retrying("reading \(rest.count) bytes at \(offset)") {
                unsafe Glibc.pread(number, rest.baseAddress, rest.count, position)
            }
        }
    }

    /// Writes all of `bytes` from `start` on.
    borrowing func write(
        _ bytes: Span<UInt8>, from start: Int = 0, at offset: UInt64
    ) throws(DiskError) {
        var done = start
        while done < bytes.count {
            let count = try writeOnce(bytes, from: done, at: offset + UInt64(done - start))
            // Nothing taken and no error: not to be tried for ever.
            guard count > 0 else { throw DiskError(.io, "a write at \(offset) took no bytes") }
            done += count
        }
    }

    /// Reads from `start` on until `bytes` is full or the file ends; returns the total read.
    borrowing func read(
        into bytes: inout MutableSpan<UInt8>, from start: Int = 0, at offset: UInt64
    ) throws(DiskError) -> Int {
        var done = start
        while done < bytes.count {
            let position = offset + UInt64(done - start)
            let count = try readOnce(into: &bytes, from: done, at: position)
            guard count > 0 else { break }
            done += count
        }
        return done - start
    }

    // MARK: State

    /// What the system says about a file.
    struct Status {
        let isRegular: Bool
        let byteCount: UInt64
        let permissions: UInt16
        /// Device and number, which no other file has at the same time.
        let identity: (UInt64, UInt64)
    }

    borrowing func status() throws(DiskError) -> Status {
        var status = stat()
        _ = try Self.retrying("examining a file") { unsafe Glibc.fstat(number, &status) }
        return Status(
            isRegular: status.st_mode & S_IFMT == S_IFREG, byteCount: UInt64(status.st_size),
            permissions: UInt16(status.st_mode & 0o777),
            identity: (UInt64(status.st_dev), UInt64(status.st_ino)))
    }

    /// Waits until the bytes and what is needed to find them are on stable storage.
    borrowing func syncBytes() throws(DiskError) {
        // After EINTR nothing was reported lost yet, so this is no retry of a failed sync.
        _ = try Self.retrying("syncing") { Glibc.fdatasync(number) }
    }

    /// Waits until everything about the file or directory is on stable storage.
    borrowing func syncAll() throws(DiskError) {
        _ = try Self.retrying("syncing a directory") { Glibc.fsync(number) }
    }

    borrowing func truncate(to byteCount: UInt64) throws(DiskError) {
        let length = try Self.fileOffset(byteCount)
        _ = try Self.retrying("truncating to \(byteCount) bytes") {
            Glibc.ftruncate(number, length)
        }
    }

    /// Reserves room from `start`, the length of the file, up to `byteCount`, and lengthens it.
    ///
    /// Returns false where the file system cannot reserve.
    borrowing func allocate(from start: UInt64, byteCount: UInt64) throws(DiskError) -> Bool {
        let position = try Self.fileOffset(start)
        let length = try Self.fileOffset(byteCount - start)
        while true {
            // Never a range that already holds bytes: where the file system cannot reserve, glibc
            // writes zeros instead, and would race with those who write there.
            switch Glibc.posix_fallocate(number, position, length) {
            case 0: return true
            case EINTR: continue
            case EOPNOTSUPP, ENOSYS, EINVAL: return false
            case let failure: throw DiskError(errno: failure, "reserving \(byteCount) bytes")
            }
        }
    }

    /// Takes the exclusive lock of the file, which ends when all duplicates are closed.
    borrowing func lock() throws(DiskError) {
        _ = try Self.retrying("locking") { flock(number, LOCK_EX | LOCK_NB) }
    }

    borrowing func unlock() { _ = flock(number, LOCK_UN) }

    borrowing func freeByteCount() throws(DiskError) -> UInt64 {
        var status = statvfs()
        _ = try Self.retrying("asking for free space") { unsafe Glibc.fstatvfs(number, &status) }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    borrowing func isReadOnly() throws(DiskError) -> Bool {
        var status = statvfs()
        _ = try Self.retrying("asking for the mount") { unsafe Glibc.fstatvfs(number, &status) }
        return status.f_flag & UInt(ST_RDONLY) != 0
    }

    // MARK: Names

    borrowing func createDirectory(_ name: String) throws(DiskError) {
        _ = try Self.retrying("creating the directory \(name)") {
            unsafe Glibc.mkdirat(number, name, 0o700)
        }
    }

    borrowing func rename(
        _ source: String, to directory: borrowing FileDescriptor, _ target: String
    ) throws(DiskError) {
        let targetNumber = directory.number
        _ = try Self.retrying("renaming \(source) to \(target)") {
            unsafe Glibc.renameat(number, source, targetNumber, target)
        }
    }

    /// False where there can be no second name.
    borrowing func link(
        _ source: String, to directory: borrowing FileDescriptor, _ target: String
    ) throws(DiskError) -> Bool {
        let targetNumber = directory.number
        guard unsafe Glibc.linkat(number, source, targetNumber, target, 0) != 0 else { return true }
        let failure = errno
        guard ![EXDEV, EPERM, EMLINK, EOPNOTSUPP].contains(failure) else { return false }
        throw DiskError(errno: failure, "linking \(source)")
    }

    borrowing func remove(_ name: String) throws(DiskError) {
        _ = try Self.retrying("removing \(name)") { unsafe Glibc.unlinkat(number, name, 0) }
    }

    borrowing func exists(_ name: String) throws(DiskError) -> Bool {
        var status = stat()
        do {
            _ = try Self.retrying("looking for \(name)") {
                unsafe Glibc.fstatat(number, name, &status, AT_SYMLINK_NOFOLLOW)
            }
            return true
        } catch let error where error.code == .notFound {
            return false
        }
    }

    /// The names in this directory but its own and its parent's.
    ///
    /// Uses up the descriptor's offset.
    consuming func names() throws(DiskError) -> [String] {
        // The stream takes over a duplicate and closes it.
        let owned = try Self.retrying("listing") { Glibc.fcntl(number, F_DUPFD_CLOEXEC, 0) }
        guard let stream = unsafe fdopendir(owned) else {
            let failure = DiskError(errno: errno, "listing a directory")
            _ = Glibc.close(owned)
            throw failure
        }
        defer { unsafe _ = closedir(stream) }
        var names: [String] = []
        while true {
            // The end and an error differ only in errno (man 3 readdir).
            errno = 0
            guard let entry = unsafe readdir(stream) else { break }
            let name = unsafe Self.name(of: entry)
            if name != "." && name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw DiskError(errno: errno, "listing a directory") }
        return names
    }

    // MARK: -

    private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
        unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            let end = unsafe bytes.firstIndex(of: 0) ?? bytes.count
            return unsafe String(decoding: bytes[..<end], as: UTF8.self)
        }
    }

    private static func fileOffset(_ offset: UInt64) throws(DiskError) -> off_t {
        guard let position = off_t(exactly: offset) else {
            throw DiskError(.invalidArgument, "an offset of \(offset) is beyond every file")
        }
        return position
    }

    /// Repeats a call while signals interrupt it; a negative result is an error.
    private static func retrying<Result: SignedInteger>(
        _ action: @autoclosure () -> String, _ call: () -> Result
    ) throws(DiskError) -> Result {
        while true {
            let result = call()
            if result >= 0 { return result }
            let number = errno
            if number != EINTR { throw DiskError(errno: number, action()) }
        }
    }
}

/// What the system calls an error number.
func systemErrorText(_ number: CInt) -> String {
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe "\(String(cString: text)) (error \(number))"
}

/// The number of this process.
func currentProcess() -> Int32 { getpid() }
