// Part of Cairn, a content-addressed blob store.
internal import Glibc

/// The few calls on directories that creating an index takes.
///
/// RocksDB does all other file access.
enum Directories {
    /// Whether anything has this path.
    static func exists(_ path: String) throws(IndexError) -> Bool {
        var status = stat()
        if unsafe lstat(path, &status) == 0 { return true }
        guard errno != ENOENT else { return false }
        throw failure("look at \(path)")
    }

    /// Creates a directory that only its owner may enter.
    static func create(_ path: String) throws(IndexError) {
        guard unsafe mkdir(path, 0o700) == 0 else { throw failure("create \(path)") }
    }

    /// Renames a directory and makes the new name durable.
    static func move(_ path: String, to target: String) throws(IndexError) {
        guard unsafe rename(path, target) == 0 else { throw failure("rename \(path) to \(target)") }
        try syncParent(of: target)
    }

    /// Makes the directory entry of a path durable.
    static func syncParent(of path: String) throws(IndexError) {
        let parent = parent(of: path)
        let directory = unsafe open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure("open \(parent)") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure("sync \(parent)") }
    }

    /// Removes a directory and the files in it; what is not there is not missed.
    ///
    /// RocksDB keeps no directories inside its own, so this doesn't descend.
    static func remove(_ path: String) throws(IndexError) {
        guard let stream = unsafe opendir(path) else {
            if errno == ENOENT { return }
            throw failure("open \(path)")
        }
        defer { unsafe closedir(stream) }
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name == "." || name == ".." { continue }
            let file = "\(path)/\(name)"
            guard unsafe unlink(file) == 0 else { throw failure("remove \(file)") }
        }
        guard unsafe rmdir(path) == 0 else { throw failure("remove \(path)") }
    }

    /// Bytes that files in a directory may still take; 0 where the system does not tell.
    static func freeByteCount(at path: String) -> UInt64 {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return 0 }
        let (count, isTooMany) = UInt64(status.f_bavail).multipliedReportingOverflow(
            by: UInt64(status.f_frsize))
        return isTooMany ? .max : count
    }

    // MARK: -

    private static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func failure(_ attempt: String) -> IndexError {
        let number = errno
        let code: IndexError.Code =
            switch number {
            case ENOSPC, EDQUOT: .outOfSpace
            case EROFS, EACCES, EPERM: .readOnly
            case ENOENT, ENOTDIR: .notFound
            default: .io
            }
        let text = unsafe String(cString: strerror(number))
        return IndexError(code, "can't \(attempt): \(text)")
    }
}
