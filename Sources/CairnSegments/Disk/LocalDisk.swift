// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// A directory of the local file system.
///
/// Every path is walked from the root's descriptor, component by component, and a symbolic link
/// anywhere on it is refused, so that nothing planted in the store's directory leads out of it.
/// Immutable, and safe to share between threads.
public struct LocalDisk: Disk {
    /// Shared by all copies of the value.
    private final class Root: Sendable {
        let directory: FileDescriptor
        let synced = Monitor<[String: Directory]>([:])

        init(_ path: String) throws(DiskError) { directory = try FileDescriptor.openRoot(path) }
    }

    /// A directory kept open.
    private final class Directory: Sendable {
        let descriptor: FileDescriptor

        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
    }

    /// Directories that are kept open for syncing. A store has three.
    private static let syncedCountMax = 8

    private let root: Root

    /// Opens a directory as the root of a store; symbolic links in `root` itself are followed.
    ///
    /// - Parameters:
    ///   - root: A path of the system's own, absolute or relative to the working directory.
    ///   - createIfMissing: Whether to create the directory (not its parents), readable by its
    ///     owner alone and durable on return.
    /// - Throws: ``DiskError`` with code `notFound`, `notRegularFile`, `permission` or `io`.
    public init(root: String, createIfMissing: Bool = false) throws(DiskError) {
        guard !root.isEmpty, !root.utf8.contains(0) else {
            throw DiskError(.invalidArgument, "the path of the root is empty or holds a zero byte")
        }
        if createIfMissing {
            try FileDescriptor.createRoot(root)
            self.root = try Root(root)
            try FileDescriptor.openRoot(root + "/..").syncAll()
        } else {
            self.root = try Root(root)
        }
    }

    /// See ``Disk/open(_:_:)``.
    public func open(_ path: String, _ mode: DiskOpenMode) throws(DiskError) -> any DiskFile {
        try inDirectory(of: path) { (directory, name) throws(DiskError) in
            try LocalFile(path: path, name: name, in: directory, mode)
        }
    }

    /// See ``Disk/rename(_:to:)``.
    public func rename(_ source: String, to target: String) throws(DiskError) {
        // One of them may be a directory, or have been.
        root.synced.withLock { synced in
            for name in [source, target] {
                synced = synced.filter { $0.key != name && !$0.key.hasPrefix(name + "/") }
            }
        }
        try inDirectory(of: source) { (from, sourceName) throws(DiskError) in
            try inDirectory(of: target) { (to, targetName) throws(DiskError) in
                try from.rename(sourceName, to: to, targetName)
            }
        }
    }

    /// See ``Disk/link(_:into:)``.
    public func link(_ path: String, into target: any Disk) throws(DiskError) -> Bool {
        guard let target = target as? LocalDisk else { return false }
        return try inDirectory(of: path) { (from, name) throws(DiskError) in
            try target.inDirectory(of: path) { (to, targetName) throws(DiskError) in
                try from.link(name, to: to, targetName)
            }
        }
    }

    /// See ``Disk/remove(_:)``.
    public func remove(_ path: String) throws(DiskError) {
        try inDirectory(of: path) { (directory, name) throws(DiskError) in
            try directory.remove(name)
        }
    }

    /// See ``Disk/list(_:)``.
    public func list(_ directory: String) throws(DiskError) -> [String] {
        try openDirectory(DiskPath.components(of: directory)).names().sorted()
    }

    /// See ``Disk/createDirectory(_:)``.
    public func createDirectory(_ path: String) throws(DiskError) {
        try inDirectory(of: path) { (directory, name) throws(DiskError) in
            try directory.createDirectory(name)
        }
    }

    /// See ``Disk/syncDirectory(_:)``.
    public func syncDirectory(_ path: String) throws(DiskError) {
        try syncedDirectory(path).descriptor.syncAll()
    }

    /// See ``Disk/exists(_:)``.
    public func exists(_ path: String) throws(DiskError) -> Bool {
        guard !path.isEmpty else { return true }
        do {
            return try inDirectory(of: path) { (directory, name) throws(DiskError) in
                try directory.exists(name)
            }
        } catch let error where error.code == .notFound {
            return false
        }
    }

    /// See ``Disk/lock(_:)``.
    public func lock(_ path: String) throws(DiskError) -> any DiskLock {
        try inDirectory(of: path) { (directory, name) throws(DiskError) in
            try LocalLock(name: name, in: directory)
        }
    }

    /// See ``Disk/freeByteCount()``.
    public func freeByteCount() throws(DiskError) -> UInt64 {
        try root.directory.freeByteCount()
    }

    /// See ``Disk/isReadOnly()``.
    public func isReadOnly() throws(DiskError) -> Bool { try root.directory.isReadOnly() }

    // MARK: -

    // Kept open from the first sync on, so that a later one cannot fail for want of a descriptor:
    // after a failed sync nobody knows what is durable.
    private func syncedDirectory(_ path: String) throws(DiskError) -> Directory {
        if let known = root.synced.withLock({ $0[path] }) { return known }
        let opened = Directory(try openDirectory(DiskPath.components(of: path)))
        return root.synced.withLock { synced in
            if synced.count >= Self.syncedCountMax { synced.removeAll() }
            synced[path] = opened
            return opened
        }
    }

    private func inDirectory<Result>(
        of path: String, _ body: (borrowing FileDescriptor, String) throws(DiskError) -> Result
    ) throws(DiskError) -> Result {
        var components = try DiskPath.components(of: path)
        guard let name = components.popLast() else {
            throw DiskError(.invalidArgument, "the empty path names the root, not a file")
        }
        guard !components.isEmpty else { return try body(root.directory, name) }
        return try body(openDirectory(components), name)
    }

    private func openDirectory(_ components: [String]) throws(DiskError) -> FileDescriptor {
        // A fresh descriptor also of the root itself: listing moves the offset that duplicates of
        // a descriptor share.
        var directory = try root.directory.openDirectory(".")
        for component in components { directory = try directory.openDirectory(component) }
        return directory
    }
}
