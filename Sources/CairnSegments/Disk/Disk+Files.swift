// Part of Cairn, a content-addressed blob store.

extension Disk {
    /// Puts a whole file in place of what has its name; the old or the new bytes are always there.
    ///
    /// Durable on return. A crash on the way may leave a file named `path` plus `.new`, which the
    /// next call replaces. Only one thread may replace a given path at a time.
    ///
    /// - Parameter permissions: The permission bits of the new file.
    public func replace(
        _ path: String, with bytes: Span<UInt8>, permissions: UInt16 = 0o600
    ) throws(DiskError) {
        let temporary = path + ".new"
        if try exists(temporary) { try remove(temporary) }
        let file = try open(temporary, .create(permissions: permissions))
        try file.write(bytes, at: 0)
        // The bytes must be safe before the name leads to them.
        try file.sync()
        file.close()
        try rename(temporary, to: path)
        try syncDirectory(DiskPath.parent(of: path))
    }

    /// The bytes of a whole file.
    ///
    /// - Parameter limit: The most bytes to accept, so that a damaged file cannot fill the memory.
    /// - Throws: ``DiskError`` with code `limitExceeded` when the file is longer.
    public func readAll(_ path: String, upTo limit: Int) throws(DiskError) -> [UInt8] {
        let file = try open(path, .read)
        defer { file.close() }
        let length = try file.byteCount()
        guard let count = Int(exactly: length), count <= limit else {
            throw DiskError(
                .limitExceeded, "\(path) has \(length) bytes where \(limit) are the most")
        }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        let read = try file.read(into: &span, at: 0)
        bytes.removeLast(count - read)
        return bytes
    }
}

/// The rules that paths follow on every disk.
public enum DiskPath {
    /// The longest path that a disk accepts, in bytes: `PATH_MAX` of Linux with its final zero.
    public static let byteCountMax = 4095

    /// The path of the directory that holds a path; the empty path for the root.
    public static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[..<slash])
    }

    /// The components of a path, none of which is empty, `.` or `..`.
    ///
    /// - Throws: ``DiskError`` with code `invalidArgument` for every other path.
    public static func components(of path: String) throws(DiskError) -> [String] {
        guard !path.isEmpty else { return [] }
        // Among bytes, as the system does: a slash that a combining mark follows is a slash.
        let components = path.utf8.split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false
        ).map { String(Substring($0)) }
        let areValid = components.allSatisfy { $0 != "" && $0 != "." && $0 != ".." }
        guard areValid, path.utf8.count <= byteCountMax, !path.utf8.contains(0) else {
            throw DiskError(.invalidArgument, "a path is absolute, too long or has odd components")
        }
        return components
    }
}

extension Disk {
    /// Bytes of a file, or of all files in a directory and below; 0 for what is not there.
    package func byteCount(of path: String) throws(DiskError) -> UInt64 {
        do throws(DiskError) {
            let file = try open(path, .read)
            defer { file.close() }
            return try file.byteCount()
        } catch {
            guard error.code == .notRegularFile else {
                // Removed since it was listed.
                if error.code == .notFound { return 0 }
                throw error
            }
        }
        let names: [String]
        do throws(DiskError) { names = try list(path) } catch {
            // A pipe or a link, or a directory that has gone.
            return 0
        }
        var sum: UInt64 = 0
        for name in names { sum += try byteCount(of: path.isEmpty ? name : path + "/" + name) }
        return sum
    }
}
