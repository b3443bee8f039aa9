// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// A file of the local file system.
///
/// Safe to share between threads.
final class LocalFile: DiskFile {
    private let path: String
    private let buffered: FileDescriptor
    /// A second descriptor of the same file with `O_DIRECT`, if asked for and to be had.
    private let direct: FileDescriptor?
    /// Turns true for ever once the device refuses blocks of our size or alignment.
    private let isDirectRefused = Atomic(false)
    private let isClosed = Atomic(false)

    init(
        path: String, name: String, in directory: borrowing FileDescriptor, _ mode: DiskOpenMode
    ) throws(DiskError) {
        self.path = path
        let file = try directory.openFile(name, mode)
        direct =
            mode.isBypassingCache
            ? Self.openDirect(name, in: directory, mode, sameAs: try file.status()) : nil
        buffered = file
    }

    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(DiskError) {
        try requireOpen()
        var done = 0
        do {
            if usesDirect(bytes.count, offset, isAligned: bytes.isBlockAligned) {
                done = try writeDirectly(bytes, at: offset)
            }
            try buffered.write(bytes, from: done, at: offset + UInt64(done))
        } catch {
            throw named(error)
        }
    }

    func read(into bytes: inout MutableSpan<UInt8>, at offset: UInt64) throws(DiskError) -> Int {
        try requireOpen()
        var done = 0
        do {
            if usesDirect(bytes.count, offset, isAligned: bytes.span.isBlockAligned) {
                done = try readDirectly(into: &bytes, at: offset)
            }
            return try done + buffered.read(into: &bytes, from: done, at: offset + UInt64(done))
        } catch {
            throw named(error)
        }
    }

    func sync() throws(DiskError) {
        try requireOpen()
        do { try buffered.syncBytes() } catch { throw named(error) }
    }

    func allocate(byteCount: UInt64) throws(DiskError) {
        try requireOpen()
        do {
            let length = try buffered.status().byteCount
            // Reserving never shortens; that is what truncating is for.
            guard byteCount > length else { return }
            if try !buffered.allocate(from: length, byteCount: byteCount) {
                try buffered.truncate(to: byteCount)
            }
        } catch {
            throw named(error)
        }
    }

    func truncate(to byteCount: UInt64) throws(DiskError) {
        try requireOpen()
        do { try buffered.truncate(to: byteCount) } catch { throw named(error) }
    }

    func byteCount() throws(DiskError) -> UInt64 {
        try requireOpen()
        do { return try buffered.status().byteCount } catch { throw named(error) }
    }

    func permissions() throws(DiskError) -> UInt16 {
        try requireOpen()
        do { return try buffered.status().permissions } catch { throw named(error) }
    }

    // The descriptor itself lives as long as the last call that uses it: a number that is closed
    // under another thread's feet could already belong to another file.
    func close() { isClosed.store(true, ordering: .releasing) }

    // MARK: -

    /// Writes as much as the device takes past the cache; the rest is left to the ordinary way.
    private func writeDirectly(_ bytes: Span<UInt8>, at offset: UInt64) throws(DiskError) -> Int {
        do {
            return try direct?.writeOnce(bytes, from: 0, at: offset) ?? 0
        } catch let error where error.code == .invalidArgument {
            // The device wants other alignments (EINVAL).
            isDirectRefused.store(true, ordering: .relaxed)
            return 0
        }
    }

    private func readDirectly(
        into bytes: inout MutableSpan<UInt8>, at offset: UInt64
    ) throws(DiskError) -> Int {
        do {
            return try direct?.readOnce(into: &bytes, from: 0, at: offset) ?? 0
        } catch let error where error.code == .invalidArgument {
            isDirectRefused.store(true, ordering: .relaxed)
            return 0
        }
    }

    private func usesDirect(_ count: Int, _ offset: UInt64, isAligned: Bool) -> Bool {
        let block = DiskOpenMode.blockByteCount
        return direct != nil && isAligned && count > 0 && count % block == 0
            && offset % UInt64(block) == 0 && !isDirectRefused.load(ordering: .relaxed)
    }

    private static func openDirect(
        _ name: String, in directory: borrowing FileDescriptor, _ mode: DiskOpenMode,
        sameAs status: FileDescriptor.Status
    ) -> FileDescriptor? {
        let existing: DiskOpenMode = mode.access == .read ? .read : .readWrite
        do {
            let file = try directory.openFile(name, existing, isDirect: true)
            // The name may lead to another file by now.
            guard try file.status().identity == status.identity else { return nil }
            return file
        } catch {
            // EINVAL: the file system has no such way. All other reasons show up elsewhere.
            return nil
        }
    }

    private func requireOpen() throws(DiskError) {
        guard !isClosed.load(ordering: .acquiring) else {
            throw DiskError(.closed, "\(path) is used after it was closed")
        }
    }

    private func named(_ error: DiskError) -> DiskError {
        DiskError(error.code, "\(path): \(error.message)", cause: error.cause)
    }
}
