// Part of Cairn, a content-addressed blob store.

/// A failed key operation.
///
/// Equal by ``code``. Neither ``message`` nor ``cause`` ever contains key material.
public struct KeyError: Error, Hashable, Sendable, CustomStringConvertible {
    private let storage: Storage

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: What the caller can act on.
    ///   - message: What was attempted on which key, and how to remedy it. Never key material.
    ///   - cause: The lower error, kept for the operator's log.
    public init(
        _ code: Code, _ message: String, cause: (any Error)? = nil,
        fileID: String = #fileID, line: Int = #line
    ) {
        storage = Storage(code: code, message: message, cause: cause, fileID: fileID, line: line)
    }

    /// What the caller can act on.
    public var code: Code { storage.code }

    /// What was attempted on which key, and how to remedy it.
    public var message: String { storage.message }

    /// The lower error.
    public var cause: (any Error)? { storage.cause }

    /// The code, the message and the cause in one line.
    public var description: String {
        let reason = cause.map { " (\($0))" } ?? ""
        return "\(code): \(message)\(reason)"
    }

    /// Whether both errors carry the same code.
    public static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code alone.
    public func hash(into hasher: inout Hasher) { hasher.combine(code) }

    /// One reference, so that a typed throw costs one word.
    private final class Storage: Sendable {
        let code: Code
        let message: String
        let cause: (any Error)?
        let fileID: String
        let line: Int

        init(code: Code, message: String, cause: (any Error)?, fileID: String, line: Int) {
            self.code = code
            self.message = message
            self.cause = cause
            self.fileID = fileID
            self.line = line
        }
    }
}

extension KeyError {
    /// What a caller can act on; grows without breaking callers.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case keyNotFound, keyDisabled, wrongPassphrase, integrity, unavailable
            case corrupted, unsupportedVersion, limitExceeded, invalidArgument, accessDenied
            case aliasExists
        }

        private let kind: Kind

        /// The name of the code.
        public var description: String { kind.rawValue }

        /// No key of that id, alias or resource name is known to the provider.
        ///
        /// Give up, or correct the reference. Also the answer to a ciphertext of another keyring.
        public static var keyNotFound: Self { Self(kind: .keyNotFound) }

        /// The key exists, but its state allows no use: disabled or about to be deleted.
        ///
        /// Retry after the key was enabled.
        public static var keyDisabled: Self { Self(kind: .keyDisabled) }

        /// The passphrase or key file is not the one that seals this keyring.
        ///
        /// Retry with the right one.
        public static var wrongPassphrase: Self { Self(kind: .wrongPassphrase) }

        /// The ciphertext is damaged or forged, or the context is not the one it was made with.
        ///
        /// Give up. Deliberately one code: whoever may not open a ciphertext learns nothing
        /// about why.
        public static var integrity: Self { Self(kind: .integrity) }

        /// The provider could not be reached or gave no answer in time.
        ///
        /// Retry later. Never take another path to the plaintext meanwhile.
        public static var unavailable: Self { Self(kind: .unavailable) }

        /// The keyring file is damaged.
        ///
        /// Restore it from a copy; do not retry.
        public static var corrupted: Self { Self(kind: .corrupted) }

        /// A newer version of Cairn wrote this.
        ///
        /// Open it with that version.
        public static var unsupportedVersion: Self { Self(kind: .unsupportedVersion) }

        /// A stated limit would be crossed; the message names it.
        ///
        /// Give up.
        public static var limitExceeded: Self { Self(kind: .limitExceeded) }

        /// An argument is malformed; the message names it.
        ///
        /// Correct the call.
        public static var invalidArgument: Self { Self(kind: .invalidArgument) }

        /// The alias already leads to a key (KMS `AlreadyExistsException`).
        ///
        /// Take another one, or let it lead to the other key.
        public static var aliasExists: Self { Self(kind: .aliasExists) }

        /// No grant allows the principal this call on this key with this context, or there is no
        /// such key.
        ///
        /// Ask the owner of the key for a grant; do not retry before. Deliberately one code:
        /// whoever may not use a key does not learn whether it exists.
        public static var accessDenied: Self { Self(kind: .accessDenied) }
    }
}
