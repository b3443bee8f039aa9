// Part of Cairn, a content-addressed blob store.
import CairnCore

/// Makes manifests as text, so that tests decide over every byte.
enum ManifestKit {
    static let manifestType = "application/vnd.oci.image.manifest.v1+json"
    static let indexType = "application/vnd.oci.image.index.v1+json"
    static let configType = "application/vnd.oci.image.config.v1+json"
    static let layerType = "application/vnd.oci.image.layer.v1.tar+gzip"

    static func descriptor(
        _ type: String, _ digest: Digest, _ byteCount: Int, extra: String = ""
    ) -> String {
        #"{"mediaType":"\#(type)","digest":"\#(digest)","size":\#(byteCount)\#(extra)}"#
    }

    /// An image manifest; `extra` is further members, each after a comma.
    static func image(
        config: String, layers: [String], extra: String = ""
    ) -> [UInt8] {
        let layers = layers.joined(separator: ",")
        return Array(
            """
            {"schemaVersion":2,"mediaType":"\(manifestType)","config":\(config),\
            "layers":[\(layers)]\(extra)}
            """.utf8)
    }

    static func index(_ manifests: [String], extra: String = "") -> [UInt8] {
        Array(
            """
            {"schemaVersion":2,"mediaType":"\(indexType)",\
            "manifests":[\(manifests.joined(separator: ","))]\(extra)}
            """.utf8)
    }
}

extension ServerKit {
    /// Pushes a config and a layer; answers their descriptors.
    func pushParts(
        to repository: String = "library/test"
    ) async throws -> (config: String, layer: String) {
        let config = Array(#"{"architecture":"amd64","os":"linux"}"#.utf8)
        let layer = Array("a layer".utf8)
        return (
            ManifestKit.descriptor(
                ManifestKit.configType, try await push(config, to: repository), config.count),
            ManifestKit.descriptor(
                ManifestKit.layerType, try await push(layer, to: repository), layer.count)
        )
    }

    /// Pushes an image under a tag; answers its bytes.
    @discardableResult
    func pushImage(
        _ reference: String, to repository: String = "library/test", extra: String = ""
    ) async throws -> [UInt8] {
        let parts = try await pushParts(to: repository)
        let bytes = ManifestKit.image(config: parts.config, layers: [parts.layer], extra: extra)
        let reply = try await putManifest(bytes, reference, in: repository)
        guard reply.status == 201 else { throw Unexpected(reply: reply) }
        return bytes
    }

    func putManifest(
        _ bytes: [UInt8], _ reference: String, in repository: String = "library/test",
        type: String = ManifestKit.manifestType
    ) async throws -> Reply {
        try await send(
            .PUT, "/v2/\(repository)/manifests/\(reference)", headers: ["Content-Type": type],
            body: bytes)
    }
}
