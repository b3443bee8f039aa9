// Part of Cairn, a content-addressed blob store.

internal import CairnSegments

/// What a name stands for.
enum SimulatedNode: Hashable, Sendable {
    case file(Int)
    case directory
}

/// A change of names that is not durable yet.
enum SimulatedNameChange: Sendable {
    case add(String, SimulatedNode)
    case remove(String)
    case move(String, String, SimulatedNode)

    func apply(to names: inout [String: SimulatedNode]) {
        switch self {
        case .add(let path, let node): names[path] = node
        case .remove(let path): names[path] = nil
        case .move(let source, let target, let node):
            // The source may be gone, or its creation may have been lost.
            if names[source] == node { names[source] = nil }
            names[target] = node
        }
    }

    var directories: Set<String> {
        switch self {
        case .add(let path, _), .remove(let path): [DiskPath.parent(of: path)]
        case .move(let source, let target, _):
            [DiskPath.parent(of: source), DiskPath.parent(of: target)]
        }
    }
}

/// The bytes of a file: durable, and as readers see them.
struct SimulatedFileState: Sendable {
    struct Change: Sendable {
        enum Kind: Sendable {
            case write(UInt64, [UInt8])
            case resize(UInt64)
        }

        let kind: Kind
        /// Whether a sync has failed to save it: no later one will.
        var isLost = false
    }

    private(set) var durable: SparseBytes
    private(set) var current: SparseBytes
    private(set) var changes: [Change] = []
    var openCount = 0

    init(durable: SparseBytes = SparseBytes()) {
        self.durable = durable
        current = durable
    }

    mutating func write(_ bytes: [UInt8], at offset: UInt64) {
        current.write(bytes[...], at: offset)
        changes.append(Change(kind: .write(offset, bytes)))
    }

    mutating func resize(to byteCount: UInt64) {
        guard byteCount != current.byteCount else { return }
        current.resize(to: byteCount)
        changes.append(Change(kind: .resize(byteCount)))
    }

    mutating func sync() {
        for change in changes where !change.isLost {
            switch change.kind {
            case .write(let offset, let bytes): durable.write(bytes[...], at: offset)
            case .resize(let byteCount): durable.resize(to: byteCount)
            }
        }
        changes.removeAll { !$0.isLost }
    }

    mutating func failSync() {
        for index in changes.indices { changes[index].isLost = true }
    }
}

/// Everything that a ``SimulatedDisk`` holds.
struct SimulatedDiskState: Sendable {
    struct NameChange: Sendable {
        let change: SimulatedNameChange
        /// Directories that have to be synced before it is durable.
        var pending: Set<String>
        var isLost = false
    }

    var faults = SimulatedFaults()
    var capacity: UInt64?
    private(set) var writtenByteCount: UInt64 = 0
    private(set) var unalignedWriteCount = 0
    private(set) var openFileCount = 0

    private(set) var durableNames: [String: SimulatedNode] = [:]
    private(set) var nameChanges: [NameChange] = []
    private(set) var files: [Int: SimulatedFileState] = [:]
    private var names: [String: SimulatedNode] = [:]
    private var locks: Set<String> = []
    private var nextInode = 1

    init(capacity: UInt64?) { self.capacity = capacity }
}

// MARK: - Names

extension SimulatedDiskState {
    mutating func open(_ path: String, _ mode: DiskOpenMode) throws(DiskError) -> Int {
        try checkPath(path)
        try call(mode.access == .create ? .create : .open, path)
        let inode: Int
        switch (names[path], mode.access) {
        case (nil, .create): inode = try createFile(path)
        case (.some, .create): throw DiskError(.exists, "\(path) exists")
        case (.file(let existing), _): inode = existing
        case (.directory, _): throw DiskError(.notRegularFile, "\(path) is a directory")
        case (nil, _): throw DiskError(.notFound, "there is no \(path)")
        }
        files[inode]?.openCount += 1
        openFileCount += 1
        return inode
    }

    mutating func rename(_ source: String, to target: String) throws(DiskError) {
        try checkPath(source)
        try checkPath(target)
        try call(.rename, source)
        guard let node = names[source] else { throw DiskError(.notFound, "there is no \(source)") }
        guard case .file = node, names[target] != .directory else {
            throw DiskError(.notRegularFile, "\(source) or \(target) is a directory")
        }
        try requireDirectory(DiskPath.parent(of: target))
        change(.move(source, target, node))
        collect()
    }

