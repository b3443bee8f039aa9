// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnServer
import Testing

@Suite(.timeLimit(.minutes(15))) struct ListRouteTests {
    @Test func `tags are listed in order, page by page`() async throws {
        try await ServerKit.run { kit in
            let bytes = try await kit.pushImage("b")
            for tag in ["a", "C", "_x", "1.0", "1.0-rc"] {
                #expect(try await kit.putManifest(bytes, tag).status == 201)
            }
            let all = try await kit.send(.GET, "/v2/library/test/tags/list")
            let names = #"["1.0","1.0-rc","C","_x","a","b"]"#
            #expect(all.text == #"{"name":"library/test","tags":\#(names)}"#)
            #expect(all.header("Link") == nil)
            var pages: [String] = []
            var path: String? = "/v2/library/test/tags/list?n=4"
            while let next = path {
                let page = try await kit.send(.GET, next)
                pages.append(page.text)
                path = page.header("Link").flatMap(Self.target)
            }
            #expect(
                pages == [
                    #"{"name":"library/test","tags":["1.0","1.0-rc","C","_x"]}"#,
                    #"{"name":"library/test","tags":["a","b"]}"#,
                ])
            let none = try await kit.send(.GET, "/v2/library/test/tags/list?n=0")
            #expect(none.text == #"{"name":"library/test","tags":[]}"#)
            #expect(none.header("Link") == nil)
            // The last tag seen need not exist any more.
            let after = try await kit.send(.GET, "/v2/library/test/tags/list?last=Z")
            #expect(after.text == #"{"name":"library/test","tags":["_x","a","b"]}"#)
        }
    }

    @Test(arguments: ["n=2147483647", "n=99999999999999999999999", "n=1000"])
    func `a page is never longer than its limit`(_ query: String) async throws {
        try await ServerKit.run { kit in
            try await kit.pushImage("v1")
            let reply = try await kit.send(.GET, "/v2/library/test/tags/list?\(query)")
            #expect(reply.status == 200)
        }
    }

    @Test(arguments: ["n=-1", "n=abc", "n=", "n=1.5", "n=%00", "last=%00"])
    func `a malformed page is refused`(_ query: String) async throws {
        try await ServerKit.run { kit in
            try await kit.pushImage("v1")
            for path in ["/v2/library/test/tags/list", "/v2/_catalog"] {
                let reply = try await kit.send(.GET, "\(path)?\(query)")
                #expect(reply.status == 400)
                #expect(reply.code == "PAGINATION_NUMBER_INVALID")
            }
        }
    }

    @Test(arguments: [300, 9_000, 60_000, 10_000_000])
    func `a target that is too long is refused`(_ byteCount: Int) async throws {
        try await ServerKit.run { kit in
            try await kit.pushImage("v1")
            let last = String(repeating: "a", count: byteCount)
            let reply = try await RawConnection.request(
                port: kit.port, "GET", "/v2/library/test/tags/list?last=\(last)")
            #expect(reply.status == 414)
        }
    }

    @Test func `the catalog lists repositories page by page`() async throws {
        try await ServerKit.run { kit in
            for name in ["b/two", "a/one", "c/three"] { try await kit.push([1], to: name) }
            let first = try await kit.send(.GET, "/v2/_catalog?n=2")
            #expect(first.text == #"{"repositories":["a/one","b/two"]}"#)
            let next = try #require(first.header("Link").flatMap(Self.target))
            #expect(try await kit.send(.GET, next).text == #"{"repositories":["c/three"]}"#)
        }
    }

    @Test func `tags of a repository that is not there`() async throws {
        try await ServerKit.run { kit in
            let reply = try await kit.send(.GET, "/v2/library/none/tags/list")
            #expect(reply.status == 404)
            #expect(reply.code == "NAME_UNKNOWN")
        }
    }

    @Test func `referrers are listed, filtered and forgotten`() async throws {
        try await ServerKit.run { kit in
            let image = try await kit.pushImage("v1")
            let subject = Digest.sha256(of: image.span)
            let parts = try await kit.pushParts()
            let field = ManifestKit.descriptor(ManifestKit.manifestType, subject, image.count)
            let signature = ManifestKit.image(
                config: parts.config, layers: [parts.layer],
                extra: #","subject":\#(field),"artifactType":"example/sig","annotations":{"k":"v"}"#
            )
            let other = ManifestKit.image(
                config: parts.config, layers: [parts.layer], extra: #","subject":\#(field)"#)
            for bytes in [signature, other] {
                let digest = Digest.sha256(of: bytes.span)
                let put = try await kit.putManifest(bytes, "\(digest)")
                #expect(put.status == 201)
                #expect(put.header("OCI-Subject") == "\(subject)")
            }
            let path = "/v2/library/test/referrers/\(subject)"
            let all = try await kit.send(.GET, path)
            #expect(all.status == 200)
            #expect(all.header("Content-Type") == ManifestKit.indexType)
            #expect(all.header("OCI-Filters-Applied") == nil)
            let digest = Digest.sha256(of: signature.span)
            #expect(all.text.contains("\(digest)"))
            #expect(all.text.contains("\(Digest.sha256(of: other.span))"))
            // Without a type of its own, an artifact is of its config's type.
            #expect(all.text.contains(#""artifactType":"\#(ManifestKit.configType)""#))
            let some = try await kit.send(.GET, path + "?artifactType=example/sig")
            #expect(some.header("OCI-Filters-Applied") == "artifactType")
            #expect(
                some.text == """
                    {"schemaVersion":2,"mediaType":"\(ManifestKit.indexType)","manifests":[\
                    {"annotations":{"k":"v"},"artifactType":"example/sig",\
                    "digest":"\(digest)","mediaType":"\(ManifestKit.manifestType)",\
                    "size":\(signature.count)}]}
                    """)
            _ = try await kit.send(.DELETE, "/v2/library/test/manifests/\(digest)")
            let rest = try await kit.send(.GET, path)
            #expect(!rest.text.contains("\(digest)"))
        }
    }

    @Test func `a subject may come after its referrers, or never`() async throws {
        try await ServerKit.run { kit in
            let parts = try await kit.pushParts()
            let subject = Digest.sha256(of: [1].span)
            let path = "/v2/library/test/referrers/\(subject)"
            let none = try await kit.send(.GET, path)
            #expect(none.status == 200)
            #expect(none.text.hasSuffix(#""manifests":[]}"#))
            let field = ManifestKit.descriptor(ManifestKit.manifestType, subject, 1)
            let bytes = ManifestKit.image(
                config: parts.config, layers: [parts.layer], extra: #","subject":\#(field)"#)
            #expect(try await kit.putManifest(bytes, "sig").status == 201)
            #expect(
                try await kit.send(.GET, path).text.contains("\(Digest.sha256(of: bytes.span))"))
        }
    }

    // MARK: -

    /// The target of `<target>; rel="next"`.
    private static func target(_ link: String) -> String? {
        guard link.hasSuffix(#">; rel="next""#) else { return nil }
        return link.dropFirst().split(separator: ">").first.map { String($0) }
    }
}
