// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

// OCI distribution-spec, "Pushing blobs".
extension RegistryCall {
    /// `POST /v2/<name>/blobs/uploads/`
    func uploads(_ name: RepositoryName) async throws -> Response {
        guard request.method == .post else { throw Failure.methodNotAllowed("POST") }
        let mount = try query["mount"].map { text throws(RegistryError) in
            try Digest(registry: text)
        }
        let expected = try query["digest"].map { text throws(RegistryError) in
            try Digest(registry: text)
        }
        let algorithm = try expected?.algorithm ?? announcedAlgorithm()
        let repository = try await registry.repositoryForPush(name)
        repository.countRequest(.blobWrite)
        if let mount, try await self.mount(mount, into: repository) {
            return stored(.created, at: "/v2/\(name)/blobs/\(mount)", digest: mount)
        }
        let body = body(upTo: responder.blobByteCountMax)
        let session = try await responder.uploads.begin(
            in: repository, algorithm: algorithm,
            byteCount: expected == nil ? nil : body.announcedByteCount)
        guard let expected else {
            responder.uploads.giveBack(session)
            return progress(.accepted, name, session.id, byteCount: 0)
        }
        do {
            try await receive(body, into: session)
        } catch {
            // A monolithic push starts over, so what came of it is of no use.
            do { try await session.cancel() } catch {}
            responder.uploads.forget(session.id)
            throw error
        }
        return try await finish(session, expected, name)
    }

    /// `GET`, `PATCH`, `PUT` and `DELETE /v2/<name>/blobs/uploads/<id>`
    func upload(_ name: RepositoryName, _ id: UploadID?) async throws -> Response {
        let methods: [HTTPRequest.Method] = [.get, .head, .patch, .put, .delete]
        guard methods.contains(request.method) else {
            throw Failure.methodNotAllowed("GET, HEAD, PATCH, PUT, DELETE")
        }
        let expected = request.method == .put ? try digestOfFinish() : nil
        let repository = try await repository(name, for: .blobWrite)
        guard let id else {
            throw RegistryError(.uploadUnknown, "The repository has no such upload session.")
        }
        if request.method == .get || request.method == .head,
            let byteCount = responder.uploads.acknowledgedByteCount(id, in: repository)
        {
            return progress(.noContent, name, id, byteCount: byteCount)
        }
        let session = try await responder.uploads.borrow(id, in: repository)
        switch request.method {
        case .patch: return try await patch(session, name)
        case .delete: return try await cancel(session)
        default:
            guard let expected else { return try await status(session, name) }
            let session = try await self.session(session, for: expected, in: repository)
            try await receiveChunk(session, name)
            return try await finish(session, expected, name)
        }
    }

    /// A session that computes the digest it is to end with.
    ///
    /// Clients tell the algorithm only now; one that has sent nothing yet gets what it wants.
    private func session(
        _ session: UploadSession, for expected: Digest, in repository: Repository
    ) async throws -> UploadSession {
        guard session.algorithm != expected.algorithm else { return session }
        guard session.status.receivedByteCount == 0 else {
            responder.uploads.giveBack(session)
            throw RegistryError(
                .digestInvalid,
                "The session was begun for a \(session.algorithm.name) digest: "
                    + "begin it with 'digest-algorithm'.")
        }
        responder.uploads.forget(session.id)
        do throws(StoreError) { try await session.cancel() } catch {
            throw UploadFailure.failure(error)
        }
        return try await responder.uploads.begin(
            in: repository, algorithm: expected.algorithm, byteCount: nil)
    }

    // MARK: - Beginning

    /// `digest-algorithm`: what the digest is going to be of that ends the session.
    private func announcedAlgorithm() throws -> Digest.Algorithm {
        guard let name = query["digest-algorithm"] else { return .sha256 }
        guard let algorithm = Digest.Algorithm.allCases.first(where: { $0.name == name }) else {
            throw RegistryError(.digestInvalid, "The digest algorithm must be sha256 or sha512.")
        }
        return algorithm
    }

    /// Whether the blob is in the repository now. A source that is missing and one that lacks the
    /// blob are alike.
    private func mount(_ digest: Digest, into repository: Repository) async throws -> Bool {
        guard let text = query["from"], let name = try? RepositoryName(text) else { return false }
        do {
            let source = try await registry.repository(name)
            return try await repository.mountBlob(digest, from: source) != nil
        } catch {
            guard error.code == .nameUnknown else { throw error }
            return false
        }
    }

    // MARK: - Going on

    private func status(_ session: UploadSession, _ name: RepositoryName) async throws -> Response {
        let byteCount = try await checkpoint(session)
        return progress(.noContent, name, session.id, byteCount: byteCount)
    }

    private func patch(_ session: UploadSession, _ name: RepositoryName) async throws -> Response {
        try await receiveChunk(session, name)
        let byteCount = try await checkpoint(session)
        return progress(.accepted, name, session.id, byteCount: byteCount)
    }

    private func cancel(_ session: UploadSession) async throws -> Response {
        defer { responder.uploads.forget(session.id) }
        do throws(StoreError) { try await session.cancel() } catch {
            throw UploadFailure.failure(error)
        }
        return Response(status: .noContent)
    }

