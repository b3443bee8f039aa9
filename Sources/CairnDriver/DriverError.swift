// Part of Cairn, a content-addressed blob store.
public import Cairn

/// A call of a storage driver that failed. Equal by ``code``.
public struct DriverError: Error, Hashable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable {
        /// Nothing is at the path, neither a file nor anything below it. Give up.
        case pathNotFound
        /// The path is not `/` or components of letters, digits, `.`, `_` and `-` behind slashes,
        /// none of which is `.` or `..`, or has more than 1025 bytes. Give up.
        case pathInvalid
        /// The offset lies behind the end of the file, or is negative. Give up.
        case offsetInvalid
        /// The file is longer than the caller is ready to take. Use a reader.
        case tooLarge
        /// The writer was committed, cancelled or closed before, or another one has ended its work;
        /// or the store is closed, which may be the answer to any call.
        case closed
        /// The store failed. See ``DriverError/cause``.
        case store
    }

    /// What went wrong.
    public let code: Code
    /// What was attempted on which path.
    public let message: String
    /// The error of the store, when it was that.
    public let cause: StoreError?

    /// The code, the message and the cause, for a log.
    public var description: String {
        cause.map { "\(code.rawValue): \(message) (\($0))" } ?? "\(code.rawValue): \(message)"
    }

    init(_ code: Code, _ message: String, cause: StoreError? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    init(_ error: StoreError, at path: String) {
        switch error.code {
        case .objectUnknown: self.init(.pathNotFound, path, cause: error)
        case .uploadUnknown, .uploadExpired, .closed: self.init(.closed, path, cause: error)
        case .keyInvalid: self.init(.pathInvalid, path, cause: error)
        default: self.init(.store, path, cause: error)
        }
    }

    /// Whether two errors have the same code.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}
