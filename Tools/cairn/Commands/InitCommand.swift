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
        if let id = try await existingID() {
            guard ifMissing else {
                throw CommandFailure(
                    code: "storeExists", message: "there is a store in \(options.directory)")
            }
            return try report(id: id, isNew: false)
        }
        if let file = options.keyFile { try KeyFile.makeIfMissing(file) }
        let store = try await options.openStore()
        let id = store.id
        try await store.close()
        try report(id: id, isNew: true)
    }

    /// The id of the store that is there already, `nil` when there is none.
    private func existingID() async throws -> String? {
        do {
            return try await withAccess { try await $0.information().storeID }
        } catch {
            let failure = Failure(error, bucketStore: options.directory)
            if failure.code == "storeNotFound" { return nil }
            throw error
        }
    }

    private func report(id: String, isNew: Bool) throws {
        if options.json {
            try Output.json(Document.Created(store: options.directory, id: id, isNew: isNew))
        } else if isNew {
            try Output.line("Created the store \(id) in \(options.directory).")
            if case .keyFile(let path) = try options.unlock() {
                let file = path ?? "\(options.directory)/keyring.key"
                try Output.line("Its key is \(file): keep a copy elsewhere.")
            }
        }
    }
}
