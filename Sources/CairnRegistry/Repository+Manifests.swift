// Part of Cairn, a content-addressed blob store.
internal import Cairn
public import CairnCore

/// A manifest of a repository.
public struct ManifestDescription: Hashable, Sendable {
    /// The digest of its bytes, by the algorithm that it was pushed with.
    public var digest: Digest
    /// Its media type.
    public var mediaType: String
    /// Its size.
    public var byteCount: UInt64
}

/// What a push of a manifest did.
public struct ManifestReceipt: Hashable, Sendable {
    /// The digest of the manifest.
    public var digest: Digest
    /// The manifest that it says it belongs to, whether or not that one exists.
    public var subject: Digest?
    /// The tags that name it now.
    public var tags: [Tag]
}

extension Repository {
    /// Tags that one push may set.
    public static let tagCountMax = 64
    /// The largest manifest in bytes.
    public static let manifestByteCountMax = ManifestDocument.byteCountMax

    /// Stores a manifest and lets tags name it. Durable on return.
    ///
    /// The manifest, its entry among its subject's referrers and its tags appear in one step.
    /// A push and a deletion of the same manifest take turns.
    ///
    /// - Parameters:
    ///   - bytes: the manifest, kept and returned as it is.
    ///   - reference: the tag that shall name it, or the digest that it must have.
    ///   - contentType: its media type; nil when only the manifest itself says it.
    ///   - tags: further tags that shall name it.
    /// - Throws: `manifestTooLarge`, `manifestInvalid`, `manifestBlobUnknown`, `digestInvalid`,
    ///   `tagImmutable`.
    public func putManifest(
        _ bytes: [UInt8], as reference: ManifestReference, contentType: String?,
        tags: [Tag] = []
    ) async throws(RegistryError) -> ManifestReceipt {
        let document = try ManifestDocument(bytes, contentType: contentType)
        let digest = try Self.digest(of: bytes, named: reference)
        var tags = tags
        if case .tag(let tag) = reference { tags.insert(tag, at: 0) }
        guard tags.count <= Self.tagCountMax else {
            throw RegistryError(.tagInvalid, "A push sets at most \(Self.tagCountMax) tags.")
        }
        let references = try await references(of: document)
        return try await locks.withLock(lockKey(digest)) { () throws(RegistryError) in
            try await store(bytes, digest, document, references, tags)
            return ManifestReceipt(
                digest: digest, subject: document.subject?.digest, tags: tags)
        }
    }

    /// Describes a manifest.
    ///
    /// - Throws: `manifestUnknown`.
    public func statManifest(
        _ reference: ManifestReference
    ) async throws(RegistryError) -> ManifestDescription {
        let digest = try await resolve(reference)
        let key = try await key(digest)
        do throws(StoreError) {
            return Self.describe(try await bucket.headObject(key), digest)
        } catch {
            throw RegistryError(store: error)
        }
    }

    /// Reads a manifest, byte for byte as it was pushed.
    ///
    /// - Throws: `manifestUnknown`.
    public func manifest(
        _ reference: ManifestReference
    ) async throws(RegistryError) -> (ManifestDescription, [UInt8]) {
        let digest = try await resolve(reference)
        let key = try await key(digest)
        do throws(StoreError) {
            let (object, blob) = try await bucket.openObject(key)
            let bytes = try await blob.readAll(upTo: Self.manifestByteCountMax)
            return (Self.describe(object, digest), bytes)
        } catch {
            throw RegistryError(store: error)
        }
    }

    /// Deletes a manifest, its tags and its entry among its subject's referrers, all or nothing.
    ///
    /// Of more than ``deletedTagCountMax`` tags some go before: a crash never leaves a tag without
    /// its manifest. A tag that is moved to another manifest meanwhile stays.
    ///
    /// - Throws: `manifestUnknown`, `locked` (the manifest or a tag is).
    public func deleteManifest(_ digest: Digest) async throws(RegistryError) {
        try await locks.withLock(lockKey(digest)) { () throws(RegistryError) in
            let key = try await key(digest)
            let object: ObjectDescription
            do throws(StoreError) {
                object = try await bucket.headObject(key)
            } catch {
                throw RegistryError(store: error)
            }
            var untagged = ObjectBatch()
            if let subject = object.metadata[MetadataName.subject] {
                let subject = try Digest(registry: subject)
                untagged.delete(try await referrerKey(subject: subject, digest))
            }
            untagged.delete(key)
            for _ in 0..<Self.tagAttemptCountMax {
                if try await deleteTags(of: digest, together: untagged) { return }
            }
            throw RegistryError(.unavailable, "Too many pushes set tags of the manifest at once.")
        }
    }

    /// Tags of a manifest that are deleted in one transaction with it.
    static let deletedTagCountMax = 900

    // False when a tag was written meanwhile.
    private func deleteTags(
        of digest: Digest, together untagged: ObjectBatch
    ) async throws(RegistryError) -> Bool {
        while true {
            let tags = try await tags(naming: digest, limit: Self.deletedTagCountMax + 1)
            let isLast = tags.count <= Self.deletedTagCountMax
            var batch = isLast ? untagged : ObjectBatch()
            for tag in tags.prefix(Self.deletedTagCountMax) {
                batch.delete(tag.key, if: .ifMatch(tag.etag))
            }
            do throws(BatchError) { try await bucket.commit(batch) } catch {
                guard error.code == .preconditionFailed else {
                    throw RegistryError(store: error.error)
                }
                return false
            }
            if isLast { return true }
        }
    }

    // MARK: -

    /// On disk: never rename.
    enum MetadataName {
        static let digest = "digest"
        static let subject = "subject"
        static let artifactType = "artifact-type"
    }

