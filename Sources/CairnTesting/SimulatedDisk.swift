// Part of Cairn, a content-addressed blob store.

internal import CairnCore
public import CairnSegments
internal import Synchronization

/// A disk in memory that forgets, tears and refuses as real ones do, and the same way each time.
///
/// It keeps apart what was written and what was synced: the bytes of a file are durable after
/// ``DiskFile/sync()``, a name after ``Disk/syncDirectory(_:)`` of the directory that holds it,
/// and nothing else ever is. ``crash(_:)`` gives the disk that a restarted machine would find.
/// After a failed sync the bytes that it should have saved are as on Linux: still readable, and
/// never durable, however often a sync succeeds later.
///
/// Safe to share between threads; deterministic as long as the order of calls is.
public final class SimulatedDisk: Disk {
    /// Not the standard library's mutex, whose order the thread sanitizer does not see.
    private let state: Monitor<SimulatedDiskState>
    private let observer = Monitor<(@Sendable (SimulatedOperation) -> Void)?>(nil)

    /// An empty disk.
    ///
    /// - Parameter capacity: How many bytes fit, counted in blocks of 4 KiB per file; nil for no
    ///   limit.
    public convenience init(capacity: UInt64? = nil) {
        self.init(SimulatedDiskState(capacity: capacity))
    }

    init(_ state: SimulatedDiskState) { self.state = Monitor(state) }

    // MARK: Crashes

    /// The disk as it is found after the power was cut now.
    ///
    /// This disk is not changed, and can go on or crash again in another way.
    public func crash(_ crash: SimulatedCrash) -> SimulatedDisk {
        SimulatedDisk(state.withLock { $0.crashed(crash) })
    }

    /// The disk as it is found after the power was cut now, each unsynced change dropped, kept or
    /// torn as the seed decides.
    public func crash(seed: UInt64) -> SimulatedDisk { crash(.random(seed: seed)) }

    /// The disk as it is now, with what a crash could lose of it.
    public func copy() -> SimulatedDisk { SimulatedDisk(state.withLock { $0 }) }

    /// Calls something before each call that changes the disk, on the caller's thread; nil ends
    /// it. See ``SimulatedOperation/isChange``.
    public func setObserver(_ observer: (@Sendable (SimulatedOperation) -> Void)?) {
        self.observer.withLock { $0 = observer }
    }

    /// Lets every call fail with code `io` once a number of changing calls were made, counted
    /// from the first call on this disk.
    ///
    /// See ``SimulatedOperation/isChange``. Together with ``changeCount`` of a first run this
    /// visits every moment at which the power can go.
    public func cutPower(afterChanges count: Int) {
        state.withLock { $0.faults.changeCountMax = count }
    }

    // MARK: Faults and counts

    /// Lets the calls of one kind fail from the n-th on, counting from 1 on the first call on this
    /// disk.
    ///
    /// - Parameters:
    ///   - number: Which call of this kind.
    ///   - count: How many calls in a row fail; nil for ever.
    ///   - effect: What the failing calls do.
    public func fail(
        _ operation: SimulatedOperation, at number: Int, count: Int? = 1,
        _ effect: SimulatedFault = .error(.io)
    ) {
        state.withLock { $0.faults.add(operation, at: number, count: count, effect) }
    }

    /// Forgets all faults that were planned, and turns the power on again.
    public func heal() { state.withLock { $0.faults.heal() } }

    /// How many calls of one kind were made, failed ones included.
    public func count(of operation: SimulatedOperation) -> Int {
        state.withLock { $0.faults.counts[operation] ?? 0 }
    }

    /// How many changing calls were made, see ``SimulatedOperation/isChange``.
    public var changeCount: Int { state.withLock { $0.faults.changeCount } }

    /// How many bytes were written by calls of ``DiskFile/write(_:at:)``.
    public var writtenByteCount: UInt64 { state.withLock { $0.writtenByteCount } }

    /// How many writes to files opened to bypass the cache could not have done so.
    public var unalignedWriteCount: Int { state.withLock { $0.unalignedWriteCount } }

    /// How many files are open.
    public var openFileCount: Int { state.withLock { $0.openFileCount } }

    /// Changes how many bytes fit; nil for no limit.
    public func setCapacity(_ capacity: UInt64?) { state.withLock { $0.capacity = capacity } }

    // MARK: Direct access for tests

    /// The bytes of a file as a reader sees them now; nil if there is none of this name.
    ///
    /// Not counted, and never fails.
    public func contents(of path: String) -> [UInt8]? { state.withLock { $0.contents(of: path) } }

    /// All files with their bytes, in the order of their paths. Not counted, and never fails.
    public func files() -> [(path: String, bytes: [UInt8])] { state.withLock { $0.allFiles() } }

    /// Replaces a file, or creates it, with durable bytes.
    ///
    /// Not counted, and never fails.
    public func setContents(of path: String, to bytes: [UInt8]) {
        state.withLock { $0.setContents(of: path, to: bytes) }
    }

    // MARK: Disk

    /// See ``Disk/open(_:_:)``.
    public func open(_ path: String, _ mode: DiskOpenMode) throws(DiskError) -> any DiskFile {
        if mode.access == .create { tell(.create) }
        let inode = try state.withLock { (state) throws(DiskError) in try state.open(path, mode) }
        return SimulatedFile(self, inode, mode, path)
    }

