// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// An advisory lock (man 2 flock) on a file that holds the number of the process that has it.
///
/// The file stays when the lock goes: removing it would let two processes lock two files of the
/// same name. Safe to share between threads.
final class LocalLock: DiskLock {
    /// The longest decimal process number, and then some.
    private static let contentByteCountMax = 32

    private let file: FileDescriptor
    private let isReleased = Atomic(false)

    init(name: String, in directory: borrowing FileDescriptor) throws(DiskError) {
        let file = try directory.openLockFile(name)
        do {
            try file.lock()
        } catch let error where error.code == .locked {
            throw DiskError(.locked, "\(name) is locked by \(Self.holder(in: file))")
        }
        // For people and messages only: the lock itself is what counts, so no sync, and a full
        // disk is no reason to refuse.
        let content = [UInt8]("\(currentProcess())\n".utf8)
        do throws(DiskError) {
            try file.truncate(to: 0)
            try file.write(content.span, at: 0)
        } catch let error where error.code == .outOfSpace {}
        self.file = file
    }

    func release() {
        guard !isReleased.exchange(true, ordering: .acquiringAndReleasing) else { return }
        file.unlock()
    }

    private static func holder(in file: borrowing FileDescriptor) -> String {
        var bytes = [UInt8](repeating: 0, count: contentByteCountMax)
        var span = bytes.mutableSpan
        // The holder may not have written its number yet.
        guard let count = try? file.read(into: &span, at: 0),
            let process = Int32(
                String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self))
        else { return "an unknown process" }
        return "process \(process)"
    }
}
