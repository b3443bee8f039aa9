// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore

extension LocalAccess {
    /// Answers a call on the objects of a bucket.
    public func perform(_ request: ObjectRequest) async throws(AdminError) -> ObjectAnswer {
        do throws(StoreError) { return try await answer(request) } catch {
            throw AdminError(error)
        }
    }

    /// Writes one object.
    public func putObject(
        _ put: ObjectPut, from source: @escaping AdminByteSource
    ) async throws(AdminError) -> ObjectInfo {
        try await upload(into: put.bucket, from: source) { (session) throws(StoreError) in
            try await put.finish(session)
        }
    }

    private func answer(_ request: ObjectRequest) async throws(StoreError) -> ObjectAnswer {
        switch request {
        case .head(let bucket, let key, let version):
            let bucket = try await self.bucket(named: bucket)
            guard let version else { return .object(ObjectInfo(try await bucket.headObject(key))) }
            return .object(
                ObjectInfo(
                    try await bucket.headObject(key, version: ObjectVersionID(checking: version))))
        case .list(let bucket, let request):
            let page = try await self.bucket(named: bucket).objects(
                prefix: request.prefix, delimiter: request.delimiter,
                from: ObjectCursor(checking: request.after), limit: request.limit)
            return .listing(
                ObjectListing(
                    objects: page.objects.map { ObjectInfo($0) },
                    commonPrefixes: page.commonPrefixes, next: page.next?.description))
        case .transfer(let transfer):
            let source = try await bucket(named: transfer.bucket)
            let target = try await bucket(named: transfer.targetBucket)
            let condition = try WriteCondition(transfer.condition)
            let object =
                transfer.isMove
                ? try await source.renameObject(
                    transfer.key, to: transfer.targetKey, in: target, if: condition)
                : try await source.copyObject(
                    transfer.key, to: transfer.targetKey, in: target, if: condition)
            return .object(ObjectInfo(object))
        case .delete(let bucket, let key, let etag):
            try await self.bucket(named: bucket).deleteObject(key, ifMatch: etag.map { ETag($0) })
            return .done
        case .listVersions, .deleteVersion, .versioning: return try await answerVersions(request)
        case .lock, .lifecycle, .previewLifecycle, .applyLifecycle, .events:
            return try await answerGovernance(request)
        case .setTags(let bucket, let key, let tags):
            return .object(
                ObjectInfo(try await self.bucket(named: bucket).setTags(tags, of: key)))
        }
    }

    private func answerVersions(
        _ request: ObjectRequest
    ) async throws(StoreError) -> ObjectAnswer {
        switch request {
        case .listVersions(let bucket, let request):
            let page = try await self.bucket(named: bucket).objectVersions(
                prefix: request.prefix, from: ObjectVersionCursor(checking: request.after),
                limit: request.limit)
            return .versions(
                ObjectVersionListing(
                    versions: page.versions.map { ObjectVersionInfo($0) },
                    next: page.next?.description))
        case .deleteVersion(let bucket, let key, let version, let isBypassing):
            try await self.bucket(named: bucket).deleteObject(
                key, version: ObjectVersionID(checking: version),
                bypassingGovernance: isBypassing)
            return .done
        case .versioning(let bucket, let wanted):
            let bucket = try await self.bucket(named: bucket)
            if let wanted {
                let named = Versioning.allCases.first { "\($0)" == wanted }
                guard let named else {
                    throw StoreError(
                        .invalidArgument, "versioning is off, enabled or suspended, not \(wanted)")
                }
                try await bucket.setVersioning(named)
            }
            return .versioning("\(try await bucket.versioning())")
        default: return .done
        }
    }

    func bucket(named name: String) async throws(StoreError) -> Bucket {
        try await store.defaultAccount.bucket(name)
    }
}

extension ObjectPut {
    /// Ends a session whose bytes are complete.
    func finish(_ session: UploadSession) async throws(StoreError) -> ObjectInfo {
        var digests: [Digest] = []
        for text in references {
            guard let digest = try? Digest(text) else {
                throw StoreError(.digestInvalid, "\(text) is no digest")
            }
            digests.append(digest)
        }
        return ObjectInfo(
            try await session.commit(
                toObject: key, attributes: ObjectAttributes(attributes), references: digests,
                if: WriteCondition(condition)))
    }
}

// MARK: - Values

extension ObjectInfo {
    init(_ object: ObjectDescription) {
        self.init(
            key: object.key, version: object.versionID.description, etag: object.etag.description,
            digest: object.digest.description,
            byteCount: object.byteCount, modifiedAt: object.modifiedAt.description,
            referenceCount: object.referenceCount,
            attributes: ObjectAttributesInfo(object.attributes))
        lock = ObjectLockInfo(object.lock)
        checksums = object.checksums.isEmpty ? nil : object.checksums.map(\.description)
    }
}

extension ObjectVersionInfo {
    init(_ version: ObjectVersion) {
        self.init(
            key: version.key, version: version.id.description, isLatest: version.isLatest,
            modifiedAt: version.modifiedAt.description,
            object: version.object.map { ObjectInfo($0) })
    }
}

extension ObjectAttributesInfo {
    init(_ attributes: ObjectAttributes) {
        self.init()
        contentType = attributes.contentType
        cacheControl = attributes.cacheControl
        contentDisposition = attributes.contentDisposition
        contentEncoding = attributes.contentEncoding
        contentLanguage = attributes.contentLanguage
        expires = attributes.expires
        metadata = attributes.metadata
        tags = attributes.tags
    }
}

extension ObjectAttributes {
    init(_ attributes: ObjectAttributesInfo) {
        self.init(
            contentType: attributes.contentType ?? Self.contentTypeDefault,
            metadata: attributes.metadata, tags: attributes.tags)
        cacheControl = attributes.cacheControl
        contentDisposition = attributes.contentDisposition
        contentEncoding = attributes.contentEncoding
        contentLanguage = attributes.contentLanguage
        expires = attributes.expires
    }
}

extension WriteCondition {
    init(_ condition: ObjectCondition) throws(StoreError) {
        switch (condition.ifNoneMatch, condition.ifMatch) {
        case (false, nil): self = .none
        case (true, nil): self = .ifNoneMatch
        case (false, "*"): self = .ifExists
        case (false, let etag?): self = .ifMatch(ETag(etag))
        case (true, _):
            throw StoreError(
                .invalidArgument, "an object cannot be wanted both absent and with a tag")
        }
    }
}

extension LosslessStringConvertible {
    /// The cursor of a list, if one is given.
    init?(checking text: String?) throws(StoreError) {
        guard let text else { return nil }
        guard let value = Self(text) else {
            throw StoreError(.invalidArgument, "the cursor is not one that a list gave")
        }
        self = value
    }
}

extension ObjectVersionID {
    init(checking text: String) throws(StoreError) {
        guard let id = Self(text) else {
            throw StoreError(.invalidArgument, "\(text) does not name a version")
        }
        self = id
    }
}
