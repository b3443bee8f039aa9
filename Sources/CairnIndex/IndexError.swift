// Part of Cairn, a content-addressed blob store.

/// Why an operation of an index failed.
public struct IndexError: Error, Hashable, CustomStringConvertible {
    /// What a caller can do about the failure.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case conflict, closed, corrupted, io, outOfSpace, readOnly, locked, notFound
            case unsupportedVersion, invalidArgument, limitExceeded
        }
        private let kind: Kind

        /// Another transaction changed what this one had read.
        ///
        /// Nothing happened.
        ///
        /// Run the whole transaction again.
        public static var conflict: Self { Self(kind: .conflict) }
        /// The index is closed, or the transaction has already ended.
        ///
        /// Give up, or open the index again.
        public static var closed: Self { Self(kind: .closed) }
        /// Stored bytes are damaged, or a file is missing.
        ///
        /// Repair from a checkpoint or rebuild; do not retry.
        public static var corrupted: Self { Self(kind: .corrupted) }
        /// The operating system reported a failure.
        ///
        /// The index takes no writes until it is reopened.
        ///
        /// Reopen; what was synced before is still there.
        public static var io: Self { Self(kind: .io) }
        /// No space is left.
        ///
        /// The index takes no writes until there is space again, which it notices within seconds
        /// (where a quota of the file system is the cause: until it is reopened). A refused commit
        /// did not happen; what a refused sync was to make durable may become so later.
        ///
        /// Free space, then retry.
        public static var outOfSpace: Self { Self(kind: .outOfSpace) }
        /// The files can't be written: read-only file system or missing permission.
        ///
        /// Repair the mount or the permissions, then reopen.
        public static var readOnly: Self { Self(kind: .readOnly) }
        /// Another process, or another index of this one, has these files open.
        ///
        /// Close the other one first.
        public static var locked: Self { Self(kind: .locked) }
        /// There is no index at this path, and none was to be created.
        public static var notFound: Self { Self(kind: .notFound) }
        /// The files were written by a later version.
        ///
        /// Upgrade; nothing was changed.
        public static var unsupportedVersion: Self { Self(kind: .unsupportedVersion) }
        /// The caller broke a rule of the interface.
        ///
        /// Correct the call.
        public static var invalidArgument: Self { Self(kind: .invalidArgument) }
        /// A key, a value, a transaction or a counter is too large.
        ///
        /// See ``IndexLimits``.
        public static var limitExceeded: Self { Self(kind: .limitExceeded) }

        /// The name of the code.
        public var description: String { kind.rawValue }
    }

    // One reference, so that a typed throw costs one word.
    private final class Storage: Sendable {
        let code: Code
        let message: String
        let cause: (any Error)?

        init(_ code: Code, _ message: String, _ cause: (any Error)?) {
            self.code = code
            self.message = message
            self.cause = cause
        }
    }
    private let storage: Storage

    /// Makes an error.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        storage = Storage(code, message, cause)
    }

    /// What a caller can do about the failure.
    public var code: Code { storage.code }
    /// What was attempted, on which object, and how to remedy it.
    public var message: String { storage.message }
    /// The error underneath, if there was one.
    public var cause: (any Error)? { storage.cause }
    /// Code, message and cause, for people.
    public var description: String {
        guard let cause else { return "\(code): \(message)" }
        return "\(code): \(message) (\(cause))"
    }

    /// Equality is by code.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }
    /// Hashes the code, as equality demands.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}
