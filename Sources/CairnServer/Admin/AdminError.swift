// Part of Cairn, a content-addressed blob store.

/// An administrative call that failed. Equal by ``code``.
public struct AdminError: Error, Hashable, CustomStringConvertible {
    /// What went wrong, coarse enough to act on.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code's name, as it travels in answers of the socket.
        public let name: String

        /// Makes a code from its name, known to this version or not.
        public init(name: String) { self.name = name }

        /// The code's name.
        public var description: String { name }
    }

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

    /// Makes an error.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        storage = Storage(code: code, message: message, cause: cause)
    }

    /// What went wrong.
    public var code: Code { storage.code }
    /// What was attempted and how to remedy it. Never contains secrets.
    public var message: String { storage.message }
    /// The error below, when it happened in this process.
    public var cause: (any Error)? { storage.cause }
    /// The code and the message.
    public var description: String { "\(code): \(message)" }

    /// Whether two errors have the same code.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}

extension AdminError.Code {
    // MARK: As the store says

    /// No store at the path. Give up, or create one.
    public static var storeNotFound: Self { Self(name: "storeNotFound") }
    /// Another process has the store open and no server answers. Retry when it is gone.
    public static var storeLocked: Self { Self(name: "storeLocked") }
    /// The store was written by a newer version. Give up.
    public static var formatTooNew: Self { Self(name: "formatTooNew") }
    /// The keyring did not open. Give the right passphrase or key file.
    public static var wrongPassphrase: Self { Self(name: "wrongPassphrase") }
    /// A key cannot be had now. Retry.
    public static var keyUnavailable: Self { Self(name: "keyUnavailable") }
    /// Stored bytes are damaged. Repair from a copy.
    public static var corrupted: Self { Self(name: "corrupted") }
    /// The disk failed. Reopen the store.
    public static var io: Self { Self(name: "io") }
    /// The disk is full. Free space and retry.
    public static var outOfSpace: Self { Self(name: "outOfSpace") }
    /// The store cannot be written. Give up.
    public static var readOnly: Self { Self(name: "readOnly") }
    /// The store has been closed. Give up.
    public static var closed: Self { Self(name: "closed") }
    /// A bucket or account name is not allowed. Give up.
    public static var nameInvalid: Self { Self(name: "nameInvalid") }
    /// Not a digest. Give up.
    public static var digestInvalid: Self { Self(name: "digestInvalid") }
    /// A stated limit was crossed. Give up.
    public static var limitExceeded: Self { Self(name: "limitExceeded") }
    /// A quota has no room. Free space or raise it.
    public static var quotaExceeded: Self { Self(name: "quotaExceeded") }
    /// The range starts past the end of the blob. Give up.
    public static var rangeInvalid: Self { Self(name: "rangeInvalid") }
    /// No such bucket. Give up.
    public static var bucketUnknown: Self { Self(name: "bucketUnknown") }
    /// The bucket is there already. Give up.
    public static var bucketExists: Self { Self(name: "bucketExists") }
    /// The bucket still holds something. Empty it first.
    public static var bucketNotEmpty: Self { Self(name: "bucketNotEmpty") }
    /// No such blob in the bucket. Give up.
    public static var blobUnknown: Self { Self(name: "blobUnknown") }
    /// An object refers to the blob. Delete the object first.
    public static var blobReferenced: Self { Self(name: "blobReferenced") }
    /// The bytes do not have the digest that was claimed. Give up; nothing was kept.
    public static var digestMismatch: Self { Self(name: "digestMismatch") }
    /// No such upload session in the bucket. Give up.
    public static var uploadUnknown: Self { Self(name: "uploadUnknown") }
    /// Another caller uses the upload session. Retry.
    public static var uploadBusy: Self { Self(name: "uploadBusy") }
    /// An argument is out of its range. Give up.
    public static var invalidArgument: Self { Self(name: "invalidArgument") }

    // MARK: Of the access itself

    /// The caller's source of bytes threw. See the cause; nothing was kept.
    public static var sourceFailed: Self { Self(name: "sourceFailed") }
    /// The caller's sink of bytes threw. See the cause.
    public static var sinkFailed: Self { Self(name: "sinkFailed") }
    /// Nothing answers on the socket, or the connection broke. Retry.
    public static var unreachable: Self { Self(name: "unreachable") }
    /// The server's answer made no sense, perhaps one of another version. Give up.
    public static var protocolViolation: Self { Self(name: "protocolViolation") }
    /// An error without a code of its own. Give up.
    public static var unexpected: Self { Self(name: "unexpected") }
}
