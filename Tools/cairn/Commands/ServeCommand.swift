// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnServer
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

    func perform() async throws {
        let store = try await Store.open(at: options.directory, unlock: try options.unlock())
        var configuration = ServerConfiguration()
        configuration.host = listen.host
        configuration.port = listen.port
        configuration.adminSocketPath = options.directory + "/" + AdminConnection.socketName
        let server = RegistryServer(
            store, configuration: configuration, logger: Logger(label: "cairn"))
        let (host, directory, json) = (listen.host, options.directory, options.json)
        do {
            try await server.run { port in
                // Whoever started the server and closed its output does not need the line.
                try? Self.announce(host, port, directory, asJSON: json)
            }
        } catch {
            // The first failure is the one to report.
            try? await store.close()
            throw error
        }
        try await store.close()
    }

    private static func announce(
        _ host: String, _ port: Int, _ directory: String, asJSON json: Bool
    ) throws {
        let address = "\(host.contains(":") ? "[\(host)]" : host):\(port)"
        if json {
            try Output.json(ListeningInfo(listening: address, store: directory))
        } else {
            try Output.line("cairn serves \(directory) on http://\(address)")
        }
    }

    private struct ListeningInfo: Encodable {
        let listening: String
        let store: String
    }
}
