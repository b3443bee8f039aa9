// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// What a call on a store reports when it cannot do what was asked.
///
/// Two errors are equal when their codes are. Neither the message nor the cause ever contains a
/// key, a passphrase or the digest of bytes that the caller has not named.
public struct StoreError: Error, Hashable, CustomStringConvertible, Sendable {
    private let storage: Storage

    /// Makes an error.
    public init(
        _ code: Code, _ message: String, cause: (any Error)? = nil, file: String = #fileID,
        line: Int = #line
    ) {
        storage = Storage(code: code, message: message, cause: cause, file: file, line: line)
    }

    /// Says that a quota has no room.
    init(
        exceeding limit: Quota.Limit, _ message: String, file: String = #fileID, line: Int = #line
    ) {
        storage = Storage(
            code: .quotaExceeded, message: message, cause: nil, file: file, line: line,
            exceededLimit: limit)
    }

    /// What kind of failure this is; callers decide by it.
    public var code: Code { storage.code }
    /// What was attempted, on which object, and how to remedy it.
    public var message: String { storage.message }
    /// The error of the layer below, for the operator's log.
    public var cause: (any Error)? { storage.cause }

    /// The code, the message and the cause, for a log.
    public var description: String {
        guard let cause else { return "\(code): \(message)" }
        return "\(code): \(message) (\(cause))"
    }

    /// Whether two errors have the same code.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }

    /// The limit that was met; nil of any other error.
    var exceededLimit: Quota.Limit? { storage.exceededLimit }

    /// True for the first who asks, so that an error is counted once on its way to the caller.
    func beginCounting() -> Bool { !storage.isCounted.exchange(true, ordering: .relaxed) }

    // One word wide, so that a typed throw costs one register.
    private final class Storage: Sendable {
        let isCounted = Atomic(false)
        let code: Code
        let message: String
        let cause: (any Error)?
        let file: String
        let line: Int
        let exceededLimit: Quota.Limit?

        init(
            code: Code, message: String, cause: (any Error)?, file: String, line: Int,
            exceededLimit: Quota.Limit? = nil
        ) {
            self.exceededLimit = exceededLimit
            self.code = code
            self.message = message
            self.cause = cause
            self.file = file
            self.line = line
        }
    }
}

