// Part of Cairn, a content-addressed blob store.

/// Why a disk could not do what it was asked.
///
/// Two errors are equal when their codes are. Immutable, so safe to share between threads.
public struct DiskError: Error, Hashable, CustomStringConvertible {
    /// What a caller can act upon; the rest is for people.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case outOfSpace, io, notFound, exists, tooManyFiles, readOnly, permission,
                locked, notRegularFile, limitExceeded, invalidArgument, closed
        }

        private let kind: Kind

        /// The file system or a quota of the system is full.
        ///
        /// Retry once there is room. A failed write or sync is not to be retried all the same.
        public static var outOfSpace: Self { Self(kind: .outOfSpace) }

        /// The device failed, or the system refused in a way that has no better name.
        ///
        /// Give up on the file: reopen, and repair what turns out to be damaged.
        public static var io: Self { Self(kind: .io) }

        /// Nothing has this name.
        ///
        /// Give up, or create it.
        public static var notFound: Self { Self(kind: .notFound) }

        /// The name is taken.
        ///
        /// Give up, or use what is there.
        public static var exists: Self { Self(kind: .exists) }

        /// The process or the system has no descriptor left.
        ///
        /// Retry after closing files, or raise the limit.
        public static var tooManyFiles: Self { Self(kind: .tooManyFiles) }

        /// The file system takes no writes.
        ///
        /// Give up until it is mounted for writing.
        public static var readOnly: Self { Self(kind: .readOnly) }

        /// The system denies the access.
        ///
        /// Repair the permissions or the ownership.
        public static var permission: Self { Self(kind: .permission) }

        /// Another process holds the lock; the message names it.
        ///
        /// Retry after that process has ended.
        public static var locked: Self { Self(kind: .locked) }

        /// A link, a pipe, a directory or a device stands where a file (or a directory) should.
        ///
        /// Repair: nobody but Cairn should put anything into its directory.
        public static var notRegularFile: Self { Self(kind: .notRegularFile) }

        /// A file is longer than the caller or the file system allows.
        ///
        /// Give up: the file is damaged or not what it should be.
        public static var limitExceeded: Self { Self(kind: .limitExceeded) }

        /// A path or an offset cannot work, whatever the state.
        ///
        /// Give up: the program that calls has to change.
        public static var invalidArgument: Self { Self(kind: .invalidArgument) }

        /// The file was closed.
        ///
        /// Give up: the program that calls has to change.
        public static var closed: Self { Self(kind: .closed) }

        /// The name of the code, for logs.
        public var description: String { kind.rawValue }
    }

    /// One reference, so that a typed throw costs one word.
    private final class Storage: Sendable {
        let code: Code
        let message: String
        let cause: (any Error)?

        init(code: Code, message: String, cause: (any Error)?) {
            self.code = code
            self.message = message
            self.cause = cause
        }
    }

    private let storage: Storage

    /// Creates an error.
    ///
    /// - Parameter message: What was attempted on what, and the remedy; never key material.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        storage = Storage(code: code, message: message, cause: cause)
    }

    /// What a caller can act upon.
    public var code: Code { storage.code }

    /// What was attempted on what, and the remedy.
    public var message: String { storage.message }

    /// The error of a lower layer, if there was one.
    public var cause: (any Error)? { storage.cause }

    /// The code and the message, then those of each cause.
    public var description: String {
        guard let cause else { return "\(code): \(message)" }
        return "\(code): \(message) (\(cause))"
    }

    /// Whether both errors ask the same of a caller.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code alone, as equality does.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}
