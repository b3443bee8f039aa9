// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Answers the requests that ``AdminClient`` sends; see AdminWire.swift for the interface.
struct AdminResponder: HTTPResponder {
    private let store: Store
    private let access: LocalAccess
    private let uploads: UploadTable

    /// - Parameter uploads: the sessions that the registry has open.
    init(_ store: Store, uploads: UploadTable) {
        self.store = store
        self.uploads = uploads
        access = LocalAccess(store, ownsStore: false, isServer: true)
    }

    @Sendable func respond(
        to request: Request, context: BasicRequestContext
    ) async throws -> Response {
        do {
            return try await route(request)
        } catch let error as AdminError {
            return Self.answer(error)
        } catch {
            return Self.answer(
                AdminError(.init(name: "io"), "The request could not be served.", cause: error))
        }
    }

    // MARK: -

    private func route(_ request: Request) async throws -> Response {
        let path = request.uri.path
        guard path.hasPrefix(AdminPath.prefix),
            let call = AdminPath(rawValue: String(path.dropFirst(AdminPath.prefix.count)))
        else { throw AdminError(.protocolViolation, "The server does not know this call.") }
        let query = try AdminQuery(request)
        switch (request.method, call) {
        case (.get, .information): return Self.json(try await access.information())
        case (.get, .statistics): return Self.json(try await access.statistics())
        case (.get, .buckets):
            return Self.json(try await access.buckets(after: query["after"], limit: query.limit()))
        case (.get, .bucket): return Self.json(try await access.bucket(query.bucket()))
        case (.post, .bucket):
            return Self.json(
                try await access.createBucket(
                    query.bucket(), key: query["key"], deduplication: query["deduplication"]))
        case (.post, .keys):
            // A description of 8 KiB and 50 tags at most, in JSON.
            return Self.json(try await access.perform(Self.read(KeyRequest.self, request)))
        case (.delete, .bucket):
            try await access.deleteBucket(
                query.bucket(), withContents: query["contents"] == "delete")
            return Response(status: .noContent)
        case (.get, .blobs):
            return Self.json(
                try await access.blobs(
                    in: query.bucket(), after: query["after"], limit: query.limit()))
        case (.get, .blob):
            return Self.json(try await access.stat(query.digest(), in: query.bucket()))
        case (.delete, .blob):
            try await access.deleteBlob(query.digest(), in: query.bucket())
            return Response(status: .noContent)
        case (.post, .mount):
            return Self.json(
                try await access.mountBlob(
                    query.digest(), from: query.text("from"), into: query.bucket()))
        case (.post, .objects):
            // The longest key, prefix or tags, in JSON.
            return Self.json(try await access.perform(Self.read(ObjectRequest.self, request)))
        case (.post, .usage):
            return Self.json(try await access.perform(Self.read(UsageRequest.self, request)))
        case (.post, .object):
            let put = try AdminJSON.decode(ObjectPut.self, from: Array(query.text("put").utf8))
            return Self.json(
                try await upload(request, into: put.bucket) { (session) throws(StoreError) in
                    try await put.finish(session)
                })
        case (.post, .bytes): return Self.json(try await put(request, query))
        case (.get, .bytes): return try await get(query)
        case (.get, .uploads):
            return Self.json(
                try await access.uploads(
                    in: query.bucket(), after: query["after"], limit: query.limit()))
        case (.delete, .upload):
            try await cancelUpload(query.text("upload"), in: query.bucket())
            return Response(status: .noContent)
        case (.get, .keepers): return Self.json(try await access.keepers(of: query.digest()))
        case (.post, .scrub): return Self.json(try await access.scrub())
        case (.post, .backup):
            return Self.json(
                try await access.backUp(
                    to: query.text("path"), includesKeyFile: query["keyFile"] == "true"))
        case (.post, .sweep):
            return Self.json(try await access.sweep(isPreview: query["preview"] == "true"))
        case (.post, .verify): return verify(query["depth"] == "full" ? .full : .structure)
        default: throw AdminError(.protocolViolation, "The server does not know this call.")
        }
    }

    private static let callByteCountMax = 256 << 10

    private static func read<Call: Decodable>(
        _ type: Call.Type, _ request: Request
    ) async throws -> Call {
        let body = try await request.body.collect(upTo: callByteCountMax)
        return try AdminJSON.decode(type, from: Array(body.readableBytesView))
    }

    private func put(_ request: Request, _ query: AdminQuery) async throws -> BlobInfo {
        let expected = try query["expecting"].map { _ in try query.digest("expecting") }
        return try await upload(
            request, into: query.bucket(), algorithm: expected?.algorithm ?? .sha256,
            byteCount: query["byteCount"].flatMap { UInt64($0) }
        ) { (session) throws(StoreError) in
            BlobInfo(try await session.commit(expecting: expected))
        }
    }

