// Part of Cairn, a content-addressed blob store.

/// The files of one store: everything Cairn asks of an operating system's storage.
///
/// Paths are relative to the store's root, their components separated by `/`; the empty path is
/// the root itself. A path is never followed through a symbolic link. All calls block the thread
/// and may be made from any thread.
///
/// Durability is the weakest that real file systems give: the bytes of a file are safe after
/// ``DiskFile/sync()``, and a name (created, renamed or removed) after ``syncDirectory(_:)`` of
/// the directory that holds it. Until then a power cut may drop, keep or tear any of them.
public protocol Disk: Sendable {
    /// Opens a regular file, or creates one.
    ///
    /// - Throws: ``DiskError`` with code `notFound`, `exists` (creating only), `notRegularFile`
    ///   (a link, a pipe or a directory stands there), `tooManyFiles`, `outOfSpace`,
    ///   `permission`, `readOnly` or `io`.
    func open(_ path: String, _ mode: DiskOpenMode) throws(DiskError) -> any DiskFile

    /// Renames a file, replacing what has the new name.
    ///
    /// After a power cut either the old or the new state is found; the new one for certain once
    /// the directories of both names were synced.
    func rename(_ source: String, to target: String) throws(DiskError)

    /// Gives a file the same name on another disk too, without copying its bytes.
    ///
    /// - Returns: Whether that was possible; false where the two are different file systems, or
    ///   the file system has no such thing.
    /// - Throws: ``DiskError`` with code `notFound`, `exists`, `outOfSpace`, `permission`,
    ///   `readOnly` or `io`.
    func link(_ path: String, into target: any Disk) throws(DiskError) -> Bool

    /// Removes a file. Those who have it open can go on using it.
    func remove(_ path: String) throws(DiskError)

    /// The names in a directory, of whatever type, in ascending order.
    func list(_ directory: String) throws(DiskError) -> [String]

    /// Creates a directory; its name is durable once the parent was synced.
    func createDirectory(_ path: String) throws(DiskError)

    /// Makes the names in a directory durable.
    ///
    /// - Throws: ``DiskError`` with code `io`; never retry, the names may be lost.
    func syncDirectory(_ path: String) throws(DiskError)

    /// Whether something has this name, of whatever type.
    func exists(_ path: String) throws(DiskError) -> Bool

    /// Takes the exclusive lock that a file stands for, creating the file if it is missing.
    ///
    /// The file then holds the number of the locking process. The lock ends with the process.
    ///
    /// - Throws: ``DiskError`` with code `locked`, its message naming the process that has it.
    func lock(_ path: String) throws(DiskError) -> any DiskLock

    /// How many bytes can still be written.
    func freeByteCount() throws(DiskError) -> UInt64

    /// Whether the file system admits no writes, as far as it tells without one.
    func isReadOnly() throws(DiskError) -> Bool
}

extension Disk {
    /// False: by default a disk cannot.
    public func link(_ path: String, into target: any Disk) throws(DiskError) -> Bool { false }

    /// False: by default a disk tells by a failing write.
    public func isReadOnly() throws(DiskError) -> Bool { false }
}

/// An open file.
///
/// Any number of threads may use it at once.
public protocol DiskFile: AnyObject, Sendable {
    /// Writes all of the bytes, or throws with any part of them written.
    ///
    /// Not durable before ``sync()``.
    ///
    /// - Throws: ``DiskError`` with code `outOfSpace`, `readOnly` or `io`.
    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(DiskError)

    /// Reads until the span is full or the file ends, and returns how many bytes were read.
    ///
    /// - Throws: ``DiskError`` with code `io`; the span's contents are then unspecified.
    func read(into bytes: inout MutableSpan<UInt8>, at offset: UInt64) throws(DiskError) -> Int

    /// Makes the bytes and the length of the file durable; its name is another matter.
    ///
    /// - Throws: ``DiskError``. Never retry: the system may have forgotten what it could not
    ///   write, so that a second call succeeds without the bytes being safe.
    func sync() throws(DiskError)

    /// Reserves room for a file of `byteCount` bytes, and lengthens it to that with zeros.
    ///
    /// A hint where the file system has no such call.
    ///
    /// - Throws: ``DiskError`` with code `outOfSpace`; the file still has its old length or part
    ///   of the new one, and nothing else has changed.
    func allocate(byteCount: UInt64) throws(DiskError)

    /// Cuts the file, or lengthens it with zeros.
    func truncate(to byteCount: UInt64) throws(DiskError)

    /// The length of the file.
    func byteCount() throws(DiskError) -> UInt64

    /// The permission bits of the file (`man 2 fstat`): who beside its owner may read it.
    func permissions() throws(DiskError) -> UInt16

    /// Ends the use of the file; what was not synced stays not synced.
    ///
    /// Later calls throw `closed`; calls under way on other threads finish. The last reference
    /// to go closes the file as well.
    func close()
}

/// An exclusive lock, held until it is released or no longer referred to.
public protocol DiskLock: AnyObject, Sendable {
    /// Lets others take the lock. Idempotent.
    func release()
}

/// How to open a file.
public struct DiskOpenMode: Hashable, Sendable {
    /// What can be done with the file.
    public enum Access: Hashable, Sendable {
        /// Only reading.
        case read
        /// Reading and writing of a file that exists.
        case readWrite
        /// Reading and writing of a file that must not exist yet.
        case create
    }

    /// What can be done with the file.
    public let access: Access

    /// The permission bits of a file that is created.
    public let permissions: UInt16

    /// Whether bytes should go past the page cache.
    ///
    /// Only whole blocks of ``blockByteCount``, at multiples of it in the file and in memory,
    /// can; all else works and takes the ordinary way.
    public let isBypassingCache: Bool

    /// The unit of access that bypasses the cache, in bytes.
    public static let blockByteCount = 4096

    /// Reading only.
    public static var read: Self { Self(.read, 0, false) }

    /// Reading and writing of a file that exists.
    public static var readWrite: Self { Self(.readWrite, 0, false) }

    /// Creating a file that only the owner can read.
    public static var create: Self { .create(permissions: 0o600) }

    /// Creating a file with the given permission bits.
    public static func create(permissions: UInt16) -> Self { Self(.create, permissions, false) }

    /// The same, past the page cache where the file system has a way.
    public var bypassingCache: Self { Self(access, permissions, true) }

    private init(_ access: Access, _ permissions: UInt16, _ isBypassingCache: Bool) {
        self.access = access
        self.permissions = permissions
        self.isBypassingCache = isBypassingCache
    }
}
