// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// Answers the requests of the OCI distribution-spec.
///
/// Safe to share between tasks. Nothing that a client sends is repeated in an answer unless it
/// has been validated.
struct RegistryResponder: HTTPResponder {
    /// The longest request target. A page's `last` and an `artifactType` fit many times.
    static let targetByteCountMax = 8 * 1024

    let registry: Registry
    let uploads: UploadTable
    let blobByteCountMax: UInt64
    let pace: BodyPace
    let operations: Operations
    let metrics: RequestMetrics

    @Sendable func respond(
        to request: Request, context: ServerContext
    ) async throws -> Response {
        let start = ContinuousClock.now
        var response: Response
        var cause: (any Error)?
        var kind: RouteKind?
        do {
            response = try await route(request, context, &kind)
        } catch {
            let failure = Self.failure(error)
            cause = failure.cause
            response = failure.response
        }
        context.endIfUnread(request, &response)
        response.headers[Self.versionField] = "registry/2.0"
        response.headers[.xContentTypeOptions] = "nosniff"
        if request.method == .head { response = response.createHeadResponse() }
        log(request, response, cause, ContinuousClock.now - start, context.logger)
        if let kind { metrics.count(kind, request.method, &response, since: start) }
        return response
    }

    // MARK: -

    /// - Parameter kind: told as soon as it is known; nil for what is no request to the registry.
    private func route(
        _ request: Request, _ context: ServerContext, _ kind: inout RouteKind?
    ) async throws -> Response {
        if let answer = try await operations.answer(request) { return answer }
        kind = .other
        guard request.uri.string.utf8.count <= Self.targetByteCountMax else {
            throw Failure(
                .uriTooLong, "UNSUPPORTED",
                "A request target has at most \(Self.targetByteCountMax) bytes.")
        }
        guard let target = RequestTarget(path: request.uri.path) else { throw Failure.notFound }
        guard let query = Query(request.uri.query ?? "") else {
            throw Failure(.badRequest, "UNSUPPORTED", "The query is malformed.")
        }
        kind = RouteKind(target, request.method)
        let call = RegistryCall(responder: self, request: request, query: query, context: context)
        switch target {
        case .version: return try call.version()
        case .catalog: return try await call.catalog()
        case .blob(let name, let digest):
            return try await call.blob(RepositoryName(name), Digest(registry: digest))
        case .uploads(let name): return try await call.uploads(RepositoryName(name))
        case .upload(let name, let id):
            return try await call.upload(RepositoryName(name), UploadID(id))
        case .manifest(let name, let reference):
            return try await call.manifest(RepositoryName(name), ManifestReference(reference))
        case .tags(let name): return try await call.tags(RepositoryName(name))
        case .referrers(let name, let digest):
            return try await call.referrers(RepositoryName(name), Digest(registry: digest))
        }
    }

    private static func failure(_ error: any Error) -> Failure {
        switch error {
        case let failure as Failure: failure
        case let error as RegistryError: Failure(error)
        default:
            Failure(
                .internalServerError, "UNKNOWN", "The request could not be served.", cause: error)
        }
    }

    /// One line per request. The path appears without its query and only when it was valid.
    private func log(
        _ request: Request, _ response: Response, _ cause: (any Error)?, _ duration: Duration,
        _ logger: Logger
    ) {
        var metadata: Logger.Metadata = [
            "method": "\(request.method)", "status": "\(response.status.code)",
            "duration": "\(duration)",
        ]
        if response.status.code < 400 { metadata["path"] = "\(request.uri.path)" }
        if let cause { metadata["cause"] = "\(cause)" }
        logger.log(
            level: response.status.code >= 500 ? .error : .debug, "request", metadata: metadata)
    }

    private static let versionField = field("Docker-Distribution-API-Version")

    /// A field's name from a constant of ours, so the other branch is never taken.
    static func field(_ name: String) -> HTTPField.Name {
        HTTPField.Name(name) ?? .contentLanguage
    }
}

/// One request on its way through the registry.
struct RegistryCall: Sendable {
    let responder: RegistryResponder
    let request: Request
    let query: Query
    let context: ServerContext

    var registry: Registry { responder.registry }

    /// A repository that is asked for something.
    func repository(
        _ name: RepositoryName, for request: RequestKind
    ) async throws -> Repository {
        let repository = try await registry.repository(name)
        repository.countRequest(request)
        return repository
    }

    /// The same, where bytes are to be delivered.
    func repositoryToRead(
        _ name: RepositoryName, for request: RequestKind
    ) async throws -> Repository {
        let repository = try await repository(name, for: request)
        try await repository.checkTransfer(Self.transfer)
        return repository
    }

    /// This server knows nobody by name.
    static let transfer = TransferClass.anonymous

    /// The body, at most `byteCountMax` bytes of it.
    func body(upTo byteCountMax: UInt64) -> BodyReader {
        BodyReader(
            request: request, byteCountMax: byteCountMax, pace: responder.pace,
            isRead: context.isBodyRead)
    }

    func version() throws -> Response {
        guard request.method == .get || request.method == .head else {
            throw Failure.methodNotAllowed("GET, HEAD")
        }
        return json(.object([:]))
    }

    func json(_ value: JSONValue, headers: HTTPFields = [:]) -> Response {
        bytes(value.encoded, contentType: "application/json", headers: headers)
    }

    func bytes(_ bytes: [UInt8], contentType: String, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = contentType
        return Response(
            status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// An answer without a body that names what was stored.
    func stored(
        _ status: HTTPResponse.Status, at location: String, digest: Digest
    ) -> Response {
        Response(
            status: status,
            headers: [
                .location: location, RegistryField.contentDigest: digest.description,
                .contentLength: "0",
            ])
    }
}

enum RegistryField {
    static let link = RegistryResponder.field("Link")
    static let contentDigest = RegistryResponder.field("Docker-Content-Digest")
    static let uploadID = RegistryResponder.field("Docker-Upload-UUID")
    static let subject = RegistryResponder.field("OCI-Subject")
    static let tag = RegistryResponder.field("OCI-Tag")
    static let filtersApplied = RegistryResponder.field("OCI-Filters-Applied")
}
