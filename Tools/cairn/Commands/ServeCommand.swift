// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnRegistry
internal import CairnServer
internal import CoreMetrics
internal import FoundationEssentials
internal import Logging
internal import Synchronization

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
            "Serve metrics to everybody who reaches this address (default: nobody).",
            valueName: "host:port"))
    var metrics: ListenAddress?

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
        let exporter = metrics.map { _ in OpenMetricsExporter() }
        let store = try await openStore(countedBy: exporter)
        do {
            try await serve(store, exporter)
        } catch {
            // The first failure is the one to report.
            try? await store.close()
            let addresses = [listen, metrics].compactMap { $0?.description }
            throw CommandFailure(
                code: "listen",
                message: "cannot serve on \(addresses.joined(separator: " and ")): \(error)")
        }
        try await store.close()
    }

    // The factory of the task counts for what is opened in it.
    private func openStore(countedBy exporter: OpenMetricsExporter?) async throws -> Store {
        let unlock = try options.unlock()
        guard let exporter else { return try await options.openStore(unlock) }
        return try await withMetricsFactory(exporter) { try await options.openStore(unlock) }
    }

    private func serve(_ store: Store, _ exporter: OpenMetricsExporter?) async throws {
        var configuration = ServerConfiguration()
        configuration.host = listen.host
        configuration.port = listen.port
        if let metrics {
            configuration.metricsHost = metrics.host
            configuration.metricsPort = metrics.port
        }
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
            store, configuration: configuration, logger: Logger(label: "cairn"), metrics: exporter)
        let (host, directory, json) = (listen.host, options.directory, options.json)
        let metricsHost = configuration.metricsHost
        let metricsPort = Mutex<Int?>(nil)
        try await server.run { port in
            let metrics = metricsPort.withLock { $0 }.map {
                ListenAddress(host: metricsHost, port: $0)
            }
            // Whoever started the server and closed its output does not need the line.
            try? Self.announce(
                ListenAddress(host: host, port: port), metrics, directory, asJSON: json)
        } onMetricsReady: { port in
            metricsPort.withLock { $0 = port }
        }
    }

    private static func announce(
        _ address: ListenAddress, _ metrics: ListenAddress?, _ directory: String, asJSON json: Bool
    ) throws {
        guard json else {
            let end = metrics.map { ", metrics on http://\($0)/metrics" } ?? ""
            return try Output.line("cairn serves \(directory) on http://\(address)\(end)")
        }
        try Output.json(
            Document.Serving(
                address: address.description, metricsAddress: metrics?.description,
                store: directory, processID: ProcessInfo.processInfo.processIdentifier))
    }
}