    mutating func remove(_ path: String) throws(DiskError) {
        try checkPath(path)
        try call(.remove, path)
        guard let node = names[path] else { throw DiskError(.notFound, "there is no \(path)") }
        guard case .file = node else {
            throw DiskError(.notRegularFile, "\(path) is a directory")
        }
        change(.remove(path))
        collect()
    }

    mutating func list(_ directory: String) throws(DiskError) -> [String] {
        try call(.list, directory)
        try requireDirectory(directory)
        let inside = names.keys.filter { DiskPath.parent(of: $0) == directory }
        let start = directory.isEmpty ? 0 : directory.utf8.count + 1
        return inside.map { String(decoding: $0.utf8.dropFirst(start), as: UTF8.self) }.sorted()
    }

    mutating func createDirectory(_ path: String) throws(DiskError) {
        try checkPath(path)
        try call(.createDirectory, path)
        guard names[path] == nil else { throw DiskError(.exists, "\(path) exists") }
        try requireDirectory(DiskPath.parent(of: path))
        change(.add(path, .directory))
    }

    mutating func syncDirectory(_ path: String) throws(DiskError) {
        do {
            try call(.syncDirectory, path)
        } catch {
            for index in nameChanges.indices where nameChanges[index].pending.contains(path) {
                nameChanges[index].isLost = true
            }
            throw error
        }
        try requireDirectory(path)
        for index in nameChanges.indices where !nameChanges[index].isLost {
            nameChanges[index].pending.remove(path)
            if nameChanges[index].pending.isEmpty {
                nameChanges[index].change.apply(to: &durableNames)
            }
        }
        nameChanges.removeAll { $0.pending.isEmpty }
        collect()
    }

    mutating func exists(_ path: String) throws(DiskError) -> Bool {
        try call(.exists, path)
        return path.isEmpty || names[path] != nil
    }

    mutating func lock(_ path: String) throws(DiskError) {
        try checkPath(path)
        try call(.lock, path)
        guard locks.insert(path).inserted else {
            throw DiskError(.locked, "\(path) is locked by this process")
        }
        if names[path] == nil { _ = try createFile(path) }
    }

    mutating func unlock(_ path: String) { locks.remove(path) }
}

// MARK: - Files

extension SimulatedDiskState {
    mutating func write(
        _ bytes: [UInt8], at offset: UInt64, to inode: Int, isDirect: Bool
    ) throws(DiskError) {
        let fault = try faults.next(.write)
        if isDirect {
            let block = DiskOpenMode.blockByteCount
            let isAligned = bytes.count % block == 0 && offset % UInt64(block) == 0
            if !isAligned { unalignedWriteCount += 1 }
        }
        switch fault {
        case .error(let code): throw DiskError(code, "a write was told to fail")
        case .shortWrite(let byteCount, let code):
            try store(Array(bytes.prefix(byteCount)), at: offset, to: inode)
            throw DiskError(code, "a write was told to stop after \(byteCount) bytes")
        case nil: try store(bytes, at: offset, to: inode)
        }
    }

    mutating func read(
        _ offset: UInt64, _ count: Int, of inode: Int
    ) throws(DiskError) -> [UInt8] {
        try call(.read, "a file")
        return files[inode]?.current.read(offset, count) ?? []
    }

    mutating func sync(_ inode: Int) throws(DiskError) {
        do {
            try call(.sync, "a file")
        } catch {
            files[inode]?.failSync()
            throw error
        }
        files[inode]?.sync()
    }

    mutating func allocate(_ byteCount: UInt64, of inode: Int) throws(DiskError) {
        try call(.allocate, "a file")
        guard let current = files[inode]?.current.byteCount, byteCount > current else { return }
        try requireRoom(from: current, to: byteCount)
        files[inode]?.resize(to: byteCount)
    }

    mutating func truncate(_ inode: Int, to byteCount: UInt64) throws(DiskError) {
        try call(.truncate, "a file")
        files[inode]?.resize(to: byteCount)
    }

    mutating func byteCount(of inode: Int) throws(DiskError) -> UInt64 {
        try call(.byteCount, "a file")
        return files[inode]?.current.byteCount ?? 0
    }

