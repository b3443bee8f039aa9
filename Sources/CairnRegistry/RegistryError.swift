// Part of Cairn, a content-addressed blob store.
package import Cairn

/// Why a registry refused a call. Equal by ``code``.
public struct RegistryError: Error, Hashable, CustomStringConvertible {
    /// What went wrong, as fine as a client can act on.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case blobUnknown, blobReferenced, uploadInvalid, uploadBusy, uploadUnknown,
                digestInvalid, manifestBlobUnknown, manifestInvalid, manifestTooLarge,
                manifestUnknown, nameInvalid, nameUnknown, tagInvalid, tagImmutable,
                offsetInvalid, pageInvalid, keyDisabled, locked, quotaExceeded,
                allowanceExceeded,
                unavailable
        }

        private let kind: Kind

        /// The repository has no such blob. Push it.
        public static var blobUnknown: Self { Self(kind: .blobUnknown) }
        /// A manifest refers to the blob. Delete the manifest first.
        public static var blobReferenced: Self { Self(kind: .blobReferenced) }
        /// The upload session cannot take this request. Ask for its status.
        public static var uploadInvalid: Self { Self(kind: .uploadInvalid) }
        /// Another request writes to the upload session. Retry when it has ended.
        public static var uploadBusy: Self { Self(kind: .uploadBusy) }
        /// The repository has no such upload session. Start another.
        public static var uploadUnknown: Self { Self(kind: .uploadUnknown) }
        /// Not a digest, or not the digest of the bytes. Give up.
        public static var digestInvalid: Self { Self(kind: .digestInvalid) }
        /// The manifest refers to what the repository does not have. Push that first.
        public static var manifestBlobUnknown: Self { Self(kind: .manifestBlobUnknown) }
        /// The manifest breaks a rule. Give up.
        public static var manifestInvalid: Self { Self(kind: .manifestInvalid) }
        /// The manifest has more bytes than allowed. Give up.
        public static var manifestTooLarge: Self { Self(kind: .manifestTooLarge) }
        /// The repository has no such manifest or tag. Give up.
        public static var manifestUnknown: Self { Self(kind: .manifestUnknown) }
        /// Not a repository name. Give up.
        public static var nameInvalid: Self { Self(kind: .nameInvalid) }
        /// No such repository. Give up.
        public static var nameUnknown: Self { Self(kind: .nameUnknown) }
        /// Not a tag. Give up.
        public static var tagInvalid: Self { Self(kind: .tagInvalid) }
        /// The tag exists, names another manifest and must not move. Give up.
        public static var tagImmutable: Self { Self(kind: .tagImmutable) }
        /// The bytes do not follow those received. Ask for the session's status.
        public static var offsetInvalid: Self { Self(kind: .offsetInvalid) }
        /// A page's size or start is malformed. Give up.
        public static var pageInvalid: Self { Self(kind: .pageInvalid) }
        /// The customer key of the repository is disabled or destroyed. Ask its owner.
        public static var keyDisabled: Self { Self(kind: .keyDisabled) }
        /// A retention or a legal hold keeps what the call would change. Give up until it ends.
        public static var locked: Self { Self(kind: .locked) }
        /// The quota of the repository or of its account has no room. Free space or ask for more.
        public static var quotaExceeded: Self { Self(kind: .quotaExceeded) }
        /// The allowance of the month is used up. Retry when that is over.
        public static var allowanceExceeded: Self { Self(kind: .allowanceExceeded) }
        /// The store failed. See the cause; a client may retry.
        public static var unavailable: Self { Self(kind: .unavailable) }

        /// The code's name, for logs.
        public var description: String { kind.rawValue }

        /// The code of the OCI distribution-spec, or the one that registries use beside it.
        public var ociCode: String {
            switch kind {
            case .blobUnknown: "BLOB_UNKNOWN"
            case .blobReferenced: "UNSUPPORTED"
            case .uploadInvalid: "BLOB_UPLOAD_INVALID"
            case .uploadBusy: "BLOB_UPLOAD_INVALID"
            case .uploadUnknown: "BLOB_UPLOAD_UNKNOWN"
            case .digestInvalid: "DIGEST_INVALID"
            case .manifestBlobUnknown: "MANIFEST_BLOB_UNKNOWN"
            case .manifestInvalid: "MANIFEST_INVALID"
            case .manifestTooLarge: "MANIFEST_INVALID"
            case .manifestUnknown: "MANIFEST_UNKNOWN"
            case .nameInvalid: "NAME_INVALID"
            case .nameUnknown: "NAME_UNKNOWN"
            case .tagInvalid: "TAG_INVALID"
            case .tagImmutable, .locked: "DENIED"
            case .offsetInvalid: "RANGE_INVALID"
            case .pageInvalid: "PAGINATION_NUMBER_INVALID"
            case .keyDisabled, .quotaExceeded: "DENIED"
            case .allowanceExceeded: "TOOMANYREQUESTS"
            case .unavailable: "UNKNOWN"
            }
        }
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

    /// One reference, so that a typed throw costs one word.
    private let storage: Storage

    /// Makes an error.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        storage = Storage(code: code, message: message, cause: cause)
    }

    /// What went wrong.
    public var code: Code { storage.code }
    /// The field and the limit or rule that it broke; fit for a client to see.
    public var message: String { storage.message }
    /// The store's error, when there is one. Not for clients: it may name files.
    public var cause: (any Error)? { storage.cause }
    /// The code and the message.
    public var description: String { "\(code): \(message)" }

    /// Whether two errors have the same code.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}

extension RegistryError {
    /// The registry's view of an error of the store. The message never names a file or a key.
    package init(store error: StoreError) {
        let (code, message): (Code, String) =
            switch error.code {
            case .bucketUnknown: (.nameUnknown, "The repository does not exist.")
            case .nameInvalid: (.nameInvalid, "The repository name is not allowed.")
            case .blobUnknown: (.blobUnknown, "The repository has no such blob.")
            case .blobReferenced:
                (.blobReferenced, "A manifest refers to the blob; delete the manifest first.")
            case .digestInvalid: (.digestInvalid, "The digest is malformed.")
            case .digestMismatch: (.digestInvalid, "The bytes do not have the digest given.")
            case .uploadUnknown, .uploadExpired:
                (.uploadUnknown, "The repository has no such upload session.")
            case .uploadBusy:
                (.uploadBusy, "Another request writes to the upload session.")
            case .uploadOffsetMismatch:
                (.offsetInvalid, "The bytes do not follow those received.")
            case .objectLocked:
                (.locked, "A retention or a legal hold keeps what the request would change.")
            case .objectUnknown: (.manifestUnknown, "The repository has no such manifest.")
            case .keyDisabled, .keyUnknown:
                (.keyDisabled, "The key of the repository is disabled.")
            case .quotaExceeded:
                (.quotaExceeded, "The quota of the repository or of its account is reached.")
            case .allowanceExceeded:
                (.allowanceExceeded, "The allowance of the month is used up.")
            default: (.unavailable, "The store cannot serve the request now.")
            }
        self.init(code, message, cause: error)
    }
}
