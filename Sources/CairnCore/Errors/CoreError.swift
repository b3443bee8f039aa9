// Part of Cairn, a content-addressed blob store.

/// Why an operation of the core failed.
///
/// Two errors are equal when their codes are. Neither the message nor the cause ever holds key
/// material or plaintext. Immutable, so safe to share between threads.
public struct CoreError: Error, Hashable, CustomStringConvertible {
    /// What a caller can act upon; the rest is for people.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case digestInvalid, corrupted, unsupportedVersion, limitExceeded, invalidArgument
        }

        private let kind: Kind

        /// A text is no digest that Cairn knows.
        ///
        /// Give up: the text has to change.
        public static var digestInvalid: Self { Self(kind: .digestInvalid) }

        /// Stored bytes are damaged, were moved from elsewhere or belong to another key.
        ///
        /// Repair from a copy; a retry gives the same answer.
        public static var corrupted: Self { Self(kind: .corrupted) }

        /// Stored bytes are intact and of a format that this version does not know.
        ///
        /// Give up, or upgrade.
        public static var unsupportedVersion: Self { Self(kind: .unsupportedVersion) }

        /// A value is beyond a stated limit.
        ///
        /// Give up: nothing was done.
        public static var limitExceeded: Self { Self(kind: .limitExceeded) }

        /// An argument cannot work, whatever the state.
        ///
        /// Give up: the program that calls has to change.
        public static var invalidArgument: Self { Self(kind: .invalidArgument) }

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
