// Part of Cairn, a content-addressed blob store.

/// Why a segment store could not do what it was asked.
///
/// Two errors are equal when their codes are. Neither message nor cause holds key material or
/// plaintext. Immutable, so safe to share between threads.
package struct SegmentError: Error, Hashable, CustomStringConvertible {
    /// What a caller can act upon; the rest is for people.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case outOfSpace, io, readOnly, tooManyFiles, corrupted,
                unsupportedVersion, segmentUnknown, locationInvalid, limitExceeded,
                fillFailed, invalidArgument, closed
        }

        private let kind: Kind

        /// The disk is full.
        ///
        /// Retry once there is room; after a failed write or sync, reopen the store first.
        package static var outOfSpace: Self { Self(kind: .outOfSpace) }

        /// The device failed.
        ///
        /// Repair: reopen the store and verify it. Do not retry.
        package static var io: Self { Self(kind: .io) }

        /// The file system takes no writes, or denies them.
        ///
        /// Give up until it takes writes; then reopen.
        package static var readOnly: Self { Self(kind: .readOnly) }

        /// The process has no descriptor left.
        ///
        /// Retry after closing files, or raise the limit.
        package static var tooManyFiles: Self { Self(kind: .tooManyFiles) }

        /// Stored bytes are damaged, or a file is not what its name says.
        ///
        /// Repair from a copy; a retry gives the same answer.
        package static var corrupted: Self { Self(kind: .corrupted) }

        /// A segment is intact and of a format that this version does not know.
        ///
        /// Give up, or upgrade.
        package static var unsupportedVersion: Self { Self(kind: .unsupportedVersion) }

        /// No segment has this number.
        ///
        /// Give up: the location is stale.
        package static var segmentUnknown: Self { Self(kind: .segmentUnknown) }

        /// The location is outside of what the segment holds.
        ///
        /// Give up: the location is stale.
        package static var locationInvalid: Self { Self(kind: .locationInvalid) }

        /// More bytes than one append may have.
        ///
        /// Give up: nothing was stored.
        package static var limitExceeded: Self { Self(kind: .limitExceeded) }

        /// The closure that was to fill the reserved bytes threw; that error is the cause.
        ///
        /// Nothing was stored; what to do depends on the cause.
        package static var fillFailed: Self { Self(kind: .fillFailed) }

        /// An argument cannot work, or the filled bytes are no sequence of whole records.
        ///
        /// Give up: nothing was stored, and the program that calls has to change.
        package static var invalidArgument: Self { Self(kind: .invalidArgument) }

        /// The store was closed.
        ///
        /// Give up: open it anew.
        package static var closed: Self { Self(kind: .closed) }

        /// The name of the code, for logs.
        package var description: String { kind.rawValue }
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
    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        storage = Storage(code: code, message: message, cause: cause)
    }

    /// What a caller can act upon.
    package var code: Code { storage.code }

    /// What was attempted on what, and the remedy.
    package var message: String { storage.message }

    /// The error of a lower layer, if there was one.
    package var cause: (any Error)? { storage.cause }

    /// The code and the message, then those of each cause.
    package var description: String {
        guard let cause else { return "\(code): \(message)" }
        return "\(code): \(message) (\(cause))"
    }

    /// Whether both errors ask the same of a caller.
    package static func == (lhs: Self, rhs: Self) -> Bool { lhs.code == rhs.code }

    /// Hashes the code alone, as equality does.
    package func hash(into hasher: inout Hasher) { hasher.combine(code) }
}