    /// Makes what was received durable and gives the session back; only then it is acknowledged.
    private func checkpoint(_ session: UploadSession) async throws -> UInt64 {
        do throws(StoreError) {
            let byteCount = try await session.checkpoint()
            responder.uploads.giveBack(session, acknowledged: byteCount)
            return byteCount
        } catch {
            await responder.uploads.suspend(session)
            throw UploadFailure.failure(error)
        }
    }

    /// Appends the body where `Content-Range` says, or at the end.
    ///
    /// After an error the session has been given back.
    private func receiveChunk(_ session: UploadSession, _ name: RepositoryName) async throws {
        let received = session.status.receivedByteCount
        let body: BodyReader
        do {
            body = try chunk(at: received)
        } catch {
            // Nothing was read: the session stands as it did.
            do throws(StoreError) {
                let byteCount = try await session.checkpoint()
                responder.uploads.giveBack(session, acknowledged: byteCount)
            } catch {
                await responder.uploads.suspend(session)
            }
            throw located(error, name, session.id, byteCount: received)
        }
        do {
            try await receive(body, into: session)
        } catch {
            await responder.uploads.suspend(session)
            throw error
        }
    }

    /// The body of a chunk that starts at `received`.
    private func chunk(at received: UInt64) throws -> BodyReader {
        let room = responder.blobByteCountMax - min(received, responder.blobByteCountMax)
        let body = body(upTo: room)
        if let announced = body.announcedByteCount, announced > room {
            throw Failure.tooLarge(responder.blobByteCountMax)
        }
        guard let field = request.headers[.contentRange] else { return body }
        guard let range = ChunkRange(field), range.first == received else {
            throw RegistryError(
                .offsetInvalid, "The Content-Range must start where the bytes received end.")
        }
        guard body.announcedByteCount.map({ $0 == range.byteCount }) ?? true else {
            throw Failure.sizeInvalid("The Content-Range and the Content-Length differ.")
        }
        return self.body(upTo: min(room, range.byteCount))
    }

    private func receive(_ body: BodyReader, into session: UploadSession) async throws {
        if let announced = body.announcedByteCount, announced <= body.byteCountMax {
            do throws(StoreError) { try session.reserve(announced) } catch {
                throw UploadFailure.failure(error)
            }
        }
        _ = try await body.forEach { buffer in
            do throws(StoreError) {
                _ = try await session.append(buffer.readableBytesUInt8Span, at: nil)
            } catch {
                throw UploadFailure.failure(error)
            }
        }
    }

    // MARK: - Finishing

    private func digestOfFinish() throws -> Digest {
        guard let text = query["digest"] else {
            throw RegistryError(.digestInvalid, "The query must have the blob's 'digest'.")
        }
        return try Digest(registry: text)
    }

    /// Commits a session, which is gone afterwards: stored, or cancelled by a wrong digest.
    private func finish(
        _ session: UploadSession, _ expected: Digest, _ name: RepositoryName
    ) async throws -> Response {
        do throws(StoreError) {
            _ = try await session.commit(
                expecting: expected, lifetime: responder.registry.configuration.blobLifetime)
        } catch {
            if error.code == .digestMismatch {
                // A session that cannot be cancelled now expires.
                do { try await session.cancel() } catch {}
                responder.uploads.forget(session.id)
            } else {
                await responder.uploads.suspend(session)
            }
            throw UploadFailure.failure(error)
        }
        responder.uploads.forget(session.id)
        return stored(.created, at: "/v2/\(name)/blobs/\(expected)", digest: expected)
    }

    // MARK: - Answers

    /// Where the session is and what it has.
    private func progress(
        _ status: HTTPResponse.Status, _ name: RepositoryName, _ id: UploadID, byteCount: UInt64
    ) -> Response {
        var headers = Self.progressHeaders(name, id, byteCount: byteCount)
        if status != .noContent { headers[.contentLength] = "0" }
        return Response(status: status, headers: headers)
    }

    private func located(
        _ error: any Error, _ name: RepositoryName, _ id: UploadID, byteCount: UInt64
    ) -> any Error {
        guard let error = error as? RegistryError, error.code == .offsetInvalid else {
            return error
        }
        var failure = Failure(error)
        failure.headers = Self.progressHeaders(name, id, byteCount: byteCount)
        return failure
    }

    /// `Range: 0-<last>`. Registries say `0-0` for a session without a byte, since the field has
    /// no form for an empty range, and clients expect that.
    private static func progressHeaders(
        _ name: RepositoryName, _ id: UploadID, byteCount: UInt64
    ) -> HTTPFields {
        [
            .location: "/v2/\(name)/blobs/uploads/\(id)",
            .range: "0-\(byteCount == 0 ? 0 : byteCount - 1)",
            RegistryField.uploadID: id.description,
        ]
    }
}

/// The store's errors about a session that a request has.
enum UploadFailure {
    static func failure(_ error: StoreError) -> Failure {
        switch error.code {
        case .outOfSpace:
            Failure(
                .init(code: 507, reasonPhrase: "Insufficient Storage"), "DENIED",
                "The store has no room for the blob.", cause: error)
        case .limitExceeded:
            Failure(.contentTooLarge, "SIZE_INVALID", "The blob is too large.", cause: error)
        default: Failure(RegistryError(store: error))
        }
    }
}
