// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// Open files for reading: at most a given number, the one used longest ago closed first.
///
/// A file that is forgotten while it is being read stays open until that read is done. Safe to
/// share between threads.
final class ReadFiles: Sendable {
    private struct Entry {
        let file: any DiskFile
        var lastUse: UInt64
    }

    private struct State {
        var entries: [SegmentNumber: Entry] = [:]
        var clock: UInt64 = 0
        /// Segments that were deleted: a read that was faster must not bring them back.
        var forgotten: Set<SegmentNumber> = []
    }

    private let directory: SegmentDirectory
    private let countMax: Int
    /// Not the standard library's mutex, whose order the thread sanitizer does not see.
    private let state = Monitor(State())

    init(_ directory: SegmentDirectory, countMax: Int) {
        self.directory = directory
        self.countMax = countMax
    }

    /// The file of a segment, opened and its header checked if it was not open.
    func file(_ segment: SegmentNumber) throws(SegmentError) -> any DiskFile {
        if let file = known(segment) { return file }
        let file = try open(segment)
        _ = try SegmentFile.checkHeader(of: file, directory.header(of: segment))
        return keep(file, segment)
    }

    /// What the footer of a sealed segment says.
    func load(_ segment: SegmentNumber) throws(SegmentError) -> SealedSegment {
        try SegmentFile.readSealed(file(segment), directory.header(of: segment))
    }

    /// Closes the file of a deleted segment once nobody reads it any more.
    func forget(_ segment: SegmentNumber) {
        state.withLock { state in
            state.entries.removeValue(forKey: segment)
            state.forgotten.insert(segment)
        }
    }

    /// Closes all files that nobody reads.
    func forgetAll() { state.withLock { $0.entries = [:] } }

    /// How many files are kept open.
    var count: Int { state.withLock { $0.entries.count } }

    // MARK: -

    private func open(_ segment: SegmentNumber) throws(SegmentError) -> any DiskFile {
        do {
            return try directory.open(segment, .read)
        } catch let error where error.code == .tooManyFiles {
            // Ours are the ones that can be given back.
            forgetAll()
            return try directory.open(segment, .read)
        }
    }

    private func known(_ segment: SegmentNumber) -> (any DiskFile)? {
        state.withLock { state in
            guard state.entries[segment] != nil else { return nil }
            state.clock += 1
            state.entries[segment]?.lastUse = state.clock
            return state.entries[segment]?.file
        }
    }

    /// Adds a file, unless another thread was faster; then its file is the one to use.
    private func keep(_ file: any DiskFile, _ segment: SegmentNumber) -> any DiskFile {
        state.withLock { state in
            if let other = state.entries[segment]?.file { return other }
            if state.forgotten.contains(segment) { return file }
            if state.entries.count >= countMax {
                let oldest = state.entries.min { $0.value.lastUse < $1.value.lastUse }
                if let oldest { state.entries.removeValue(forKey: oldest.key) }
            }
            state.clock += 1
            state.entries[segment] = Entry(file: file, lastUse: state.clock)
            return file
        }
    }
}