extension StoreError {
    /// The kinds of failure. New ones may be added; switch with a default.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String, CaseIterable {
            case storeNotFound, storeLocked, formatTooNew, wrongPassphrase
            case keyUnavailable, keyDisabled, keyUnknown, aliasExists, accessDenied, domainMismatch
            case corrupted, io, outOfSpace, readOnly, closed, cancelled
            case nameInvalid, digestInvalid, keyInvalid, rangeInvalid, invalidArgument
            case limitExceeded, quotaExceeded, allowanceExceeded
            case accountUnknown, accountExists, accountNotEmpty
            case bucketUnknown, bucketExists, bucketNotEmpty
            case blobUnknown, blobReferenced, objectUnknown, objectLocked, preconditionFailed
            case notModified, eventsLost
            case uploadUnknown, uploadOffsetMismatch, uploadBusy, uploadExpired, digestMismatch
        }

        private let kind: Kind

        private init(_ kind: Kind) { self.kind = kind }

        /// All codes of this version.
        static var all: [Self] { Kind.allCases.map { Self($0) } }

        /// The name of the code, stable: scripts may match on it.
        public var description: String { kind.rawValue }

        /// There is no store at the path. Create one, or correct the path.
        public static var storeNotFound: Self { Self(.storeNotFound) }
        /// Another process holds the store; the message names it. Retry when it has gone.
        public static var storeLocked: Self { Self(.storeLocked) }
        /// A newer release wrote the store. Give up; open it with that release.
        public static var formatTooNew: Self { Self(.formatTooNew) }
        /// The passphrase or key file does not open the keyring. Nothing was changed.
        public static var wrongPassphrase: Self { Self(.wrongPassphrase) }
        /// The key provider or the key file is out of reach. Retry once it answers.
        public static var keyUnavailable: Self { Self(.keyUnavailable) }
        /// The customer key is disabled or about to be destroyed. Retry once it is enabled.
        public static var keyDisabled: Self { Self(.keyDisabled) }
        /// There is no customer key of this id, name or alias. Correct it.
        public static var keyUnknown: Self { Self(.keyUnknown) }
        /// The alias already leads to a customer key. Take another one, or update it.
        public static var aliasExists: Self { Self(.aliasExists) }
        /// No grant allows this use of a customer key. Ask the owner of the key for one.
        public static var accessDenied: Self { Self(.accessDenied) }
        /// A blob lies in a deduplication domain that the bucket has no part in. Upload it.
        public static var domainMismatch: Self { Self(.domainMismatch) }
        /// Stored bytes are damaged or were tampered with. Repair; do not retry.
        public static var corrupted: Self { Self(.corrupted) }
        /// The operating system failed a read, write or sync. Reopen the store.
        public static var io: Self { Self(.io) }
        /// The disk is full. Nothing was torn; retry when there is room. The change may have
        /// happened if others than the store took the last of it.
        public static var outOfSpace: Self { Self(.outOfSpace) }
        /// The file system, or a failed sync, admits no writes. Reads go on.
        public static var readOnly: Self { Self(.readOnly) }
        /// The store, session or handle was closed before. Open it again.
        public static var closed: Self { Self(.closed) }
        /// The task was cancelled before the work was done. One call has changed nothing; upkeep of
        /// a whole store keeps what it has done.
        public static var cancelled: Self { Self(.cancelled) }
        /// A bucket or account name breaks the rules. Correct it.
        public static var nameInvalid: Self { Self(.nameInvalid) }
        /// A digest is not `algorithm:lower-case-hex`. Correct it.
        public static var digestInvalid: Self { Self(.digestInvalid) }
        /// An object key breaks the rules. Correct it.
        public static var keyInvalid: Self { Self(.keyInvalid) }
        /// A range lies outside the blob. Correct it.
        public static var rangeInvalid: Self { Self(.rangeInvalid) }
        /// An argument is outside its documented bounds. Correct it.
        public static var invalidArgument: Self { Self(.invalidArgument) }
        /// A stated limit would be crossed; the message names it. Nothing was stored.
        public static var limitExceeded: Self { Self(.limitExceeded) }
        /// The quota of a bucket or of its account has no room; the message names the limit. Free
        /// space or raise the quota, then retry. Nothing was stored.
        public static var quotaExceeded: Self { Self(.quotaExceeded) }
        /// The account has used up what it is allowed in the month. Retry when that is over.
        public static var allowanceExceeded: Self { Self(.allowanceExceeded) }
        /// No account has this name.
        public static var accountUnknown: Self { Self(.accountUnknown) }
        /// An account of this name exists already.
        public static var accountExists: Self { Self(.accountExists) }
        /// The account still has buckets. Delete them first.
        public static var accountNotEmpty: Self { Self(.accountNotEmpty) }
        /// The account has no bucket of this name.
        public static var bucketUnknown: Self { Self(.bucketUnknown) }
        /// A bucket of this name exists already.
        public static var bucketExists: Self { Self(.bucketExists) }
        /// The bucket still has blobs, objects or uploads. Delete them first.
        public static var bucketNotEmpty: Self { Self(.bucketNotEmpty) }
        /// The bucket has no blob of this digest.
        public static var blobUnknown: Self { Self(.blobUnknown) }
        /// Objects of the bucket refer to the blob. Delete them first.
        public static var blobReferenced: Self { Self(.blobReferenced) }
        /// The bucket has no object of this key.
        public static var objectUnknown: Self { Self(.objectUnknown) }
        /// A retention or a legal hold keeps the version of the object. Retry after its time.
        public static var objectLocked: Self { Self(.objectLocked) }
        /// An if-match or if-none-match condition does not hold. Read again, then decide.
        public static var preconditionFailed: Self { Self(.preconditionFailed) }
        /// The object is in a state that the caller knows (RFC 9110 15.4.5). Use what is at hand.
        public static var notModified: Self { Self(.notModified) }
        /// Events that follow a position are not kept any more. Take a new position, then list the
        /// bucket, then go on from there.
        public static var eventsLost: Self { Self(.eventsLost) }
        /// The bucket has no such upload session: never begun, finished, cancelled or reaped.
        public static var uploadUnknown: Self { Self(.uploadUnknown) }
        /// The bytes do not continue, or do not equal, what was received. Ask for the status.
        public static var uploadOffsetMismatch: Self { Self(.uploadOffsetMismatch) }
        /// Another call on the same upload session is under way. Retry after it.
        public static var uploadBusy: Self { Self(.uploadBusy) }
        /// The upload session outlived its lifetime. Begin a new one.
        public static var uploadExpired: Self { Self(.uploadExpired) }
        /// The received bytes have another digest. The session stays as it was.
        public static var digestMismatch: Self { Self(.digestMismatch) }
    }
}