    func key(_ digest: Digest) async throws(RegistryError) -> String {
        "manifests/" + (try await privateName(of: digest))
    }

    func privateName(of digest: Digest) async throws(RegistryError) -> String {
        do throws(StoreError) { return try await bucket.privateName(of: digest) } catch {
            throw RegistryError(store: error)
        }
    }

    private func lockKey(_ digest: Digest) -> String { id + "/" + digest.description }

    private func resolve(_ reference: ManifestReference) async throws(RegistryError) -> Digest {
        switch reference {
        case .digest(let digest): return digest
        case .tag(let tag): return try await digest(of: tag)
        }
    }

    private static func describe(
        _ object: ObjectDescription, _ digest: Digest
    ) -> ManifestDescription {
        ManifestDescription(
            digest: digest, mediaType: object.contentType, byteCount: object.byteCount)
    }

    private static func digest(
        of bytes: [UInt8], named reference: ManifestReference
    ) throws(RegistryError) -> Digest {
        guard case .digest(let claimed) = reference else { return .sha256(of: bytes.span) }
        let digest: Digest =
            switch claimed.algorithm {
            case .sha256: .sha256(of: bytes.span)
            case .sha512: .sha512(of: bytes.span)
            }
        guard digest == claimed else {
            throw RegistryError(.digestInvalid, "The manifest does not have the digest given.")
        }
        return digest
    }

    /// The blobs that the manifest keeps alive, each checked once, however often it is named.
    private func references(
        of document: ManifestDocument
    ) async throws(RegistryError) -> [Digest] {
        var references: [Digest] = []
        var byteCounts: [Digest: UInt64] = [:]
        for descriptor in document.blobs + document.children {
            if let byteCount = byteCounts.updateValue(
                descriptor.byteCount, forKey: descriptor.digest)
            {
                guard byteCount == descriptor.byteCount else { throw Self.wrongSize }
                continue
            }
            guard byteCounts.count <= ObjectDescription.referenceCountMax else {
                throw RegistryError(
                    .manifestInvalid,
                    "A manifest names at most \(ObjectDescription.referenceCountMax) digests.")
            }
            // An index may list blobs too: the cache that BuildKit exports lists layers.
            let isChild =
                document.mediaType.isIndex
                && ManifestMediaType(rawValue: descriptor.mediaType) != nil
            if let body = try await check(descriptor, isChild: isChild) { references.append(body) }
        }
        return references
    }

    /// Checks that what a descriptor names is here; nil when it need not be.
    private func check(
        _ descriptor: Descriptor, isChild: Bool
    ) async throws(RegistryError) -> Digest? {
        let key = isChild ? try await key(descriptor.digest) : ""
        do throws(StoreError) {
            let (body, byteCount): (Digest, UInt64)
            if isChild {
                let object = try await bucket.headObject(key)
                (body, byteCount) = (object.digest, object.byteCount)
            } else {
                let blob = try await bucket.stat(descriptor.digest)
                (body, byteCount) = (descriptor.digest, blob.byteCount)
            }
            guard byteCount == descriptor.byteCount else { throw StoreError(.invalidArgument, "") }
            return body
        } catch {
            switch error.code {
            case .invalidArgument: throw Self.wrongSize
            case .blobUnknown, .objectUnknown:
                let isElsewhere =
                    descriptor.hasURLs
                    && ManifestMediaType.isNonDistributable(descriptor.mediaType)
                if isElsewhere, !isChild { return nil }
                throw RegistryError(
                    .manifestBlobUnknown,
                    "The repository does not have \(descriptor.digest), which the manifest names.",
                    cause: error)
            default: throw RegistryError(store: error)
            }
        }
    }

    private static var wrongSize: RegistryError {
        RegistryError(
            .manifestInvalid, "A descriptor's 'size' is not the size of what its 'digest' names.")
    }

    /// How often tags are read and written again when others write them too.
    private static let tagAttemptCountMax = 16

    private func store(
        _ bytes: [UInt8], _ digest: Digest, _ document: ManifestDocument, _ references: [Digest],
        _ tags: [Tag]
    ) async throws(RegistryError) {
        var metadata = [MetadataName.digest: digest.description]
        if let subject = document.subject {
            metadata[MetadataName.subject] = subject.digest.description
        }
        // What objects refer to is the body, whatever digest the manifest is known by.
        let body = Digest.sha256(of: bytes.span)
        var untagged = ObjectBatch()
        untagged.put(
            try await key(digest), bytes.span,
            attributes: ObjectAttributes(
                contentType: document.mediaType.rawValue, metadata: metadata),
            references: references)
        if let subject = document.subject?.digest {
            let referrer = Referrer(digest, document, byteCount: bytes.count)
            untagged.put(
                try await referrerKey(subject: subject, digest), referrer.descriptor.span,
                attributes: referrer.attributes, references: [body])
        }
        for _ in 0..<Self.tagAttemptCountMax {
            var batch = untagged
            for tag in Set(tags) {
                try await add(tag, digest: digest, body: body, to: &batch)
            }
            do throws(BatchError) {
                try await bucket.commit(batch)
                return
            } catch {
                switch error.code {
                // Only tags have conditions: somebody else wrote one meanwhile.
                case .preconditionFailed: continue
                case .blobUnknown:
                    throw RegistryError(
                        .manifestBlobUnknown,
                        "A blob that the manifest names was deleted meanwhile.",
                        cause: error.error)
                default: throw RegistryError(store: error.error)
                }
            }
        }
        throw RegistryError(.unavailable, "Too many pushes set the same tag at once.")
    }
}
