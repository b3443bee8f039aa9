// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

// OCI distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting Manifests".
extension RegistryCall {
    func manifest(_ name: RepositoryName, _ reference: ManifestReference) async throws -> Response {
        switch request.method {
        case .get:
            return try await getManifest(repositoryToRead(name, for: .objectRead), reference)
        case .head: return try await headManifest(repository(name, for: .objectRead), reference)
        case .put: return try await putManifest(name, reference)
        case .delete:
            let repository = try await repository(name, for: .delete)
            switch reference {
            case .tag(let tag): try await repository.deleteTag(tag)
            case .digest(let digest): try await repository.deleteManifest(digest)
            }
            return Response(status: .accepted, headers: [.contentLength: "0"])
        default: throw Failure.methodNotAllowed("GET, HEAD, PUT, DELETE")
        }
    }

    // MARK: -

    private func headers(_ manifest: ManifestDescription) -> HTTPFields {
        [
            .contentType: manifest.mediaType, .eTag: "\"\(manifest.digest)\"",
            RegistryField.contentDigest: manifest.digest.description,
        ]
    }

    private func headManifest(
        _ repository: Repository, _ reference: ManifestReference
    ) async throws -> Response {
        let manifest = try await repository.statManifest(reference)
        var headers = headers(manifest)
        headers[.contentLength] = String(manifest.byteCount)
        return Response(status: .ok, headers: headers)
    }

    private func getManifest(
        _ repository: Repository, _ reference: ManifestReference
    ) async throws -> Response {
        let (manifest, bytes) = try await repository.manifest(reference)
        let headers = headers(manifest)
        if request.headers[.ifNoneMatch] == headers[.eTag] {
            return Response(status: .notModified, headers: headers)
        }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody(contentLength: bytes.count) { writer in
                try await writer.write(ByteBuffer(bytes: bytes))
                repository.countTransfer(UInt64(bytes.count), Self.transfer)
                try await writer.finish(nil)
            })
    }

    private func putManifest(
        _ name: RepositoryName, _ reference: ManifestReference
    ) async throws -> Response {
        let tags = try query.all("tag").map { text throws(RegistryError) in try Tag(text) }
        let bytes: [UInt8]
        do {
            bytes = try await body(upTo: UInt64(Repository.manifestByteCountMax)).collect()
        } catch let failure as Failure where failure.status == .contentTooLarge {
            // The body's own limit, in the words of a manifest.
            throw RegistryError(
                .manifestTooLarge,
                "A manifest has at most \(Repository.manifestByteCountMax) bytes.")
        }
        let repository = try await registry.repositoryForPush(name)
        repository.countRequest(.objectWrite)
        let receipt = try await repository.putManifest(
            bytes, as: reference, contentType: request.headers[.contentType], tags: tags)
        var response = stored(
            .created, at: "/v2/\(name)/manifests/\(receipt.digest)", digest: receipt.digest)
        if let subject = receipt.subject {
            response.headers[RegistryField.subject] = subject.description
        }
        for tag in tags {
            response.headers.append(HTTPField(name: RegistryField.tag, value: tag.description))
        }
        return response
    }
}
