// Part of Cairn, a content-addressed blob store.

/// A manifest as far as the registry reads it, checked for everything that needs no store.
///
/// The registry keeps and returns the bytes that were pushed; this is only what they say.
package struct ManifestDocument: Hashable, Sendable {
    /// OCI distribution-spec, "Pushing Manifests": registries SHOULD take at least 4 MiB.
    package static let byteCountMax = 4 << 20
    /// All descriptors of a manifest together, also those that repeat a digest. Far above any
    /// real image, and it bounds the look-ups that one push can cause.
    package static let descriptorCountMax = 16_384

    package let mediaType: ManifestMediaType
    /// The config and the layers, in order.
    package let blobs: [Descriptor]
    /// The manifests that an index lists.
    package let children: [Descriptor]
    package let subject: Descriptor?
    /// What kind of artifact this is, for the list of referrers.
    package let artifactType: String?
    package let annotations: [String: JSONValue]
}

extension ManifestDocument {
    private static let names = [
        "schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType",
        "annotations", "fsLayers", "blobs",
    ]

    /// Reads a manifest.
    ///
    /// - Parameter contentType: what the client says the bytes are.
    /// - Throws: `manifestTooLarge`, `manifestInvalid`.
    package init(_ bytes: [UInt8], contentType: String?) throws(RegistryError) {
        guard bytes.count <= Self.byteCountMax else {
            throw RegistryError(
                .manifestTooLarge, "A manifest has at most \(Self.byteCountMax) bytes.")
        }
        let value: JSONValue
        do throws(JSONParser.Failure) { value = try JSONParser.parse(bytes) } catch {
            throw RegistryError(.manifestInvalid, "The manifest is not JSON: \(error).")
        }
        let fields = try ManifestFields(value, field: "", names: Self.names)
        guard case .number("2") = fields.value("schemaVersion") else {
            throw fields.invalid("schemaVersion", "must be 2")
        }
        mediaType = try Self.mediaType(fields, contentType: contentType)
        (blobs, children) = try Self.references(fields, mediaType)
        subject = try fields.value("subject").map { value throws(RegistryError) in
            try Descriptor(value, field: "subject")
        }
        annotations = try fields.annotations()
        artifactType = try Self.artifactType(fields, mediaType, config: blobs.first)
    }

    // MARK: -

    private static func mediaType(
        _ fields: ManifestFields, contentType: String?
    ) throws(RegistryError) -> ManifestMediaType {
        let stated = try fields.string("mediaType")
        let announced = contentType.map { ManifestMediaType.essence(of: $0) }
        guard let name = announced ?? stated else {
            throw fields.invalid("mediaType", "is missing, and so is the Content-Type")
        }
        guard stated == nil || stated == name else {
            throw fields.invalid("mediaType", "differs from the Content-Type")
        }
        guard let mediaType = ManifestMediaType(rawValue: name) else {
            throw fields.invalid("mediaType", "is not one that this registry takes")
        }
        return mediaType
    }

    /// The descriptors; a document that could be read as another kind too is refused
    /// (OCI image-spec, CVE-2021-41190).
    private static func references(
        _ fields: ManifestFields, _ mediaType: ManifestMediaType
    ) throws(RegistryError) -> (blobs: [Descriptor], children: [Descriptor]) {
        let foreign =
            mediaType.isIndex
            ? ["config", "layers", "fsLayers", "blobs"] : ["manifests", "fsLayers", "blobs"]
        for name in foreign where fields.contains(name) {
            throw fields.invalid(name, "does not belong into this media type")
        }
        let listName = mediaType.isIndex ? "manifests" : "layers"
        guard let list = try fields.array(listName) else {
            throw fields.invalid(listName, "is missing")
        }
        guard list.count < descriptorCountMax else {
            throw fields.invalid(listName, "has more than \(descriptorCountMax - 1) entries")
        }
        var descriptors: [Descriptor] = []
        for (position, value) in list.enumerated() {
            descriptors.append(try Descriptor(value, field: "\(listName)[\(position)]"))
        }
        if mediaType.isIndex { return ([], descriptors) }
        guard let config = fields.value("config") else {
            throw fields.invalid("config", "is missing")
        }
        return ([try Descriptor(config, field: "config")] + descriptors, [])
    }

    /// OCI distribution-spec, "Listing Referrers": the manifest's own type, else its config's.
    private static func artifactType(
        _ fields: ManifestFields, _ mediaType: ManifestMediaType, config: Descriptor?
    ) throws(RegistryError) -> String? {
        if let stated = try fields.string("artifactType"), !stated.isEmpty { return stated }
        return mediaType.isIndex ? nil : config?.mediaType
    }
}
