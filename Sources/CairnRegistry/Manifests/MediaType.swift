// Part of Cairn, a content-addressed blob store.

/// A media type of a manifest that the registry understands.
package enum ManifestMediaType: String, CaseIterable, Sendable {
    case ociManifest = "application/vnd.oci.image.manifest.v1+json"
    case ociIndex = "application/vnd.oci.image.index.v1+json"
    case dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    case dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

    /// Whether it lists manifests rather than layers.
    package var isIndex: Bool { self == .ociIndex || self == .dockerList }

    /// The type of an HTTP field's value: parameters do not count, nor does case (RFC 9110 8.3.1).
    package static func essence(of contentType: String) -> String {
        let end = contentType.firstIndex(of: ";") ?? contentType.endIndex
        return contentType[..<end].lowercased().split(whereSeparator: { $0 == " " || $0 == "\t" })
            .joined(separator: " ")
    }

    /// Whether a layer of this type may be absent: its bytes must not be distributed (OCI
    /// image-spec, "Non-Distributable Layers").
    package static func isNonDistributable(_ mediaType: String) -> Bool {
        mediaType.hasPrefix("application/vnd.oci.image.layer.nondistributable.")
            || mediaType.hasPrefix("application/vnd.docker.image.rootfs.foreign.")
    }
}
