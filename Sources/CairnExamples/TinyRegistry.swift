// Part of Cairn, a content-addressed blob store.
public import Cairn
internal import CairnCore
internal import Foundation
internal import HTTPTypes
public import Hummingbird
internal import NIOCore

/// An image registry: what the guide "A registry in 200 lines" walks through.
///
/// It speaks the OCI distribution-spec well enough for skopeo, podman and docker: push and pull,
/// resumable uploads, mounts, tags, deletion. One bucket holds all that a repository has. There is
/// no authentication: serve it on 127.0.0.1.
public struct TinyRegistry: HTTPResponder {
    /// What the server knows of a request beside it.
    public typealias Context = BasicRequestContext
    private let account: Account

    /// Serves the repositories of an account.
    public init(_ account: Account) { self.account = account }

    /// Answers a request; what the store refuses becomes the answer that the specification wants.
    public func respond(to request: Request, context: Context) async throws -> Response {
        do {
            return try await answer(request)
        } catch let error as StoreError {
            return Self.refusal(error)
        } catch let error as CoreError {
            return Self.refusal(StoreError(.digestInvalid, error.message))
        } catch let error as BatchError {
            return Self.refusal(error.error)
        } catch is DecodingError {
            return Self.json(.badRequest, "{\"errors\":[{\"code\":\"MANIFEST_INVALID\"}]}")
        }
    }

    // MARK: - Routes

    // /v2/ NAME / (blobs | manifests | tags | blobs/uploads) / REFERENCE
    private func answer(_ request: Request) async throws -> Response {
        let parts = request.uri.path.split(separator: "/").map(String.init)
        guard parts.first == "v2", parts.count > 3 else {
            return Response(status: parts == ["v2"] ? .ok : .notFound)
        }
        let (kind, last) = (parts[parts.count - 2], parts[parts.count - 1])
        let name = parts.dropFirst().dropLast(kind == "uploads" ? 3 : 2).joined(separator: "/")
        if (kind, last) == ("blobs", "uploads") { return try await beginUpload(request, name) }
        if kind == "uploads", [.patch, .put].contains(request.method) {
            return try await upload(request, name, last)
        }
        switch (kind, request.method) {
        case ("blobs", .get), ("blobs", .head): return try await blob(request, name, last)
        case ("blobs", .delete):
            try await account.bucket(name).deleteBlob(Digest(last))
            return Response(status: .accepted)
        case ("manifests", .get), ("manifests", .head):
            return try await manifest(request, name, last)
        case ("manifests", .put): return try await putManifest(request, name, last)
        case ("manifests", .delete):
            try await account.bucket(name).deleteObject(Self.key(last))
            return Response(status: .accepted)
        case ("tags", .get): return try await tags(name)
        default: return Response(status: .methodNotAllowed)
        }
    }

    // A repository comes into being with the first push.
    private func repository(_ name: String) async throws -> Bucket {
        do throws(StoreError) { return try await account.bucket(name) } catch {
            guard error.code == .bucketUnknown else { throw error }
        }
        do throws(StoreError) { return try await account.createBucket(name) } catch {
            // Another request of the same push was first.
            guard error.code == .bucketExists else { throw error }
            return try await account.bucket(name)
        }
    }

    // MARK: - Blobs

