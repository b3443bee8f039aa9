// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnServer
internal import FoundationEssentials

/// The options that all commands share.
struct StoreOptions: ParsableArguments {
    /// Where a store is when nothing says otherwise.
    static let defaultDirectory = "./cairn-data"

    @Option(
        help: ArgumentHelp(
            "The store's directory (default: $CAIRN_STORE, else ./cairn-data).", valueName: "dir"))
    var store: String?

    @Option(
        help: ArgumentHelp(
            "A file whose first line is the passphrase of the store; `-` asks for it "
                + "(default: $CAIRN_PASSPHRASE_FILE, else the passphrase in $CAIRN_PASSPHRASE).",
            valueName: "file"))
    var passphraseFile: String?

    @Option(
        help: ArgumentHelp(
            "The key file of the store (default: keyring.key in its directory).",
            valueName: "file"))
    var keyFile: String?

    @Flag(help: "Print JSON for programs instead of text for people.")
    var json = false

    @Flag(help: "Draw no progress bar; without a terminal there is none anyway.")
    var noProgress = false

    /// The store's directory.
    var directory: String {
        store ?? Self.environment("CAIRN_STORE") ?? Self.defaultDirectory
    }

    mutating func validate() throws {
        if passphraseFile != nil, keyFile != nil {
            throw ValidationError("Give --passphrase-file or --key-file, not both.")
        }
    }

    /// What opens the store's keyring. Ask once: standard input has a passphrase only once.
    ///
    /// - Parameter isNew: whether a mistyped passphrase would be the one that counts.
    func unlock(isNew: Bool = false) throws -> KeyringUnlock {
        if let keyFile { return .keyFile(path: keyFile) }
        guard let file = passphraseFile ?? Self.environment("CAIRN_PASSPHRASE_FILE") else {
            return Self.environment("CAIRN_PASSPHRASE").map { .passphrase($0) }
                ?? .keyFile(path: nil)
        }
        return .passphrase(try Passphrase.read(from: file, isNew: isNew))
    }

    /// Opens the store, or reaches the server that has it open.
    func connect(_ unlock: KeyringUnlock) async throws -> any AdminAccess {
        var configuration = StoreConfiguration()
        // Only `init` and `serve` create a store: a mistyped path is an error.
        configuration.createIfMissing = false
        return try await AdminConnection.open(
            directory: directory, unlock: unlock, configuration: configuration)
    }

    /// Opens the store in this process, and creates it if there is none.
    func openStore(_ unlock: KeyringUnlock) async throws -> Store {
        do throws(StoreError) {
            return try await Store.open(at: directory, unlock: unlock)
        } catch {
            guard error.code == .storeNotFound else { throw error }
            throw CommandFailure(
                code: "file", message: "cannot create \(directory): its parent is not a directory")
        }
    }

    private static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
