// Part of Cairn, a content-addressed blob store.
internal import Cairn
public import CairnCore

/// One page of the manifests that name another one as their subject.
public struct ReferrerPage: Hashable, Sendable {
    /// An image index of their descriptors, as JSON.
    public var document: [UInt8]
    /// Where the next page starts; nil on the last page.
    public var next: Digest?
}

extension Repository {
    /// The media type of a page of referrers.
    public static let referrersMediaType = ManifestMediaType.ociIndex.rawValue
    /// A page's descriptors together: clients read an index of at most 4 MiB.
    private static let referrersByteCountMax = 4 << 20

    /// The manifests whose subject is `subject`, which need not exist.
    ///
    /// - Parameters:
    ///   - artifactType: only those of this type; nil for all.
    ///   - last: the last one already seen; nil starts at the beginning.
    public func referrers(
        of subject: Digest, artifactType: String? = nil, after last: Digest? = nil
    ) async throws(RegistryError) -> ReferrerPage {
        let prefix = try await referrerPrefix(subject: subject)
        var after: String?
        if let last { after = prefix + (try await privateName(of: last)) }
        var collected = Collected()
        while true {
            let page: ObjectPage
            do throws(StoreError) {
                page = try await bucket.objects(
                    prefix: prefix, after: after, limit: Registry.pageCountMax)
            } catch {
                throw RegistryError(store: error)
            }
            for object in page.objects where Self.mayBe(object, of: artifactType) {
                guard let bytes = try await descriptor(object, of: artifactType) else { continue }
                let isFull = collected.bytes.count + bytes.count > Self.referrersByteCountMax
                if isFull, let next = collected.last { return collected.page(next: next) }
                collected.append(
                    bytes, try Digest(registry: object.metadata[MetadataName.digest] ?? ""))
            }
            guard page.isTruncated, let end = page.objects.last?.key else {
                return collected.page(next: nil)
            }
            after = end
        }
    }

    // MARK: -

    /// The page being put together.
    private struct Collected {
        var bytes: [UInt8] = []
        var last: Digest?

        mutating func append(_ descriptor: [UInt8], _ digest: Digest) {
            if last != nil { bytes.append(UInt8(ascii: ",")) }
            bytes += descriptor
            last = digest
        }

        func page(next: Digest?) -> ReferrerPage {
            let head =
                #"{"schemaVersion":2,"mediaType":"\#(Repository.referrersMediaType)","manifests":["#
            return ReferrerPage(document: Array(head.utf8) + bytes + Array("]}".utf8), next: next)
        }
    }

    func referrerPrefix(subject: Digest) async throws(RegistryError) -> String {
        "referrers/" + (try await privateName(of: subject)) + "/"
    }

    func referrerKey(subject: Digest, _ digest: Digest) async throws(RegistryError) -> String {
        try await referrerPrefix(subject: subject) + privateName(of: digest)
    }

    /// Whether the descriptor is worth reading.
    private static func mayBe(_ object: ObjectDescription, of artifactType: String?) -> Bool {
        guard let artifactType else { return true }
        return object.metadata[MetadataName.artifactType].map { $0 == artifactType }
            ?? !Referrer.isIndexed(artifactType)
    }

    /// A referrer's descriptor; nil when it is of another type or was deleted meanwhile.
    private func descriptor(
        _ object: ObjectDescription, of artifactType: String?
    ) async throws(RegistryError) -> [UInt8]? {
        let bytes: [UInt8]
        do throws(StoreError) {
            let (_, blob) = try await bucket.openObject(object.key)
            // A descriptor repeats the annotations of a manifest, each byte of which takes up to
            // six when it is escaped.
            bytes = try await blob.readAll(upTo: 6 * Self.manifestByteCountMax)
        } catch {
            guard error.code == .objectUnknown || error.code == .blobUnknown else {
                throw RegistryError(store: error)
            }
            return nil
        }
        guard let artifactType, object.metadata[MetadataName.artifactType] == nil else {
            return bytes
        }
        guard case .object(let members)? = try? JSONParser.parse(bytes) else { return nil }
        return members["artifactType"]?.string == artifactType ? bytes : nil
    }
}

/// How a manifest is listed among the referrers of its subject.
struct Referrer {
    /// Metadata of an object is small; a longer artifact type is read from the descriptor.
    private static let artifactTypeByteCountMax = 255

    /// The descriptor, as the list has it.
    let descriptor: [UInt8]
    let attributes: ObjectAttributes

    init(_ digest: Digest, _ document: ManifestDocument, byteCount: Int) {
        var members: [String: JSONValue] = [
            "mediaType": .string(document.mediaType.rawValue),
            "digest": .string(digest.description), "size": .number(String(byteCount)),
        ]
        var metadata = [Repository.MetadataName.digest: digest.description]
        if let artifactType = document.artifactType {
            members["artifactType"] = .string(artifactType)
            if Self.isIndexed(artifactType) {
                metadata[Repository.MetadataName.artifactType] = artifactType
            }
        }
        if !document.annotations.isEmpty { members["annotations"] = .object(document.annotations) }
        descriptor = JSONValue.object(members).encoded
        attributes = ObjectAttributes(
            contentType: "application/vnd.oci.descriptor.v1+json", metadata: metadata)
    }

    /// Whether the metadata tells the type: it is short and has no control characters.
    static func isIndexed(_ artifactType: String) -> Bool {
        artifactType.utf8.count <= artifactTypeByteCountMax
            && artifactType.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
