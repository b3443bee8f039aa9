// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnServer

/// Creates a store.
struct InitCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Create a store.",
        discussion: """
            Without a passphrase, a key file of mode 0600 is made: in the store's directory, or \
            where --key-file says, unless there is one already. Keep a copy of it elsewhere: \
            without its key nobody can read a store.
            """)

    @OptionGroup var options: StoreOptions

    @Flag(help: "Do nothing when the store is there already.")
    var ifMissing = false

    func perform() async throws {
        let unlock = try options.unlock(isNew: true)
        if let id = try await existingID(unlock) {
            guard ifMissing else {
                throw CommandFailure(
                    code: "storeExists", message: "there is a store in \(options.directory)")
            }
            return try report(id: id, unlock, isNew: false)
        }
        if let file = options.keyFile { try KeyFile.makeIfMissing(file) }
        let store = try await options.openStore(unlock)
        let id = store.id
        try await store.close()
        try report(id: id, unlock, isNew: true)
    }

    /// The id of the store that is there already, `nil` when there is none.
    private func existingID(_ unlock: KeyringUnlock) async throws -> String? {
        do {
            return try await withAccess(unlock: unlock) { try await $0.information().storeID }
        } catch {
            let failure = Failure(error, bucketStore: options.directory)
            if failure.code == "storeNotFound" { return nil }
            throw error
        }
    }

    private func report(id: String, _ unlock: KeyringUnlock, isNew: Bool) throws {
        if options.json {
            try Output.json(Document.Created(store: options.directory, id: id, isNew: isNew))
        } else if isNew {
            try Output.line("Created the store \(id) in \(options.directory).")
            if case .keyFile(let path) = unlock {
                let file = path ?? "\(options.directory)/keyring.key"
                try Output.line("Its key is \(file): keep a copy elsewhere.")
            }
        }
    }
}