    private func upload<Value>(
        _ request: Request, into bucket: String, algorithm: Digest.Algorithm = .sha256,
        byteCount: UInt64? = nil,
        finish: (UploadSession) async throws(StoreError) -> Value
    ) async throws -> Value {
        do {
            let bucket = try await store.defaultAccount.bucket(bucket)
            let session = try await bucket.beginUpload(
                algorithm: algorithm, expectedByteCount: byteCount)
            do {
                for try await buffer in request.body {
                    try await session.append(buffer.readableBytesUInt8Span)
                }
                return try await finish(session)
            } catch {
                // The first error is the one to report; a session that is left expires.
                do { try await session.cancel() } catch {}
                throw error
            }
        } catch let error as StoreError {
            throw AdminError(error)
        }
    }

    /// Ends a session, also one that the registry keeps open between two requests.
    private func cancelUpload(_ id: String, in bucket: String) async throws {
        if let id = UploadID(id), let session = try uploads.takeIdle(id, inBucket: bucket) {
            defer { uploads.forget(id) }
            do throws(StoreError) { try await session.cancel() } catch {
                throw AdminError(error)
            }
        } else {
            try await access.cancelUpload(id, in: bucket)
        }
    }

    private func get(_ query: AdminQuery) async throws -> Response {
        let opening = try await access.open(
            query.digest(), in: query.bucket(), range: try query.range())
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody { writer in
                var trailer = AdminTrailer(blob: BlobInfo(opening.blob.description), fault: nil)
                do {
                    for try await bytes in opening.blob.bytes(in: opening.range) {
                        try await writer.write(
                            ByteBuffer(bytes: AdminFrame.header(byteCount: bytes.count)))
                        try await writer.write(ByteBuffer(bytes: bytes))
                    }
                } catch let error as StoreError {
                    trailer = AdminTrailer(blob: nil, fault: AdminFault(AdminError(error)))
                }
                try await writer.write(
                    ByteBuffer(
                        bytes: AdminFrame.header(byteCount: 0) + AdminJSON.encode(trailer)))
                try await writer.finish(nil)
            })
    }

    private func verify(_ depth: VerifyDepthInfo) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json-lines"],
            body: ResponseBody { [access] writer in
                // Only the newest step matters to a client that reads slowly.
                let (steps, feed) = AsyncStream.makeStream(
                    of: VerifyProgressInfo.self, bufferingPolicy: .bufferingNewest(1))
                let task = Task {
                    defer { feed.finish() }
                    return try await access.verify(depth) { feed.yield($0) }
                }
                // A client that is gone, or a server that stops, ends the verification too.
                defer { task.cancel() }
                try await withTaskCancellationHandler {
                    for await step in steps {
                        try await writer.write(Self.line(VerifyLine(progress: step)))
                    }
                    do {
                        try await writer.write(Self.line(VerifyLine(report: try await task.value)))
                    } catch let error as AdminError {
                        try await writer.write(Self.line(VerifyLine(fault: AdminFault(error))))
                    }
                    try await writer.finish(nil)
                } onCancel: {
                    task.cancel()
                }
            })
    }

    // MARK: - Answers

    private static func line(_ line: VerifyLine) -> ByteBuffer {
        ByteBuffer(bytes: AdminJSON.encode(line) + [UInt8(ascii: "\n")])
    }

    private static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: AdminJSON.encode(value))))
    }

    private static func answer(_ error: AdminError) -> Response {
        json(AdminFault(error), status: .badRequest)
    }
}

/// The parameters of an admin request, each checked when it is taken.
private struct AdminQuery {
    private let query: Query

    init(_ request: Request) throws {
        guard let query = Query(request.uri.query ?? "") else {
            throw AdminError(.protocolViolation, "The query is malformed.")
        }
        self.query = query
    }

    subscript(name: String) -> String? { query[name] }

    func text(_ name: String) throws -> String {
        guard let text = query[name] else {
            throw AdminError(.invalidArgument, "The parameter \(name) is missing.")
        }
        return text
    }

    func bucket() throws -> String { try text("bucket") }

    func digest(_ name: String = "digest") throws -> Digest {
        let text = try text(name)
        do throws(CoreError) { return try Digest(text) } catch {
            throw AdminError(.init(name: "digestInvalid"), error.message, cause: error)
        }
    }

    func limit() throws -> Int {
        guard let limit = Int(try text("limit")) else {
            throw AdminError(.invalidArgument, "The limit is no number.")
        }
        return limit
    }

    func range() throws -> Range<UInt64>? {
        guard let first = query["first"], let end = query["end"] else { return nil }
        guard let first = UInt64(first), let end = UInt64(end), first <= end else {
            throw AdminError(.init(name: "rangeInvalid"), "The range is malformed.")
        }
        return first..<end
    }
}
