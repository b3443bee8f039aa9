// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CairnCore

extension Repository {
    /// The tags of the repository in order of their bytes.
    ///
    /// - Parameters:
    ///   - last: the last tag already seen, which need not exist; nil starts at the beginning.
    ///   - limit: 0 to ``Registry/pageCountMax``.
    public func tags(after last: String?, limit: Int) async throws(RegistryError) -> NamePage {
        guard limit > 0 else { return NamePage(names: [], isTruncated: false) }
        do throws(StoreError) {
            let page = try await bucket.objects(
                prefix: Self.tagPrefix, after: last.map { Self.tagPrefix + $0 },
                limit: min(limit, Registry.pageCountMax))
            return NamePage(
                names: page.objects.map { String($0.key.dropFirst(Self.tagPrefix.count)) },
                isTruncated: page.isTruncated)
        } catch {
            throw RegistryError(store: error)
        }
    }

    /// Deletes a tag; the manifest that it names stays.
    ///
    /// - Throws: `manifestUnknown`.
    public func deleteTag(_ tag: Tag) async throws(RegistryError) {
        do throws(StoreError) { try await bucket.deleteObject(Self.key(tag)) } catch {
            throw RegistryError(store: error)
        }
    }

    // MARK: -

    static let tagPrefix = "tags/"
    static func key(_ tag: Tag) -> String { tagPrefix + tag.description }

    /// The digest of the manifest that a tag names.
    func digest(of tag: Tag) async throws(RegistryError) -> Digest {
        guard let object = try await head(tag) else {
            throw RegistryError(.manifestUnknown, "The repository has no such tag.")
        }
        guard let text = object.metadata[MetadataName.digest] else {
            throw RegistryError(.unavailable, "The tag does not name a manifest.")
        }
        return try Digest(registry: text)
    }

    /// Lets a tag name a manifest, on condition that it is still what it is now: of two pushes to
    /// an immutable tag exactly one succeeds. One that names the manifest already is not written.
    func add(
        _ tag: Tag, digest: Digest, body: Digest, to batch: inout ObjectBatch
    ) async throws(RegistryError) {
        let old = try await head(tag)
        if let old, old.metadata[MetadataName.digest] == digest.description {
            return batch.require(Self.key(tag), .ifMatch(old.etag))
        }
        guard old == nil || !configuration.tagsAreImmutable else {
            throw RegistryError(.tagImmutable, "The tag exists and names another manifest.")
        }
        batch.put(
            Self.key(tag), Array(digest.description.utf8).span,
            attributes: ObjectAttributes(
                contentType: "text/plain", metadata: [MetadataName.digest: digest.description]),
            references: [body], if: old.map { .ifMatch($0.etag) } ?? .ifNoneMatch)
    }

    private func head(_ tag: Tag) async throws(RegistryError) -> ObjectDescription? {
        do throws(StoreError) { return try await bucket.headObject(Self.key(tag)) } catch {
            guard error.code == .objectUnknown else { throw RegistryError(store: error) }
            return nil
        }
    }

    /// The objects of tags that name a manifest, so many of them at most.
    func tags(
        naming digest: Digest, limit: Int
    ) async throws(RegistryError) -> [ObjectDescription] {
        var found: [ObjectDescription] = []
        var last: String?
        while true {
            let page: ObjectPage
            do throws(StoreError) {
                page = try await bucket.objects(
                    prefix: Self.tagPrefix, after: last, limit: Registry.pageCountMax)
            } catch {
                throw RegistryError(store: error)
            }
            found += page.objects.filter {
                $0.metadata[MetadataName.digest] == digest.description
            }
            guard found.count < limit, page.isTruncated, let end = page.objects.last?.key else {
                return Array(found.prefix(limit))
            }
            last = end
        }
    }
}
