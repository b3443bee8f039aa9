// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnServer
import NIOCore
import Testing

/// Requests that no proper client sends; each must be refused by its name, and leave nothing.
@Suite(.timeLimit(.minutes(15))) struct BadInputTests {
    private static let sha = "sha256:" + String(repeating: "a", count: 64)

    @Test(arguments: [
        "../../etc", "a//b", "A/b", "a/", "/a", "a", "a..b", "a/-b", "a/b_", "a___b", "a%00b",
        "%2e%2e%2f", "a%2Fb", "a%C0%AFb", "a%zzb", "a%", "ä", "a b%20",
        String(repeating: "a", count: 256),
    ])
    func `what is no repository name is refused`(_ name: String) async throws {
        try await ServerKit.run { kit in
            let target = name.replacing(" ", with: "%20")
            for suffix in ["tags/list", "blobs/\(Self.sha)", "manifests/v1", "blobs/uploads/"] {
                let method = suffix.hasSuffix("/") ? "POST" : "GET"
                let reply = try await RawConnection.request(
                    port: kit.port, method, "/v2/\(target)/\(suffix)")
                #expect(reply.status == 400)
                // The parser itself refuses what is no target at all.
                if name != "ä" { #expect(reply.code == "NAME_INVALID") }
            }
            #expect(try await kit.store.defaultAccount.buckets().isEmpty)
        }
    }

    @Test func `the longest repository name is taken`() async throws {
        try await ServerKit.run { kit in
            _ = try await kit.push([1], to: String(repeating: "a", count: 255))
        }
    }

    @Test(arguments: [
        "sha256:..%2f..", "sha256:" + String(repeating: "a", count: 63),
        "sha256:" + String(repeating: "a", count: 65),
        "sha256:" + String(repeating: "A", count: 64),
        Self.sha + "%0a", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:", ":", "%00",
        "sha512:" + String(repeating: "a", count: 64),
        "SHA256:" + String(repeating: "a", count: 64),
    ])
    func `what is no digest is refused`(_ digest: String) async throws {
        try await ServerKit.run { kit in
            try await kit.push([1])
            let blob = try await RawConnection.request(
                port: kit.port, "GET", "/v2/library/test/blobs/\(digest)")
            #expect(blob.status == 400)
            #expect(blob.code == "DIGEST_INVALID")
            let location = try await kit.beginUpload()
            for target in [
                "PUT \(location)?digest=\(digest)", "PUT \(location)", "PUT \(location)?digest=",
                "POST /v2/library/test/blobs/uploads/?digest=\(digest)",
                "POST /v2/library/test/blobs/uploads/?mount=\(digest)&from=library/test",
                "POST /v2/library/test/blobs/uploads/?digest-algorithm=md5",
                "GET /v2/library/test/referrers/\(digest)",
            ] {
                let parts = target.split(separator: " ").map { String($0) }
                let reply = try await RawConnection.request(port: kit.port, parts[0], parts[1])
                #expect(reply.status == 400, "\(target)")
                #expect(reply.code == "DIGEST_INVALID", "\(target)")
            }
            #expect(try await kit.send(.GET, location).status == 204)
        }
    }

    @Test(arguments: [
        (String(repeating: "a", count: 129), "TAG_INVALID"), (".a", "TAG_INVALID"),
        ("-a", "TAG_INVALID"), ("a%2Fb", "TAG_INVALID"), ("a%00", "TAG_INVALID"),
        ("%C3%A4", "TAG_INVALID"), ("", "TAG_INVALID"),
        ("sha256:abc", "DIGEST_INVALID"), (Self.sha + "0", "DIGEST_INVALID"),
    ])
    func `what is no tag is refused`(_ tag: String, _ code: String) async throws {
        try await ServerKit.run { kit in
            let bytes = try await kit.pushImage("v1")
            for method in [Verb.GET, .PUT, .DELETE] {
                let reply = try await kit.send(
                    method, "/v2/library/test/manifests/\(tag)",
                    headers: ["Content-Type": ManifestKit.manifestType],
                    body: method == .PUT ? bytes : nil)
                #expect(reply.status == 400)
                #expect(reply.code == code)
            }
            let digest = Digest.sha256(of: bytes.span)
            let query = tag.replacing(":", with: "%3A")
            let reply = try await kit.putManifest(bytes, "\(digest)?tag=\(query)")
            #expect(reply.code == "TAG_INVALID")
        }
    }

    @Test func `a manifest that is too large is refused`() async throws {
        try await ServerKit.run { kit in
            try await kit.pushImage("v1")
            let spaces = [UInt8](repeating: 0x20, count: (4 << 20) + 1)
            let reply = try await kit.putManifest(spaces, "v2")
            #expect(reply.status == 413)
            #expect(reply.code == "MANIFEST_INVALID")
            let head =
                "PUT /v2/library/test/manifests/v2 HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Type: \(ManifestKit.manifestType)\r\nContent-Length: 2147483648\r\n\r\n"
            let announced = try await RawConnection.exchange(port: kit.port, [Array(head.utf8)])
            #expect(announced.status == 413)
        }
    }

    @Test(arguments: BadManifest.all)
    func `a manifest that breaks a rule is refused`(_ bad: BadManifest) async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let reply = try await kit.putManifest(
                bad.bytes(parts.config, parts.layer), "v1", type: bad.contentType)
            #expect(reply.status == 400)
            #expect(reply.code == "MANIFEST_INVALID")
            #expect(try await kit.send(.GET, "/v2/library/test/manifests/v1").status == 404)
        }
    }

    @Test(arguments: [
        "GET /v2/library/test/tags/list\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: a\rSet-Cookie: b\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n", "hello\r\n\r\n",
    ])
    func `what is no HTTP ends the connection`(_ text: String) async throws {
        try await ServerKit.run { kit in
            let reply = try await RawConnection.exchange(port: kit.port, [Array(text.utf8)])
            #expect(reply.status == 400)
            #expect(try await kit.send(.GET, "/v2/").status == 200)
        }
    }

    @Test(arguments: [
        ["X-A: " + String(repeating: "a", count: 1 << 20)],
        (0..<10_000).map { "X-\($0): a" },
        (0..<100).map { "X-\($0): " + String(repeating: "a", count: 10_000) },
    ])
    func `a head that is too large is refused`(_ headers: [String]) async throws {
        try await ServerKit.run { kit in
            let reply = try await RawConnection.request(
                port: kit.port, "GET", "/v2/", headers: headers)
            #expect(reply.status == 431)
            #expect(try await kit.send(.GET, "/v2/").status == 200)
        }
    }

    @Test func `no answer repeats what was not checked`() async throws {
        try await ServerKit.run { kit in
            let evil = "%0d%0aSet-Cookie:%20evil=1"
            for target in [
                "/v2/a\(evil)/tags/list", "/v2/library/test/manifests/\(evil)",
                "/v2/library/test/blobs/\(evil)", "/v2/library/test/tags/list?n=\(evil)",
                "/\(evil)", "/v2/library/test/blobs/uploads/\(evil)",
            ] {
                let reply = try await RawConnection.request(port: kit.port, "GET", target)
                #expect(reply.status >= 400)
                #expect(!reply.text.contains("evil"))
                #expect(
                    !reply.headers.contains {
                        $0.name.contains("Cookie") || $0.value.contains("evil")
                    })
            }
        }
    }

    @Test(arguments: [
        "/", "/v1/", "/v2/library", "/v2/library/test", "/v2//", "/v2/library/test/x/y",
    ])
    func `a path that means nothing is not found`(_ path: String) async throws {
        try await ServerKit.run { kit in
            let reply = try await RawConnection.request(port: kit.port, "GET", path)
            #expect(reply.status == 404)
            #expect(reply.code != nil)
        }
    }

    @Test(arguments: [
        "POST /v2/", "POST /v2/_catalog", "PATCH /v2/library/test/manifests/v1",
        "PUT /v2/library/test/tags/list", "GET /v2/library/test/blobs/uploads/",
        "POST /v2/library/test/blobs/\(Self.sha)",
    ])
    func `a method that is not for the path is refused`(_ line: String) async throws {
        try await ServerKit.run { kit in
            let parts = line.split(separator: " ").map { String($0) }
            let reply = try await RawConnection.request(port: kit.port, parts[0], parts[1])
            #expect(reply.status == 405)
            #expect(reply.code == "UNSUPPORTED")
            #expect(reply.header("Allow") != nil)
        }
    }
}