    /// See ``Disk/rename(_:to:)``.
    public func rename(_ source: String, to target: String) throws(DiskError) {
        tell(.rename)
        try state.withLock { (state) throws(DiskError) in try state.rename(source, to: target) }
    }

    /// See ``Disk/remove(_:)``.
    public func remove(_ path: String) throws(DiskError) {
        tell(.remove)
        try state.withLock { (state) throws(DiskError) in try state.remove(path) }
    }

    /// See ``Disk/list(_:)``.
    public func list(_ directory: String) throws(DiskError) -> [String] {
        try state.withLock { (state) throws(DiskError) in try state.list(directory) }
    }

    /// See ``Disk/createDirectory(_:)``.
    public func createDirectory(_ path: String) throws(DiskError) {
        tell(.createDirectory)
        try state.withLock { (state) throws(DiskError) in try state.createDirectory(path) }
    }

    /// See ``Disk/syncDirectory(_:)``.
    public func syncDirectory(_ path: String) throws(DiskError) {
        tell(.syncDirectory)
        try state.withLock { (state) throws(DiskError) in try state.syncDirectory(path) }
    }

    /// See ``Disk/exists(_:)``.
    public func exists(_ path: String) throws(DiskError) -> Bool {
        try state.withLock { (state) throws(DiskError) in try state.exists(path) }
    }

    /// See ``Disk/lock(_:)``.
    public func lock(_ path: String) throws(DiskError) -> any DiskLock {
        try state.withLock { (state) throws(DiskError) in try state.lock(path) }
        return SimulatedLock(self, path)
    }

    /// See ``Disk/freeByteCount()``.
    public func freeByteCount() throws(DiskError) -> UInt64 {
        try state.withLock { (state) throws(DiskError) in try state.freeByteCount() }
    }

    // MARK: -

    fileprivate func onFile<Result>(
        _ body: (inout SimulatedDiskState) throws(DiskError) -> Result
    ) throws(DiskError) -> Result {
        try state.withLock { (state) throws(DiskError) in try body(&state) }
    }

    fileprivate func tell(_ operation: SimulatedOperation) {
        let observer = observer.withLock { $0 }
        observer?(operation)
    }

    fileprivate func release(_ inode: Int) { state.withLock { $0.release(inode) } }

    fileprivate func unlock(_ path: String) { state.withLock { $0.unlock(path) } }
}

/// An open file of a ``SimulatedDisk``.
private final class SimulatedFile: DiskFile {
    private let disk: SimulatedDisk
    private let inode: Int
    private let mode: DiskOpenMode
    private let path: String
    private let isClosed = Atomic(false)

    init(_ disk: SimulatedDisk, _ inode: Int, _ mode: DiskOpenMode, _ path: String) {
        self.disk = disk
        self.inode = inode
        self.mode = mode
        self.path = path
    }

    deinit { disk.release(inode) }

    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(DiskError) {
        try requireOpen(forWriting: true)
        let copy = [UInt8](copying: bytes)
        disk.tell(.write)
        try disk.onFile { (state) throws(DiskError) in
            try state.write(copy, at: offset, to: inode, isDirect: mode.isBypassingCache)
        }
    }

    func read(into bytes: inout MutableSpan<UInt8>, at offset: UInt64) throws(DiskError) -> Int {
        try requireOpen(forWriting: false)
        let wanted = bytes.count
        let found = try disk.onFile { (state) throws(DiskError) in
            try state.read(offset, wanted, of: inode)
        }
        bytes.copy(found.span)
        return found.count
    }

    func sync() throws(DiskError) {
        try requireOpen(forWriting: false)
        disk.tell(.sync)
        try disk.onFile { (state) throws(DiskError) in try state.sync(inode) }
    }

    func allocate(byteCount: UInt64) throws(DiskError) {
        try requireOpen(forWriting: true)
        disk.tell(.allocate)
        try disk.onFile { (state) throws(DiskError) in
            try state.allocate(byteCount, of: inode)
        }
    }

    func truncate(to byteCount: UInt64) throws(DiskError) {
        try requireOpen(forWriting: true)
        disk.tell(.truncate)
        try disk.onFile { (state) throws(DiskError) in
            try state.truncate(inode, to: byteCount)
        }
    }

    func byteCount() throws(DiskError) -> UInt64 {
        try requireOpen(forWriting: false)
        return try disk.onFile { (state) throws(DiskError) in try state.byteCount(of: inode) }
    }

    // The simulation has one user.
    func permissions() throws(DiskError) -> UInt16 {
        try requireOpen(forWriting: false)
        return 0o600
    }

    func close() { isClosed.store(true, ordering: .releasing) }

    private func requireOpen(forWriting: Bool) throws(DiskError) {
        guard !isClosed.load(ordering: .acquiring) else {
            throw DiskError(.closed, "\(path) is used after it was closed")
        }
        guard !forWriting || mode.access != .read else {
            throw DiskError(.permission, "\(path) was opened for reading only")
        }
    }
}

/// A lock on a ``SimulatedDisk``.
private final class SimulatedLock: DiskLock {
    private let disk: SimulatedDisk
    private let path: String
    private let isReleased = Atomic(false)

    init(_ disk: SimulatedDisk, _ path: String) {
        self.disk = disk
        self.path = path
    }

    deinit { release() }

    func release() {
        guard !isReleased.exchange(true, ordering: .acquiringAndReleasing) else { return }
        disk.unlock(path)
    }
}
