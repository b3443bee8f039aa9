// Part of Cairn, a content-addressed blob store.
import AsyncHTTPClient
import Cairn
import CairnCore
import CairnServer
import CairnTestSupport
import CoreMetrics
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// A registry server that listens on loopback, and a client of it.
struct ServerKit: Sendable {
    let directory: TemporaryDirectory
    let store: Store
    let port: Int
    /// Where metrics are served; 0 when they are not.
    let metricsPort: Int
    let client: HTTPClient

    var storePath: String { directory.path("store") }
    var socketPath: String { storePath + "/" + AdminConnection.socketName }

    /// Runs a server for the time of `body`, then stops it in order and closes the store.
    static func run<Result>(
        in directory: TemporaryDirectory? = nil, exporter: OpenMetricsExporter? = nil,
        store configureStore: (inout StoreConfiguration) -> Void = { _ in },
        _ configure: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (ServerKit) async throws -> Result
    ) async throws -> Result {
        let directory = try directory ?? TemporaryDirectory()
        var storeConfiguration = StoreConfiguration()
        configureStore(&storeConfiguration)
        let store = try await withMetricsFactory(exporter ?? NOOPMetricsHandler.instance) {
            try await Store.open(at: directory.path("store"), configuration: storeConfiguration)
        }
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.adminSocketPath =
            directory.path("store") + "/" + AdminConnection.socketName
        if exporter != nil { configuration.metricsPort = 0 }
        configure(&configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let server = RegistryServer(
            store, configuration: configuration, logger: logger, metrics: exporter)
        let metricsPort = Atomic(0)
        let (ports, feed) = AsyncStream.makeStream(of: Int.self)
        let task = Task {
            defer { feed.finish() }
            try await server.run {
                feed.yield($0)
            } onMetricsReady: {
                metricsPort.store($0, ordering: .relaxed)
            }
        }
        var clientConfiguration = HTTPClient.Configuration()
        // Many tests run at once: a hundred requests may wait long for their turn.
        clientConfiguration.timeout.connect = .seconds(100)
        let client = HTTPClient(
            eventLoopGroupProvider: .singleton, configuration: clientConfiguration)
        func stop() async throws {
            task.cancel()
            _ = await task.result
            try await client.shutdown()
            try await store.close()
        }
        do {
            guard let port = await ports.first(where: { _ in true }) else {
                try await task.value
                throw Missing(what: "port")
            }
            let result = try await body(
                ServerKit(
                    directory: directory, store: store, port: port,
                    metricsPort: metricsPort.load(ordering: .relaxed), client: client))
            try await stop()
            return result
        } catch {
            try await stop()
            throw error
        }
    }

    /// Sends a request and collects the answer.
    func send(
        _ method: Verb, _ path: String, headers: [String: String] = [:],
        body: [UInt8]? = nil
    ) async throws -> Reply {
        var request = HTTPClientRequest(url: path.hasPrefix("http") ? path : base + path)
        request.method = HTTPMethod(rawValue: method.rawValue)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        let response = try await client.execute(request, timeout: .seconds(300))
        let buffer = try await response.body.collect(upTo: 64 << 20)
        return Reply(
            status: Int(response.status.code), headers: response.headers,
            body: Array(buffer.readableBytesView))
    }

    var base: String { "http://127.0.0.1:\(port)" }

    /// Stores a blob in one request.
    @discardableResult
    func push(_ bytes: [UInt8], to repository: String = "library/test") async throws -> Digest {
        let digest = Digest.sha256(of: bytes.span)
        let reply = try await send(
            .POST, "/v2/\(repository)/blobs/uploads/?digest=\(digest)", body: bytes)
        guard reply.status == 201 else { throw Unexpected(reply: reply) }
        return digest
    }

    /// Starts an upload session; answers the path to go on at.
    func beginUpload(in repository: String = "library/test") async throws -> String {
        let reply = try await send(.POST, "/v2/\(repository)/blobs/uploads/")
        guard reply.status == 202, let location = reply.headers.first(name: "location") else {
            throw Unexpected(reply: reply)
        }
        return location
    }
}

/// The methods that registries know.
enum Verb: String, Sendable {
    case GET, HEAD, POST, PATCH, PUT, DELETE
}

/// An answer of the server.
struct Reply: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func header(_ name: String) -> String? { headers.first(name: name) }

    func all(_ name: String) -> [String] { headers[name] }

    /// The code of the first error, as the OCI distribution-spec writes it.
    var code: String? {
        guard let range = text.firstRange(of: #""code":""#) else { return nil }
        return text[range.upperBound...].split(separator: "\"").first.map(String.init)
    }
}

struct Unexpected: Error { let reply: Reply }
struct Missing: Error { let what: String }
