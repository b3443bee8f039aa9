// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnRegistry
import CairnServer
import CairnTestSupport
import Foundation
import Testing

@Suite(.timeLimit(.minutes(15))) struct ManifestRouteTests {
    @Test func `a manifest comes back byte for byte, by tag and by digest`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            // Spaces, order and escapes are the client's own.
            let bytes = Array(
                """
                 {\t"layers" : [ \(parts.layer) ],
                  "annotations":{"b":"\\u00e9","a":"é","":"\\ud83d\\ude00"},
                  "config":\(parts.config), "schemaVersion":2 }\n\n
                """.utf8)
            let digest = Digest.sha256(of: bytes.span)
            let put = try await kit.putManifest(bytes, "v1")
            #expect(put.status == 201)
            #expect(put.header("Location") == "/v2/library/test/manifests/\(digest)")
            #expect(put.header("Docker-Content-Digest") == "\(digest)")
            for reference in ["v1", "\(digest)"] {
                let path = "/v2/library/test/manifests/\(reference)"
                let reply = try await kit.send(.GET, path)
                #expect(reply.status == 200)
                #expect(reply.body == bytes)
                #expect(reply.header("Content-Type") == ManifestKit.manifestType)
                #expect(reply.header("Docker-Content-Digest") == "\(digest)")
                let head = try await kit.send(.HEAD, path)
                #expect(head.status == 200)
                #expect(head.header("Content-Length") == "\(bytes.count)")
                #expect(head.body.isEmpty)
            }
        }
    }

    @Test func `a manifest is pushed by its digest, with further tags`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let bytes = ManifestKit.image(config: parts.config, layers: [parts.layer])
            for digest in [Digest.sha256(of: bytes.span), Digest.sha512(of: bytes.span)] {
                let put = try await kit.putManifest(bytes, "\(digest)?tag=a&tag=b")
                #expect(put.status == 201)
                #expect(put.all("OCI-Tag") == ["a", "b"])
                let path = "/v2/library/test/manifests/"
                #expect(try await kit.send(.GET, path + "\(digest)").body == bytes)
                let byTag = try await kit.send(.GET, path + "b")
                #expect(byTag.header("Docker-Content-Digest") == "\(digest)")
            }
            let wrong = Digest.sha256(of: [1].span)
            let reply = try await kit.putManifest(bytes, "\(wrong)")
            #expect(reply.status == 400)
            #expect(reply.code == "DIGEST_INVALID")
        }
    }

    @Test func `an index needs the manifests that it lists`() async throws {
        try await ServerKit.run { kit in
            let image = try await kit.pushImage("child")
            let digest = Digest.sha256(of: image.span)
            let child = ManifestKit.descriptor(ManifestKit.manifestType, digest, image.count)
            let missing = ManifestKit.descriptor(
                ManifestKit.manifestType, Digest.sha256(of: [1].span), 1)
            // A blob that is there but no manifest.
            let layer = ManifestKit.descriptor(
                ManifestKit.manifestType, Digest.sha256(of: Array("a layer".utf8).span), 7)
            let index = try await kit.putManifest(
                ManifestKit.index([child]), "v1", type: ManifestKit.indexType)
            #expect(index.status == 201)
            for bad in [missing, layer] {
                let reply = try await kit.putManifest(
                    ManifestKit.index([child, bad]), "v2", type: ManifestKit.indexType)
                #expect(reply.status == 404)
                #expect(reply.code == "MANIFEST_BLOB_UNKNOWN")
            }
        }
    }

    @Test func `an index may list blobs, as a build cache does`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let cache = parts.config.replacing(
                ManifestKit.configType, with: "application/vnd.buildkit.cacheconfig.v0")
            let index = ManifestKit.index([parts.layer, cache])
            let reply = try await kit.putManifest(index, "cache", type: ManifestKit.indexType)
            #expect(reply.status == 201)
            let missing = ManifestKit.descriptor(
                ManifestKit.layerType, Digest.sha256(of: [9].span), 1)
            let refused = try await kit.putManifest(
                ManifestKit.index([missing]), "none", type: ManifestKit.indexType)
            #expect(refused.code == "MANIFEST_BLOB_UNKNOWN")
            let layer = Digest.sha256(of: Array("a layer".utf8).span)
            let kept = try await kit.send(.DELETE, "/v2/library/test/blobs/\(layer)")
            #expect(kept.status == 405)
        }
    }

    @Test func `a copy of the files does not tell which manifests there are`() async throws {
        let directory = try TemporaryDirectory()
        let subject = Digest.sha256(of: [1].span)
        let digest = try await ServerKit.run(in: directory) { kit in
            let extra = #","subject":{"mediaType":"a/b","digest":"\#(subject)","size":1}"#
            let bytes = try await kit.pushImage("v1", extra: extra)
            return Digest.sha256(of: bytes.span)
        }
        let path = directory.path("store")
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            let data = FileManager.default.contents(atPath: path + "/" + name) ?? Data()
            for secret in [digest, subject] {
                #expect(data.range(of: Data(secret.hex.utf8)) == nil, "\(name)")
                #expect(data.range(of: Data(secret.bytes)) == nil, "\(name)")
            }
        }
    }

    @Test func `a manifest needs its blobs in its own repository`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts(to: "library/other")
            let bytes = ManifestKit.image(config: parts.config, layers: [parts.layer])
            let reply = try await kit.putManifest(bytes, "v1")
            #expect(reply.status == 404)
            #expect(reply.code == "MANIFEST_BLOB_UNKNOWN")
            #expect(try await kit.send(.GET, "/v2/library/test/manifests/v1").status == 404)
        }
    }

    @Test func `a layer that must not be distributed may be absent`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let absent = Digest.sha256(of: [5].span)
            let type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            let urls = #","urls":["https://example.org/layer"]"#
            let foreign = ManifestKit.descriptor(type, absent, 1, extra: urls)
            let taken = try await kit.putManifest(
                ManifestKit.image(config: parts.config, layers: [foreign]), "v1")
            #expect(taken.status == 201)
            let plain = ManifestKit.descriptor(ManifestKit.layerType, absent, 1, extra: urls)
            let refused = try await kit.putManifest(
                ManifestKit.image(config: parts.config, layers: [plain]), "v2")
            #expect(refused.status == 404)
        }
    }

    @Test func `ten thousand descriptors with one digest are one reference`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let layers = Array(repeating: parts.layer, count: 10_000)
            let bytes = ManifestKit.image(config: parts.config, layers: layers)
            let reply = try await kit.putManifest(bytes, "v1")
            #expect(reply.status == 201)
            let tooMany = Array(repeating: parts.layer, count: 16_384)
            let refused = try await kit.putManifest(
                ManifestKit.image(config: parts.config, layers: tooMany), "v2")
            #expect(refused.status == 400)
            #expect(refused.code == "MANIFEST_INVALID")
        }
    }

    @Test func `a tag moves, and deleting it leaves the manifest`() async throws {
        try await ServerKit.run { kit in
            let old = try await kit.pushImage("latest")
            let new = try await kit.pushImage("latest", extra: #","annotations":{"a":"b"}"#)
            let path = "/v2/library/test/manifests/"
            #expect(try await kit.send(.GET, path + "latest").body == new)
            #expect(try await kit.send(.DELETE, path + "latest").status == 202)
            let gone = try await kit.send(.GET, path + "latest")
            #expect(gone.status == 404)
            #expect(gone.code == "MANIFEST_UNKNOWN")
            #expect(try await kit.send(.DELETE, path + "latest").status == 404)
            for bytes in [old, new] {
                let digest = Digest.sha256(of: bytes.span)
                #expect(try await kit.send(.GET, path + "\(digest)").body == bytes)
            }
        }
    }

    @Test func `deleting a manifest deletes its tags and frees its blobs`() async throws {
        try await ServerKit.run { kit in
            let bytes = try await kit.pushImage("one")
            _ = try await kit.putManifest(bytes, "two")
            try await kit.pushImage("other", extra: #","annotations":{"a":"b"}"#)
            let digest = Digest.sha256(of: bytes.span)
            let path = "/v2/library/test/manifests/\(digest)"
            #expect(try await kit.send(.DELETE, path).status == 202)
            #expect(try await kit.send(.GET, path).code == "MANIFEST_UNKNOWN")
            #expect(try await kit.send(.DELETE, path).code == "MANIFEST_UNKNOWN")
            let tags = try await kit.send(.GET, "/v2/library/test/tags/list")
            #expect(tags.text == #"{"name":"library/test","tags":["other"]}"#)
            let other = try await kit.send(.GET, "/v2/library/test/manifests/other")
            let otherDigest = try #require(other.header("Docker-Content-Digest"))
            _ = try await kit.send(.DELETE, "/v2/library/test/manifests/\(otherDigest)")
            let layer = Digest.sha256(of: Array("a layer".utf8).span)
            #expect(try await kit.send(.DELETE, "/v2/library/test/blobs/\(layer)").status == 202)
        }
    }

    @Test func `many pushes of one tag leave one of their manifests`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let manifests = (0..<12).map {
                ManifestKit.image(
                    config: parts.config, layers: [parts.layer],
                    extra: #","annotations":{"n":"\#($0)"}"#)
            }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for bytes in manifests {
                    group.addTask { try await kit.putManifest(bytes, "latest").status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.allSatisfy { $0 == 201 })
            let reply = try await kit.send(.GET, "/v2/library/test/manifests/latest")
            #expect(manifests.contains(reply.body))
        }
    }

    @Test func `an immutable tag is set once`() async throws {
        try await ServerKit.run({ $0.registry.tagsAreImmutable = true }) { kit in
            let bytes = try await kit.pushImage("v1")
            #expect(try await kit.putManifest(bytes, "v1").status == 201)
            let parts = try await kit.pushParts()
            let other = ManifestKit.image(
                config: parts.config, layers: [parts.layer], extra: #","annotations":{"a":"b"}"#)
            let reply = try await kit.putManifest(other, "v1")
            #expect(reply.status == 403)
            #expect(reply.code == "DENIED")
            #expect(try await kit.send(.GET, "/v2/library/test/manifests/v1").body == bytes)
        }
    }

    @Test func `a manifest that is locked keeps its tags`() async throws {
        try await ServerKit.run { kit in
            let bytes = try await kit.pushImage("v1")
            #expect(try await kit.putManifest(bytes, "v1").status == 201)
            #expect(try await kit.putManifest(bytes, "v2").status == 201)
            let bucket = try await kit.store.defaultAccount.bucket("library/test")
            let digest = Digest.sha256(of: bytes.span)
            let key = "manifests/" + (try await bucket.privateName(of: digest))
            try await bucket.setLegalHold(true, of: key)
            let path = "/v2/library/test/manifests/\(digest)"
            let denied = try await kit.send(.DELETE, path)
            #expect(denied.status == 403 && denied.code == "DENIED")
            for tag in ["v1", "v2"] {
                #expect(
                    try await kit.send(.GET, "/v2/library/test/manifests/\(tag)").body == bytes)
            }
            try await bucket.setLegalHold(false, of: key)
            #expect(try await kit.send(.DELETE, path).status == 202)
            let tags = try await kit.send(.GET, "/v2/library/test/tags/list").body
            #expect(String(decoding: tags, as: UTF8.self).contains(#""tags":[]"#))
        }
    }

    @Test func `repositories are not made when that is switched off`() async throws {
        try await ServerKit.run({ $0.registry.createsRepositories = false }) { kit in
            let reply = try await kit.send(.POST, "/v2/library/test/blobs/uploads/")
            #expect(reply.status == 404)
            #expect(reply.code == "NAME_UNKNOWN")
        }
    }
}
