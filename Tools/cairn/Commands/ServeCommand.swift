// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnRegistry
internal import CairnServer
internal import FoundationEssentials
internal import Logging

/// Serves the store as an image registry.
struct ServeCommand: StoreCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the store as an image registry.",
        discussion: """
            Creates the store if there is none. Prints one line when it accepts connections. \
            While it runs, the other commands go through its socket in the store's directory. \
            SIGTERM and SIGINT stop it in order.
            """)

    @OptionGroup var options: StoreOptions

    @Option(
        help: ArgumentHelp(
            "Where to listen; port 0 takes any free one.", valueName: "host:port"))
    var listen = ListenAddress(host: "127.0.0.1", port: 5000)

    @Option(
        help: ArgumentHelp(
            "Remove blobs that no manifest has named for so long (default: never).",
            valueName: "hours"))
    var blobLease: Int?

    func validate() throws {
        // Ten years; a push takes an hour now and then.
        if let blobLease, !(1...87_600).contains(blobLease) {
            throw ValidationError("--blob-lease must be 1 to 87600 hours.")
        }
    }

    func perform() async throws {
        let store = try await options.openStore(options.unlock())
        do {
            try await serve(store)
        } catch {
            // The first failure is the one to report.
            try? await store.close()
            throw CommandFailure(code: "listen", message: "cannot serve on \(listen): \(error)")
        }
        try await store.close()
    }

    private func serve(_ store: Store) async throws {
        var configuration = ServerConfiguration()
        configuration.host = listen.host
        configuration.port = listen.port
        if let blobLease {
            configuration.registry.blobLifetime = .leased(.seconds(blobLease * 3600))
        }
        let socket = options.directory + "/" + AdminConnection.socketName
        if AdminClient.isSocketPath(socket) {
            configuration.adminSocketPath = socket
        } else {
            let note = "cairn: no admin socket, because the path of the store is too long\n"
            try Descriptor.standardError.write(Array(note.utf8))
        }
        let server = RegistryServer(
            store, configuration: configuration, logger: Logger(label: "cairn"))
        let (host, directory, json) = (listen.host, options.directory, options.json)
        try await server.run { port in
            // Whoever started the server and closed its output does not need the line.
            try? Self.announce(ListenAddress(host: host, port: port), directory, asJSON: json)
        }
    }

    private static func announce(
        _ address: ListenAddress, _ directory: String, asJSON json: Bool
    ) throws {
        guard json else {
            return try Output.line("cairn serves \(directory) on http://\(address)")
        }
        try Output.json(
            Document.Serving(
                address: address.description, store: directory,
                processID: ProcessInfo.processInfo.processIdentifier))
    }
}