    mutating func freeByteCount() throws(DiskError) -> UInt64 {
        try call(.freeByteCount, "the disk")
        guard let capacity else { return UInt64(Int64.max) }
        return capacity - min(capacity, usedByteCount)
    }

    mutating func release(_ inode: Int) {
        files[inode]?.openCount -= 1
        openFileCount -= 1
        collect()
    }

    func contents(of path: String) -> [UInt8]? {
        guard case .file(let inode)? = names[path], let bytes = files[inode]?.current
        else { return nil }
        return bytes.read(0, Int(bytes.byteCount))
    }

    func allFiles() -> [(path: String, bytes: [UInt8])] {
        names.keys.sorted().compactMap { path in contents(of: path).map { (path, $0) } }
    }

    mutating func setContents(of path: String, to bytes: [UInt8]) {
        var content = SparseBytes()
        content.write(bytes[...], at: 0)
        var inode = nextInode
        if case .file(let existing)? = names[path] { inode = existing } else { nextInode += 1 }
        let openCount = files[inode]?.openCount ?? 0
        files[inode] = SimulatedFileState(durable: content)
        files[inode]?.openCount = openCount
        names[path] = .file(inode)
        durableNames[path] = .file(inode)
    }

    // MARK: For crashes

    mutating func setNames(_ found: [String: SimulatedNode]) {
        names = found
        durableNames = found
    }

    mutating func setFile(_ inode: Int, _ file: SimulatedFileState) {
        files[inode] = file
        nextInode = max(nextInode, inode + 1)
    }

    /// Drops the bytes of files that nothing leads to any more.
    mutating func collect() {
        var used: Set<Int> = []
        for node in names.values { if case .file(let inode) = node { used.insert(inode) } }
        for node in durableNames.values { if case .file(let inode) = node { used.insert(inode) } }
        for change in nameChanges {
            switch change.change {
            case .add(_, .file(let inode)), .move(_, _, .file(let inode)): used.insert(inode)
            default: break
            }
        }
        files = files.filter { used.contains($0.key) || $0.value.openCount > 0 }
    }
}

// MARK: - Parts

extension SimulatedDiskState {
    /// Counts a call that has no partial effect.
    private mutating func call(
        _ operation: SimulatedOperation, _ object: String
    ) throws(DiskError) {
        switch try faults.next(operation) {
        case nil: return
        case .error(let code)?, .shortWrite(_, let code)?:
            throw DiskError(code, "\(operation.rawValue) of \(object) was told to fail")
        }
    }

    private mutating func change(_ change: SimulatedNameChange) {
        change.apply(to: &names)
        nameChanges.append(NameChange(change: change, pending: change.directories))
    }

    private mutating func createFile(_ path: String) throws(DiskError) -> Int {
        try requireDirectory(DiskPath.parent(of: path))
        let inode = nextInode
        nextInode += 1
        files[inode] = SimulatedFileState()
        change(.add(path, .file(inode)))
        return inode
    }

    private mutating func store(
        _ bytes: [UInt8], at offset: UInt64, to inode: Int
    ) throws(DiskError) {
        guard let current = files[inode]?.current.byteCount else { return }
        try requireRoom(from: current, to: max(current, offset + UInt64(bytes.count)))
        files[inode]?.write(bytes, at: offset)
        writtenByteCount += UInt64(bytes.count)
    }

    private func requireRoom(from old: UInt64, to new: UInt64) throws(DiskError) {
        guard let capacity else { return }
        let growth = SparseBytes.charge(new) - SparseBytes.charge(old)
        guard growth == 0 || usedByteCount + growth <= capacity else {
            throw DiskError(.outOfSpace, "the simulated disk is full")
        }
    }

    private var usedByteCount: UInt64 {
        files.values.reduce(0) { $0 + SparseBytes.charge($1.current.byteCount) }
    }

    private func checkPath(_ path: String) throws(DiskError) {
        guard try !DiskPath.components(of: path).isEmpty else {
            throw DiskError(.invalidArgument, "the empty path names the root, not a file")
        }
    }

    private func requireDirectory(_ path: String) throws(DiskError) {
        guard path.isEmpty || names[path] == .directory else {
            let code: DiskError.Code = names[path] == nil ? .notFound : .notRegularFile
            throw DiskError(code, "there is no directory \(path)")
        }
    }
}