    private func blob(_ request: Request, _ name: String, _ text: String) async throws -> Response {
        let blob = try await account.bucket(name).openBlob(Digest(text))
        let byteCount = Int(blob.description.byteCount)
        let headers: HTTPFields = [
            .contentType: "application/octet-stream", .contentLength: String(byteCount),
            Self.contentDigest: text,
        ]
        guard request.method == .get else { return Response(status: .ok, headers: headers) }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody(contentLength: byteCount) { writer in
                for try await bytes in blob.bytes() {
                    try await writer.write(ByteBuffer(bytes: bytes))
                }
                try await writer.finish(nil)
            })
    }

    private func beginUpload(_ request: Request, _ name: String) async throws -> Response {
        let bucket = try await repository(name)
        let query = request.uri.queryParameters
        if let digest = try query["mount"].map({ try Digest(String($0)) }),
            let source = query["from"], await mount(digest, from: String(source), to: bucket)
        {
            return created("/v2/\(name)/blobs/\(digest)", digest)
        }
        let session = try await bucket.beginUpload()
        // From here on any process may go on with it.
        try await session.suspend()
        return accepted(name, session)
    }

    private func mount(_ digest: Digest, from source: String, to bucket: Bucket) async -> Bool {
        do throws(StoreError) {
            _ = try await bucket.mountBlob(digest, from: account.bucket(source))
            return true
        } catch {
            // The client uploads it then.
            return false
        }
    }

    private func upload(_ request: Request, _ name: String, _ id: String) async throws -> Response {
        let bucket = try await account.bucket(name)
        guard let id = UploadID(id) else {
            throw StoreError(.uploadUnknown, "no such upload session")
        }
        let session = try await bucket.resumeUpload(id)
        for try await buffer in request.body {
            try await session.append(buffer.readableBytesUInt8Span)
        }
        guard request.method == .put else {
            try await session.suspend()
            return accepted(name, session)
        }
        let digest = try Digest(String(request.uri.queryParameters["digest"] ?? ""))
        try await session.commit(expecting: digest)
        return created("/v2/\(name)/blobs/\(digest)", digest)
    }

    // MARK: - Manifests and tags

    private struct Manifest: Decodable {
        struct Descriptor: Decodable { var digest: String }
        var mediaType: String?
        var config: Descriptor?
        var layers, manifests: [Descriptor]?
    }

    // A manifest is kept under its digest and under its tag. Both keep its layers alive.
    private func putManifest(
        _ request: Request, _ name: String, _ reference: String
    ) async throws -> Response {
        let bytes = [UInt8](buffer: try await request.body.collect(upTo: 4 << 20))
        let bucket = try await repository(name)
        let digest = Digest.sha256(of: bytes.span)
        guard !reference.contains(":") || reference == digest.description else {
            throw StoreError(.digestInvalid, "the manifest has another digest")
        }
        let manifest = try JSONDecoder().decode(Manifest.self, from: Data(bytes))
        let named = [manifest.config].compactMap(\.self) + (manifest.layers ?? [])
        let references = try (named + (manifest.manifests ?? [])).map { try Digest($0.digest) }
        let type = request.headers[.contentType] ?? manifest.mediaType ?? "application/json"
        var batch = ObjectBatch()
        for key in Set([Self.key(digest.description), Self.key(reference)]) {
            batch.put(
                key, bytes.span, attributes: ObjectAttributes(contentType: type),
                references: references)
        }
        try await bucket.commit(batch)
        return created("/v2/\(name)/manifests/\(digest)", digest)
    }

    private func manifest(
        _ request: Request, _ name: String, _ reference: String
    ) async throws -> Response {
        let (object, blob) = try await account.bucket(name).openObject(Self.key(reference))
        let headers: HTTPFields = [
            .contentType: object.contentType, .contentLength: String(object.byteCount),
            Self.contentDigest: object.digest.description,
        ]
        guard request.method == .get else { return Response(status: .ok, headers: headers) }
        let bytes = ByteBuffer(bytes: try await blob.readAll(upTo: 4 << 20))
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: bytes))
    }

    private func tags(_ name: String) async throws -> Response {
        let page = try await account.bucket(name).objects(prefix: "tags/")
        let tags = page.objects.map { "\"\($0.key.dropFirst(5))\"" }.joined(separator: ",")
        return Self.json(.ok, "{\"name\":\"\(name)\",\"tags\":[\(tags)]}")
    }

    private static func key(_ reference: String) -> String {
        reference.contains(":") ? "manifests/" + reference : "tags/" + reference
    }

    // MARK: - Answers

    private func created(_ location: String, _ digest: Digest) -> Response {
        Response(
            status: .created,
            headers: [
                .location: location, .contentLength: "0",
                Self.contentDigest: digest.description,
            ])
    }

    private func accepted(_ name: String, _ session: UploadSession) -> Response {
        let received = session.status.receivedByteCount
        return Response(
            status: .accepted,
            headers: [
                .location: "/v2/\(name)/blobs/uploads/\(session.id)", .contentLength: "0",
                .range: "0-\(max(received, 1) - 1)",
            ])
    }

    private static func refusal(_ error: StoreError) -> Response {
        let (status, code): (HTTPResponse.Status, String) =
            switch error.code {
            case .bucketUnknown: (.notFound, "NAME_UNKNOWN")
            case .blobUnknown: (.notFound, "BLOB_UNKNOWN")
            case .objectUnknown: (.notFound, "MANIFEST_UNKNOWN")
            case .uploadUnknown, .uploadExpired: (.notFound, "BLOB_UPLOAD_UNKNOWN")
            case .nameInvalid: (.badRequest, "NAME_INVALID")
            case .digestInvalid, .digestMismatch: (.badRequest, "DIGEST_INVALID")
            case .quotaExceeded: (.forbidden, "DENIED")
            case .allowanceExceeded: (.tooManyRequests, "TOOMANYREQUESTS")
            case .blobReferenced: (.methodNotAllowed, "UNSUPPORTED")
            default: (.internalServerError, "UNKNOWN")
            }
        return json(status, "{\"errors\":[{\"code\":\"\(code)\"}]}")
    }

    private static func json(_ status: HTTPResponse.Status, _ text: String) -> Response {
        let body = ResponseBody(byteBuffer: ByteBuffer(string: text))
        return Response(
            status: status, headers: [.contentType: "application/json"], body: body)
    }

    // Its characters are those of a token (RFC 9110 5.6.2).
    private static let contentDigest = HTTPField.Name("Docker-Content-Digest") ?? .eTag
}
