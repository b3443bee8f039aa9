// Part of Cairn, a content-addressed blob store.
public import Cairn
internal import CairnRegistry
internal import CoreMetrics
internal import Glibc
internal import Hummingbird
internal import HummingbirdCore
public import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import UnixSignals

/// Serves a store as an image registry, and to administrators through a socket.
public struct RegistryServer: Sendable {
    private let store: Store
    private let configuration: ServerConfiguration
    private let logger: Logger
    private let exporter: OpenMetricsExporter?
    private let metrics: RequestMetrics

    /// Makes a server; ``run(onReady:onMetricsReady:)`` starts it.
    ///
    /// - Parameter metrics: what ``ServerConfiguration/metricsPort`` serves, and gets the figures
    ///   of the server; open the store with it too. Nil leaves them to the factory of
    ///   `MetricsSystem` in the task of the caller.
    public init(
        _ store: Store, configuration: ServerConfiguration, logger: Logger,
        metrics: OpenMetricsExporter? = nil
    ) {
        self.store = store
        self.configuration = configuration
        self.logger = logger
        exporter = metrics
        self.metrics = RequestMetrics(metrics ?? MetricsSystem.factory)
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT) or the task is cancelled.
    ///
    /// Requests under way have ``ServerConfiguration/shutdownGrace`` to finish, then upload
    /// sessions are suspended, so that clients go on with them after a restart. The store stays
    /// open.
    ///
    /// - Parameters:
    ///   - onReady: called once with the TCP port when connections are accepted there, at the port
    ///     for metrics and on the admin socket.
    ///   - onMetricsReady: called before that with the port for metrics, if there is to be one.
    /// - Throws: what the listener throws, for example when the port is taken.
    public func run(
        onReady: @escaping @Sendable (Int) -> Void,
        onMetricsReady: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws {
        let uploads = UploadTable(openCountMax: configuration.openUploadCountMax)
        let path = configuration.adminSocketPath
        let otherCount = (path == nil ? 0 : 1) + (configuration.metricsPort == nil ? 0 : 1)
        let readiness = Readiness(listenerCount: 1 + otherCount, onReady)
        // Stopped from the last to the first: clients of the registry first, while
        // administrators can still look.
        var services: [any Service] = []
        if let path {
            Self.removeSocket(path)
            services.append(adminService(path, uploads, readiness))
        }
        if let port = configuration.metricsPort {
            services.append(metricsService(port, readiness, onMetricsReady))
        }
        services.append(
            Maintenance(
                store: store, uploads: uploads, configuration: configuration, logger: logger))
        services.append(registryService(uploads, readiness))
        var groupConfiguration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        groupConfiguration.maximumGracefulShutdownDuration = configuration.shutdownGrace
        let group = ServiceGroup(configuration: groupConfiguration)
        do {
            try await group.run()
        } catch {
            await end(uploads)
            throw error
        }
        await end(uploads)
    }

    // MARK: -

    private func registryService(
        _ uploads: UploadTable, _ readiness: Readiness
    ) -> any Service {
        let registry = Registry(
            account: store.defaultAccount, configuration: configuration.registry)
        return Application(
            responder: RegistryResponder(
                registry: registry, uploads: uploads,
                blobByteCountMax: configuration.blobByteCountMax,
                pace: BodyPace(window: configuration.bodyWindow),
                operations: Operations(store: store, exporter: nil), metrics: metrics),
            server: .http1(configuration: channel),
            configuration: .init(
                address: .hostname(configuration.host, port: configuration.port),
                availableConnectionsDelegate: MaximumAvailableConnections(
                    configuration.connectionCountMax, logger: quiet)),
            onServerRunning: { readiness.accepts(port: $0.localAddress?.port ?? 0) },
            logger: quiet)
    }

    private func metricsService(
        _ port: Int, _ readiness: Readiness, _ onMetricsReady: @escaping @Sendable (Int) -> Void
    ) -> any Service {
        Application(
            responder: OperationsResponder(
                operations: Operations(store: store, exporter: exporter)),
            server: .http1(configuration: channel),
            configuration: .init(
                address: .hostname(configuration.metricsHost, port: port),
                availableConnectionsDelegate: MaximumAvailableConnections(
                    Self.metricsConnectionCountMax, logger: quiet)),
            onServerRunning: {
                onMetricsReady($0.localAddress?.port ?? 0)
                readiness.accepts(port: nil)
            },
            logger: quiet)
    }

    /// Collectors of metrics and probes are few.
    private static let metricsConnectionCountMax = 16

    /// How a connection is read: heads are bounded, and one that idles is closed, well after a
    /// body that stops has been answered.
    private var channel: HTTP1Channel.Configuration {
        .init(
            additionalChannelHandlers: [ProtocolGuard()],
            idleTimeout: TimeAmount(configuration.bodyWindow * 2 + .seconds(15)),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: ProtocolGuard.fieldByteCountMax,
                maxHeaderListSize: ProtocolGuard.headerByteCountMax,
                maxHeaderFieldCount: ProtocolGuard.headerCountMax))
    }

    private func adminService(
        _ path: String, _ uploads: UploadTable, _ readiness: Readiness
    ) -> any Service {
        Application(
            responder: AdminResponder(store, uploads: uploads),
            server: .http1(),
            configuration: .init(address: .unixDomainSocket(path: path)),
            onServerRunning: { [logger] _ in
                // The directory keeps others out already; the socket says so too.
                if unsafe chmod(path, 0o600) != 0 {
                    logger.warning("the admin socket kept the mode that it was made with")
                }
                readiness.accepts(port: nil)
            },
            logger: quiet)
    }

    // The libraries below tell at `info` what the one line of `onReady` says.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .notice)
        return logger
    }

    private func end(_ uploads: UploadTable) async {
        await uploads.close()
        if let path = configuration.adminSocketPath { Self.removeSocket(path) }
    }

    // A server that was killed leaves its socket behind; the store's lock tells that it is gone.
    private static func removeSocket(_ path: String) {
        _ = unsafe unlink(path)
    }
}
