// Part of Cairn, a content-addressed blob store.
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// A request that was refused: what the client is told, and nothing more.
struct Failure: Error {
    var status: HTTPResponse.Status
    /// A code of the OCI distribution-spec, or one that registries use beside it.
    var code: String
    var message: String
    var headers = HTTPFields()
    /// For the log only.
    var cause: (any Error)?

    init(
        _ status: HTTPResponse.Status, _ code: String, _ message: String,
        headers: HTTPFields = [:], cause: (any Error)? = nil
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.cause = cause
    }

    init(_ error: RegistryError) {
        self.init(
            Self.status(of: error.code), error.code.ociCode, error.message, cause: error.cause)
        if error.code == .blobReferenced { headers[.allow] = "GET, HEAD" }
        if error.code == .unavailable { headers[.retryAfter] = "5" }
    }

    /// The answer, in the form of the OCI distribution-spec, "Error Codes".
    var response: Response {
        let error: JSONValue = .object(["code": .string(code), "message": .string(message)])
        let body = JSONValue.object(["errors": .array([error])]).encoded
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(
            status: status, headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    private static func status(of code: RegistryError.Code) -> HTTPResponse.Status {
        switch code {
        case .blobUnknown, .manifestUnknown, .manifestBlobUnknown, .nameUnknown, .uploadUnknown:
            .notFound
        case .blobReferenced: .methodNotAllowed
        case .uploadBusy: .conflict
        case .manifestTooLarge: .contentTooLarge
        case .tagImmutable, .keyDisabled, .locked, .quotaExceeded: .forbidden
        case .allowanceExceeded: .tooManyRequests
        case .offsetInvalid: .rangeNotSatisfiable
        case .unavailable: .serviceUnavailable
        default: .badRequest
        }
    }
}

extension Failure {
    static let notFound = Failure(.notFound, "UNSUPPORTED", "The registry has no such resource.")

    static func methodNotAllowed(_ allowed: String) -> Failure {
        Failure(
            .methodNotAllowed, "UNSUPPORTED", "The method is not allowed here.",
            headers: [.allow: allowed])
    }

    static func sizeInvalid(_ message: String, cause: (any Error)? = nil) -> Failure {
        Failure(.badRequest, "SIZE_INVALID", message, cause: cause)
    }

    static func tooLarge(_ byteCountMax: UInt64) -> Failure {
        Failure(
            .contentTooLarge, "SIZE_INVALID", "The body has more than \(byteCountMax) bytes.")
    }

    static let tooSlow = Failure(
        .requestTimeout, "BLOB_UPLOAD_INVALID", "The body stopped or came too slowly.")

    static let shuttingDown = Failure(
        .serviceUnavailable, "UNKNOWN", "The server is shutting down.",
        headers: [.retryAfter: "5"])
}
