// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

// OCI distribution-spec, "Pulling blobs", "Checking if content exists", "Deleting blobs".
extension RegistryCall {
    func blob(_ name: RepositoryName, _ digest: Digest) async throws -> Response {
        switch request.method {
        case .get:
            return try await getBlob(repositoryToRead(name, for: .blobRead), digest)
        case .head: return try await headBlob(repository(name, for: .blobRead), digest)
        case .delete:
            try await repository(name, for: .delete).deleteBlob(digest)
            return Response(status: .accepted, headers: [.contentLength: "0"])
        default: throw Failure.methodNotAllowed("GET, HEAD, DELETE")
        }
    }

    // MARK: -

    private func headers(_ digest: Digest) -> HTTPFields {
        [
            .contentType: "application/octet-stream", .acceptRanges: "bytes",
            .eTag: "\"\(digest)\"", RegistryField.contentDigest: digest.description,
            // A digest never names other bytes.
            .cacheControl: "private, max-age=31536000, immutable",
        ]
    }

    private func headBlob(_ repository: Repository, _ digest: Digest) async throws -> Response {
        let blob = try await repository.stat(digest)
        var headers = headers(digest)
        headers[.contentLength] = String(blob.byteCount)
        return Response(status: .ok, headers: headers)
    }

    private func getBlob(_ repository: Repository, _ digest: Digest) async throws -> Response {
        let blob = try await repository.openBlob(digest)
        let byteCount = blob.description.byteCount
        var headers = headers(digest)
        if request.headers[.ifNoneMatch] == headers[.eTag] {
            return Response(status: .notModified, headers: headers)
        }
        // A range of another representation is of no use (RFC 9110 13.1.5).
        let isSame = request.headers[.ifRange].map { $0 == headers[.eTag] } ?? true
        switch RangeField(isSame ? request.headers[.range] : nil, byteCount: byteCount) {
        case .whole:
            return Response(
                status: .ok, headers: headers, body: stream(blob, 0..<byteCount, of: repository))
        case .part(let range):
            headers[.contentRange] =
                "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(byteCount)"
            return Response(
                status: .partialContent, headers: headers, body: stream(blob, range, of: repository)
            )
        case .unsatisfiable:
            throw Failure(
                .rangeNotSatisfiable, "RANGE_INVALID", "The range is not within the blob.",
                headers: [.contentRange: "bytes */\(byteCount)"])
        }
    }

    /// A client must take this much within ``BodyPace/window``, or its connection ends.
    private static let sliceByteCount = 64 << 10

    /// Reads as fast as the client takes: a write waits until the one before has left.
    ///
    /// A blob that turns out to be damaged ends the connection before the announced length, so
    /// that no client takes what it got for the whole.
    private func stream(
        _ blob: Blob, _ range: Range<UInt64>, of repository: Repository
    ) -> ResponseBody {
        let (channel, logger) = (context.channel, context.logger)
        let window = TimeAmount(responder.pace.window)
        return ResponseBody(contentLength: Int(range.count)) { writer in
            do {
                for try await bytes in blob.bytes(in: range) {
                    var buffer = ByteBuffer(bytes: bytes)
                    while let slice = buffer.readSlice(
                        length: min(Self.sliceByteCount, buffer.readableBytes)),
                        slice.readableBytes > 0
                    {
                        let timer = channel.eventLoop.scheduleTask(in: window) {
                            channel.close(promise: nil)
                        }
                        defer { timer.cancel() }
                        try await writer.write(slice)
                        repository.countTransfer(UInt64(slice.readableBytes), Self.transfer)
                    }
                }
            } catch let error as StoreError {
                // The client sees a connection that ends; the reason is for the operator.
                logger.error(
                    "a blob could not be read",
                    metadata: [
                        "digest": "\(blob.description.digest)", "cause": "\(error)",
                    ])
                throw error
            }
            try await writer.finish(nil)
        }
    }
}
