// Part of Cairn, a content-addressed blob store.

import AsyncHTTPClient
import Cairn
import CairnCore
import CairnExamples
import CairnTestSupport
import CairnTesting
import Foundation
import Hummingbird
import NIOCore
import NIOHTTP1
import Testing

@Suite struct TinyRegistryTests {
    /// A registry that listens, for as long as `body` runs.
    private static func withRegistry(
        _ store: Store, _ body: @escaping @Sendable (Client) async throws -> Void
    ) async throws {
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        let application = Application(
            responder: TinyRegistry(store.defaultAccount),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            group.addTask {
                for await port in ports {
                    try await body(Client(port: port))
                    break
                }
            }
            try await group.next()
            group.cancelAll()
            do { try await group.waitForAll() } catch is CancellationError {}
        }
    }

    private struct Client: Sendable {
        let port: Int

        func send(
            _ method: String, _ path: String, _ body: [UInt8]? = nil, type: String? = nil
        ) async throws -> (status: Int, headers: [String: String], body: [UInt8]) {
            let url = path.hasPrefix("http") ? path : "http://127.0.0.1:\(port)\(path)"
            var request = HTTPClientRequest(url: url)
            request.method = .init(rawValue: method)
            if let type { request.headers.add(name: "Content-Type", value: type) }
            if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(300))
            let bytes = [UInt8](buffer: try await response.body.collect(upTo: 64 << 20))
            let headers = response.headers.map { ($0.name.lowercased(), $0.value) }
            return (
                Int(response.status.code),
                Dictionary(headers, uniquingKeysWith: { one, _ in one }), bytes
            )
        }

