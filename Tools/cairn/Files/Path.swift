// Part of Cairn, a content-addressed blob store.
internal import Glibc

/// Calls on paths, which block the calling thread.
enum Path {
    /// What writing to a path means.
    enum Target: Sendable {
        /// A file appears at this path or replaces the one that is there.
        case file(String)
        /// A pipe or a device is written to.
        case stream
    }

    /// What writing to `path` means; a symbolic link is followed.
    static func target(of path: String) throws(FileFailure) -> Target {
        var status = stat()
        // What is not there yet, or cannot be examined, is for the creation to judge.
        guard unsafe stat(path, &status) == 0 else { return .file(path) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file(resolved(path) ?? path)
        case S_IFDIR: throw FileFailure(attempt: "cannot write \(path)", number: EISDIR)
        default: return .stream
        }
    }

    /// Gives the file at `source` the name `destination`, in place of any file of that name, and
    /// makes the new name durable.
    static func rename(_ source: String, to destination: String) throws(FileFailure) {
        guard unsafe Glibc.rename(source, destination) == 0 else {
            throw FileFailure(attempt: "cannot write \(destination)", number: errno)
        }
        try syncDirectory(of: destination)
    }

    /// Makes the names in the directory that holds `path` durable.
    static func syncDirectory(of path: String) throws(FileFailure) {
        try Descriptor.directory(directory(of: path)).sync()
    }

    /// Removes the file at `path`; one that is not there is as good.
    static func remove(_ path: String) {
        _ = unsafe unlink(path)
    }

    /// The path from the root on, for another process to find it by.
    static func absolute(_ path: String) throws(FileFailure) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let directory = resolved(".") else {
            throw FileFailure(attempt: "cannot find the working directory", number: errno)
        }
        return "\(directory)/\(path)"
    }

    // Slashes are sought among bytes: one that a combining mark follows is no character of its own.

    /// The directory part of `path`.
    static func directory(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last component of `path`.
    static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }

    /// The path without symbolic links, so that a link stays one when its file is replaced.
    private static func resolved(_ path: String) -> String? {
        guard let text = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }
}
