// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnKeys
internal import CairnServer

/// What a command tells its caller when it fails.
struct Failure {
    /// The process's exit code.
    let exitCode: Int32

    /// A stable name for programs.
    let code: String

    /// What was attempted on what, and why it failed.
    let message: String

    /// What to do about it, where one thing helps nearly always.
    let hint: String?

    /// Whether there is nobody to tell.
    private let isSilent: Bool

    /// The failure of a command on the store in `directory`.
    init(_ error: any Error, bucketStore directory: String) {
        switch error {
        case let error as AdminError where error.cause is FileFailure:
            self.init(error.cause ?? error, bucketStore: directory)
        case let error as AdminError:
            self.init(code: error.code.name, message: Self.text(error), directory: directory)
        case let error as StoreError:
            self.init(
                code: error.code.description, message: Self.text(error), directory: directory)
        case let error as FileFailure:
            let code = error.isOutOfSpace ? "outOfSpace" : "file"
            let exit = error.isBrokenPipe ? Self.brokenPipe : Self.exitCode(of: code)
            self.init(
                exitCode: exit, code: code, message: error.description, hint: nil,
                isSilent: error.isBrokenPipe)
        case let error as PassphraseFailure:
            self.init(code: "passphraseMissing", message: error.description, directory: directory)
        case let error as CommandFailure:
            self.init(code: error.code, message: error.message, directory: directory)
        default:
            self.init(code: "unexpected", message: "\(error)", directory: directory)
        }
    }

    /// The message, and those of the errors below it that say more.
    private static func text(_ error: any Error) -> String {
        let (message, cause): (String, (any Error)?) =
            switch error {
            case let error as AdminError: (error.message, error.cause)
            case let error as StoreError: (error.message, error.cause)
            case let error as KeyError: (error.message, error.cause)
            default: ("\(error)", nil)
            }
        guard let rest = cause.map(text) else { return message }
        if rest.hasPrefix(message) { return rest }
        return message.hasSuffix(rest) ? message : "\(message): \(rest)"
    }

    private init(code: String, message: String, directory: String) {
        self.init(
            exitCode: Self.exitCode(of: code), code: code, message: message,
            hint: Self.hint(for: code, directory: directory), isSilent: false)
    }

    private init(exitCode: Int32, code: String, message: String, hint: String?, isSilent: Bool) {
        self.exitCode = exitCode
        self.code = code
        self.message = message
        self.hint = hint
        self.isSilent = isSilent
    }

    /// Prints the failure on standard error.
    func print(asJSON: Bool) {
        guard !isSilent else { return }
        let error = Document.Failed(
            error: .init(code: code, message: message, hint: hint, exitCode: exitCode))
        var text = "cairn: \(message)\n" + (hint.map { "\($0)\n" } ?? "")
        if asJSON, let document = try? Output.encode(error) { text = document + "\n" }
        // Where standard error is closed, the exit code still tells.
        try? Descriptor.standardError.write(Array(text.utf8))
    }
}

/// A failure that a command finds by itself.
struct CommandFailure: Error {
    /// A stable name for programs.
    let code: String

    /// What was attempted on what, and why it failed.
    let message: String
}

// MARK: - Exit codes

extension Failure {
    /// The exit codes, for the help text.
    static let exitCodeTable = """
        Exit codes:
          0    done
          1    failed for a reason without a code of its own
          3    not found: the store, bucket, blob, object, upload session or key
          4    in the way: exists, not empty, referenced, locked; a condition, a quota; lost events
          5    integrity: damaged bytes, or bytes that do not match their digest
          6    busy: another process holds the store, or its server does not answer
          7    no space left on the disk
          8    a file named on the command line cannot be read or written
          9    key: wrong passphrase or key file, or the key is disabled or cannot be had
          64   usage: a wrong option, name, digest or argument
        """

    /// What a shell shows for a process that a closed pipe ended.
    private static let brokenPipe: Int32 = 141

    private static func exitCode(of code: String) -> Int32 {
        switch code {
        case "storeNotFound", "bucketUnknown", "blobUnknown", "uploadUnknown", "uploadExpired",
            "accountUnknown", "objectUnknown", "keyUnknown":
            3
        case "storeExists", "bucketExists", "bucketNotEmpty", "blobReferenced", "aliasExists",
            "preconditionFailed", "objectLocked", "eventsLost", "quotaExceeded":
            4
        case "corrupted", "digestMismatch", "unsound": 5
        case "storeLocked", "uploadBusy", "unreachable": 6
        case "outOfSpace": 7
        case "file": 8
        case "wrongPassphrase", "keyUnavailable", "keyDisabled", "accessDenied",
            "passphraseMissing":
            9
        case "nameInvalid", "digestInvalid", "invalidArgument", "rangeInvalid", "keyInvalid": 64
        default: 1
        }
    }

    private static func hint(for code: String, directory: String) -> String? {
        switch code {
        case "storeNotFound":
            "Create a store with `cairn init --store \(directory)`."
        case "storeLocked":
            "Wait for that process or stop it, then run the command again. A running "
                + "`cairn serve` would have answered on \(directory)/\(AdminConnection.socketName)."
        case "unreachable":
            "The server may be stopping: run the command again."
        case "wrongPassphrase":
            "Give --passphrase-file or --key-file as when the store was created."
        case "bucketUnknown": "See `cairn bucket ls` and `cairn bucket create`."
        case "keyDisabled": "See `cairn key describe`, and enable it with `cairn key enable`."
        case "quotaExceeded": "See `cairn quota get` and `cairn usage`; raise it or free space."
        case "keyUnknown": "See `cairn key ls`."
        case "domainMismatch":
            "Put the file itself, or create both buckets with `--dedup account`."
        case "bucketNotEmpty": "Remove its blobs first (`cairn ls`, `cairn rm`), or give --force."
        case "corrupted":
            "See what else is damaged with `cairn verify`; if the store does not open, rebuild its "
                + "index with `cairn repair`."
        default: nil
        }
    }
}