        func push(_ name: String, _ bytes: [UInt8]) async throws -> Digest {
            let digest = Digest.sha256(of: bytes.span)
            let begun = try await send("POST", "/v2/\(name)/blobs/uploads/")
            #expect(begun.status == 202)
            let location = try #require(begun.headers["location"])
            let half = bytes.count / 2
            let patched = try await send("PATCH", location, Array(bytes[..<half]))
            #expect(patched.status == 202)
            #expect(patched.headers["range"] == "0-\(max(half, 1) - 1)")
            let put = try await send("PUT", "\(location)?digest=\(digest)", Array(bytes[half...]))
            #expect(put.status == 201 && put.headers["docker-content-digest"] == "\(digest)")
            return digest
        }
    }

    @Test func `an image is pushed, pulled, listed, mounted and deleted`() async throws {
        let store = try await InMemoryStore().open()
        try await Self.withRegistry(store) { client in
            #expect(try await client.send("GET", "/v2/").status == 200)
            let layer = TestData.random(3_000_000, seed: 1)
            let config = Array("{}".utf8)
            let layerDigest = try await client.push("library/alpine", layer)
            let configDigest = try await client.push("library/alpine", config)
            let type = "application/vnd.oci.image.manifest.v1+json"
            let manifest = Array(
                """
                {"schemaVersion":2,"mediaType":"\(type)","config":{"digest":"\(configDigest)"},
                "layers":[{"digest":"\(layerDigest)"}]}
                """.utf8)
            let put = try await client.send(
                "PUT", "/v2/library/alpine/manifests/v1", manifest, type: type)
            #expect(put.status == 201)
            let digest = Digest.sha256(of: manifest.span)
            // A tag may be called as a part of a path.
            let named = try await client.send(
                "PUT", "/v2/library/alpine/manifests/uploads", manifest, type: type)
            #expect(named.status == 201)
            let uploads = "/v2/library/alpine/manifests/uploads"
            #expect(try await client.send("DELETE", uploads).status == 202)
            for reference in ["v1", digest.description] {
                let found = try await client.send(
                    "GET", "/v2/library/alpine/manifests/\(reference)")
                #expect(found.status == 200 && found.body == manifest)
                #expect(found.headers["content-type"] == type)
                #expect(found.headers["docker-content-digest"] == digest.description)
            }
            let pulled = try await client.send("GET", "/v2/library/alpine/blobs/\(layerDigest)")
            #expect(Contents(pulled.body).digest == layerDigest)
            let head = try await client.send("HEAD", "/v2/library/alpine/blobs/\(layerDigest)")
            #expect(head.status == 200 && head.headers["content-length"] == "3000000")
            let tags = try await client.send("GET", "/v2/library/alpine/tags/list")
            #expect(String(decoding: tags.body, as: UTF8.self).contains(#""tags":["v1"]"#))
            let mounted = try await client.send(
                "POST",
                "/v2/library/copy/blobs/uploads/?mount=\(layerDigest)&from=library/alpine")
            #expect(mounted.status == 201)
            // What a manifest names stays.
            let refused = try await client.send(
                "DELETE", "/v2/library/alpine/blobs/\(layerDigest)")
            #expect(refused.status == 405)
            for reference in ["v1", digest.description] {
                let path = "/v2/library/alpine/manifests/\(reference)"
                #expect(try await client.send("DELETE", path).status == 202)
                #expect(try await client.send("GET", path).status == 404)
            }
            let deleted = try await client.send(
                "DELETE", "/v2/library/alpine/blobs/\(layerDigest)")
            #expect(deleted.status == 202)
        }
        #expect(try await store.verify(.full).isSound)
        try await store.close()
    }

    @Test func `what is wrong is answered with a code of the specification`() async throws {
        let store = try await InMemoryStore().open()
        try await Self.withRegistry(store) { client in
            _ = try await client.push("some/name", [1, 2, 3])
            let missing = Digest.sha256(of: [7].span)
            let cases: [(String, String, [UInt8]?, Int, String)] = [
                ("GET", "/v2/none/such/blobs/\(missing)", nil, 404, "NAME_UNKNOWN"),
                ("GET", "/v2/some/name/blobs/\(missing)", nil, 404, "BLOB_UNKNOWN"),
                ("GET", "/v2/some/name/blobs/sha256:zz", nil, 400, "DIGEST_INVALID"),
                ("GET", "/v2/some/name/manifests/none", nil, 404, "MANIFEST_UNKNOWN"),
                ("POST", "/v2/Some/name/blobs/uploads/", nil, 400, "NAME_INVALID"),
                ("PATCH", "/v2/some/name/blobs/uploads/none", [1], 404, "BLOB_UPLOAD_UNKNOWN"),
                (
                    "PUT", "/v2/some/name/manifests/v1",
                    Array(#"{"layers":[{"digest":"\#(missing)"}]}"#.utf8), 404, "BLOB_UNKNOWN"
                ),
                (
                    "PUT", "/v2/some/name/manifests/\(missing)", Array("{}".utf8), 400,
                    "DIGEST_INVALID"
                ),
                (
                    "PUT", "/v2/some/name/manifests/v1", Array("no JSON".utf8), 400,
                    "MANIFEST_INVALID"
                ),
                ("PATCH", "/v2/some/name/blobs/x", nil, 405, ""),
            ]
            for (method, path, body, status, code) in cases {
                let answer = try await client.send(method, path, body)
                #expect(answer.status == status, "\(method) \(path)")
                let text = String(decoding: answer.body, as: UTF8.self)
                #expect(code.isEmpty || text.contains(code), "\(method) \(path)")
            }
            let begun = try await client.send("POST", "/v2/some/name/blobs/uploads/")
            let location = try #require(begun.headers["location"])
            let wrong = try await client.send("PUT", "\(location)?digest=\(missing)", [1])
            #expect(wrong.status == 400)
        }
        try await store.close()
    }

    // MARK: - The guide

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func lines(_ path: String) throws -> [String] {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }

    @Test func `the registry has as many lines as its guide says`() throws {
        let code = try Self.lines("Sources/CairnExamples/TinyRegistry.swift").filter {
            !$0.isEmpty && !$0.hasPrefix("//")
        }
        #expect(code.count <= 200)
    }

    @Test func `every line of code in the guide is in the registry or in its tool`() throws {
        let sources = try Set(
            Self.lines("Sources/CairnExamples/TinyRegistry.swift")
                + Self.lines("Tools/tiny-registry/main.swift"))
        var isCode = false
        var count = 0
        for line in try Self.lines("Sources/Cairn/Cairn.docc/Guides/TinyRegistry.md") {
            if line.hasPrefix("```") {
                isCode = line == "```swift"
            } else if isCode {
                count += 1
                #expect(sources.contains(line), "\(line)")
            }
        }
        #expect(count > 50)
    }
}

/// Compared by digest: of long arrays that differ an expectation would compute all differences.
private struct Contents {
    let digest: Digest
    init(_ bytes: [UInt8]) { digest = Digest.sha256(of: bytes.span) }
}
