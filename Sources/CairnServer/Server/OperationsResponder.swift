// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Answers those who watch over a server, not its clients.
///
/// - `GET /health`: the process lives and answers.
/// - `GET /ready`: the store takes writes; else 503, and why, by the code of the error.
/// - `GET /metrics`: all figures, where they are served.
///
/// Nothing of it names an account, a bucket, a blob or a path. Safe to share between tasks.
struct Operations: Sendable {
    let store: Store
    /// Nil where metrics are not served: at the port of the registry, which anybody may reach.
    let exporter: OpenMetricsExporter?

    /// The answer to a request; nil when the request is for somebody else.
    func answer(_ request: Request) async throws -> Response? {
        let path = request.uri.path
        guard path == "/health" || path == "/ready" || (path == "/metrics" && exporter != nil)
        else { return nil }
        guard request.method == .get || request.method == .head else {
            throw Failure.methodNotAllowed("GET, HEAD")
        }
        switch path {
        case "/health": return Self.state(.ok, ["status": .string("alive")])
        case "/ready": return await readiness()
        default: return await metrics()
        }
    }

    // MARK: -

    private func readiness() async -> Response {
        do throws(StoreError) {
            try await store.checkWritable()
            return Self.state(.ok, ["status": .string("ready")])
        } catch {
            // The code alone: what the message tells is for the operator.
            return Self.state(
                .serviceUnavailable,
                ["reason": .string(error.code.description), "status": .string("notReady")])
        }
    }

    private func metrics() async -> Response? {
        guard let exporter else { return nil }
        await store.refreshMetrics()
        return Self.answer(.ok, exporter.render(), OpenMetricsText.contentType)
    }

    private static func state(
        _ status: HTTPResponse.Status, _ members: [String: JSONValue]
    ) -> Response {
        answer(status, JSONValue.object(members).encoded, "application/json")
    }

    private static func answer(
        _ status: HTTPResponse.Status, _ bytes: [UInt8], _ contentType: String
    ) -> Response {
        Response(
            status: status, headers: [.contentType: contentType, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

/// Serves nothing but what ``Operations`` has, at an address of its own.
struct OperationsResponder: HTTPResponder {
    let operations: Operations

    @Sendable func respond(
        to request: Request, context: ServerContext
    ) async throws -> Response {
        var response: Response
        do {
            response = try await operations.answer(request) ?? Failure.notFound.response
        } catch let failure as Failure {
            response = failure.response
        }
        context.endIfUnread(request, &response)
        response.headers[.xContentTypeOptions] = "nosniff"
        return request.method == .head ? response.createHeadResponse() : response
    }
}
