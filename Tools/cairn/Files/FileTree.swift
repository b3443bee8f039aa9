// Part of Cairn, a content-addressed blob store.
internal import CairnCore
internal import CairnServer
internal import Glibc

/// The regular files below a directory.
enum FileTree {
    /// Directories inside one another: deeper ones are a mistake, or a trap.
    private static let depthMax = 256

    /// The lengths of all regular files, by their paths below the directory. Blocks.
    ///
    /// Symbolic links are not followed, and neither they nor devices are among the files.
    ///
    /// - Parameter mayBeMissing: whether a directory that is not there counts as empty.
    static func files(
        below directory: String, mayBeMissing: Bool
    ) throws(FileFailure) -> [String: UInt64] {
        var status = stat()
        guard unsafe stat(directory, &status) == 0 else {
            if errno == ENOENT, mayBeMissing { return [:] }
            throw FileFailure(attempt: "cannot read \(directory)", number: errno)
        }
        var files: [String: UInt64] = [:]
        try collect(directory, "", depth: 0, &files)
        return files
    }

    /// Whether a name leads to a file below a directory, and to nowhere else.
    static func isSafe(_ name: String) -> Bool {
        name.utf8.count < Int(PATH_MAX)
            && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && part != "." && part != ".." && !part.utf8.contains(0)
                    && part.utf8.count <= Int(NAME_MAX)
            }
    }

    /// Makes the directories that a file needs; none of them is a symbolic link. Blocks.
    static func makeDirectories(for name: String, below root: String) throws(FileFailure) {
        try makeDirectory(root, followingLinks: true)
        var path = root
        for part in name.split(separator: "/").dropLast() {
            path += "/" + part
            try makeDirectory(path, followingLinks: false)
        }
    }

    /// The SHA-256 of a file as an object has it; nil when it is not there any more.
    static func digest(of path: String) async throws -> String? {
        let source: AdminByteSource
        do throws(FileFailure) { source = try await InputFile(path).source { _ in } } catch {
            return nil
        }
        var digest = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let thread = FileThread()
        while true {
            let count = try await source(&buffer)
            if count == 0 { break }
            digest = try await thread.run { [digest, buffer] () throws(FileFailure) in
                var digest = digest
                digest.update(buffer.span.extracting(..<count))
                return digest
            }
        }
        return Digest(sha256: digest.finalized()).description
    }

    // MARK: -

    private static func collect(
        _ root: String, _ below: String, depth: Int, _ files: inout [String: UInt64]
    ) throws(FileFailure) {
        let path = below.isEmpty ? root : root + "/" + below
        guard depth < depthMax else {
            throw FileFailure(attempt: "cannot read \(path)", number: ELOOP)
        }
        for name in try names(in: path) {
            let child = below.isEmpty ? name : below + "/" + name
            var status = stat()
            guard unsafe lstat(root + "/" + child, &status) == 0 else {
                // Removed since it was listed.
                if errno == ENOENT { continue }
                throw FileFailure(attempt: "cannot read \(root)/\(child)", number: errno)
            }
            switch status.st_mode & S_IFMT {
            case S_IFREG: files[child] = UInt64(clamping: status.st_size)
            case S_IFDIR: try collect(root, child, depth: depth + 1, &files)
            default: continue
            }
        }
    }

    private static func names(in path: String) throws(FileFailure) -> [String] {
        guard let directory = unsafe opendir(path) else {
            throw FileFailure(attempt: "cannot read \(path)", number: errno)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
                    unsafe String(validatingCString: $0)
                }
            }
            guard let name else {
                throw FileFailure(
                    attempt: "cannot read a name in \(path) that is not UTF-8", number: EILSEQ)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func makeDirectory(
        _ path: String, followingLinks: Bool
    ) throws(FileFailure) {
        guard unsafe mkdir(path, 0o777) != 0 else { return }
        guard errno == EEXIST else {
            throw FileFailure(attempt: "cannot make \(path)", number: errno)
        }
        var status = stat()
        let result = unsafe followingLinks ? stat(path, &status) : lstat(path, &status)
        guard result == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw FileFailure(attempt: "cannot write below \(path)", number: ENOTDIR)
        }
    }
}
