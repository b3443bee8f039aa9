// Part of Cairn, a content-addressed blob store.
internal import CairnCore
internal import CairnServer
internal import Glibc

/// The path of a file below a directory, told apart by its bytes: texts that look alike, or are
/// equal by the rules of Unicode, may be different files.
struct FileName: Hashable, Comparable, Sendable {
    let bytes: [UInt8]

    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// The same bytes: they are UTF-8.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether the name leads to a file below a directory, and to nowhere else.
    var isSafe: Bool {
        bytes.count < Int(PATH_MAX) && !bytes.contains(0)
            && components.allSatisfy { part in
                !part.isEmpty && part.utf8.count <= Int(NAME_MAX) && part != "." && part != ".."
            }
    }

    /// What lies between the slashes, the name in its directory last; there is at least one.
    var components: [String] {
        bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// The name in its directory.
    var last: String { components[components.count - 1] }

    static func < (one: Self, other: Self) -> Bool {
        one.bytes.lexicographicallyPrecedes(other.bytes)
    }
}

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
    ) throws(FileFailure) -> [FileName: UInt64] {
        var status = stat()
        guard unsafe stat(directory, &status) == 0 else {
            if errno == ENOENT, mayBeMissing { return [:] }
            throw FileFailure(attempt: "cannot read \(directory)", number: errno)
        }
        var files: [FileName: UInt64] = [:]
        try collect(directory, "", depth: 0, &files)
        return files
    }

    /// Calls `body` with a path to a file whose directories are made and none of which is a
    /// symbolic link, whoever exchanges them meanwhile.
    static func withPath<Result>(
        to name: FileName, below root: String, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let directory = try await FileThread().run { () throws(FileFailure) in
            try self.directory(of: name, below: root, making: true)
        }
        defer { withExtendedLifetime(directory) {} }
        return try await body(directory.pathByNumber + "/" + name.last)
    }

    /// Opens a file for reading; nothing on the way to it is a symbolic link. Blocks.
    static func open(_ name: FileName, below root: String) throws(FileFailure) -> Descriptor {
        try directory(of: name, below: root).file(name.last)
    }

    /// Removes a file, and the directories that are empty then. Blocks.
    static func remove(_ name: FileName, below root: String) throws(FileFailure) {
        var parents: [Descriptor] = []
        let directory: Descriptor
        do throws(FileFailure) {
            directory = try self.directory(of: name, below: root) { parents.append($0) }
        } catch {
            // Without its directory the file is gone as well.
            guard error.isMissing else { throw error }
            return
        }
        try directory.remove(name.last)
        for (parent, part) in zip(parents, name.components.dropLast()).reversed() {
            guard parent.removeDirectory(part) else { return }
        }
    }

    // The directory that a file is in; none on the way there from the root is a symbolic link. Only
    // one is open at a time, for a path may have more of them than a process has descriptors.
    private static func directory(
        of name: FileName, below root: String, making isMaking: Bool = false,
        passing: (Descriptor) -> Void = { _ in }
    ) throws(FileFailure) -> Descriptor {
        if isMaking {
            if unsafe mkdir(root, 0o777) == 0 {
                try Path.syncDirectory(of: root)
            } else if errno != EEXIST {
                throw FileFailure(attempt: "cannot make \(root)", number: errno)
            }
        }
        var directory = try Descriptor.directory(root)
        for part in name.components.dropLast() {
            if isMaking { try directory.makeDirectory(part) }
            passing(directory)
            directory = try directory.directory(part)
        }
        return directory
    }

    /// The SHA-256 of a file as an object has it; nil when it cannot be read, or not any more.
    static func digest(of name: FileName, below root: String) async throws -> String? {
        let source: AdminByteSource
        do throws(FileFailure) {
            source = try await InputFile(name, below: root).source { _ in }
        } catch {
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
        _ root: String, _ below: String, depth: Int, _ files: inout [FileName: UInt64]
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
            case S_IFREG: files[FileName(child.utf8)] = UInt64(clamping: status.st_size)
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
}
