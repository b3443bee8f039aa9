// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore
internal import CairnRegistry
internal import HTTPTypes
internal import Hummingbird

// OCI distribution-spec, "Listing Tags", "Listing Referrers"; the catalog is Docker's.
extension RegistryCall {
    /// `GET /v2/_catalog`
    func catalog() async throws -> Response {
        try checkMethod()
        let limit = try pageLimit()
        let page = try await registry.repositories(after: try pageStart(), limit: limit)
        return json(
            .object(["repositories": .array(page.names.map { .string($0) })]),
            headers: link("/v2/_catalog", page, limit))
    }

    /// `GET /v2/<name>/tags/list`
    func tags(_ name: RepositoryName) async throws -> Response {
        try checkMethod()
        let limit = try pageLimit()
        let start = try pageStart()
        let page = try await repository(name, for: .list).tags(after: start, limit: limit)
        return json(
            .object([
                "name": .string(name.description), "tags": .array(page.names.map { .string($0) }),
            ]), headers: link("/v2/\(name)/tags/list", page, limit))
    }

    /// `GET /v2/<name>/referrers/<digest>`
    func referrers(_ name: RepositoryName, _ subject: Digest) async throws -> Response {
        try checkMethod()
        let last = try query["last"].map { text throws(RegistryError) in
            try Digest(registry: text)
        }
        let artifactType = query["artifactType"].flatMap { $0.isEmpty ? nil : $0 }
        let page = try await repository(name, for: .list).referrers(
            of: subject, artifactType: artifactType, after: last)
        var headers = HTTPFields()
        if artifactType != nil { headers[RegistryField.filtersApplied] = "artifactType" }
        if let next = page.next {
            var parameters = "last=" + PercentCoding.encode(next.description)
            if let artifactType {
                parameters += "&artifactType=" + PercentCoding.encode(artifactType)
            }
            let path = "/v2/\(name)/referrers/\(subject)"
            headers[RegistryField.link] = "<\(path)?\(parameters)>; rel=\"next\""
        }
        return bytes(page.document, contentType: Repository.referrersMediaType, headers: headers)
    }

    // MARK: -

    /// Longer than any name or tag.
    private static let pageStartByteCountMax = 256

    private func checkMethod() throws {
        guard request.method == .get || request.method == .head else {
            throw Failure.methodNotAllowed("GET, HEAD")
        }
    }

    /// `n`: as many entries as asked for, but no more than a page has.
    private func pageLimit() throws -> Int {
        guard let text = query["n"] else { return Registry.pageCountMax }
        guard let count = ByteRange.decimal(text) else {
            throw RegistryError(.pageInvalid, "The query's 'n' must be a number of entries.")
        }
        return Int(min(count, UInt64(Registry.pageCountMax)))
    }

    /// `last`: the last entry of the page before.
    private func pageStart() throws -> String? {
        guard let text = query["last"] else { return nil }
        guard text.utf8.count <= Self.pageStartByteCountMax else {
            throw Failure(
                .uriTooLong, "PAGINATION_NUMBER_INVALID",
                "The query's 'last' has at most \(Self.pageStartByteCountMax) bytes.")
        }
        guard !text.utf8.contains(0) else {
            throw RegistryError(.pageInvalid, "The query's 'last' must not have a NUL.")
        }
        return text.isEmpty ? nil : text
    }

    /// RFC 5988, as the specification asks; only when there is more.
    private func link(_ path: String, _ page: NamePage, _ limit: Int) -> HTTPFields {
        guard page.isTruncated, let last = page.names.last else { return [:] }
        let start = PercentCoding.encode(last)
        return [RegistryField.link: "<\(path)?n=\(limit)&last=\(start)>; rel=\"next\""]
    }
}
