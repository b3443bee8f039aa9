// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnServer
import CairnTestSupport
import Testing

@Suite(.timeLimit(.minutes(15))) struct QuotaRouteTests {
    @Test func `a push over the quota is denied before its bytes are kept`() async throws {
        try await ServerKit.run { kit in
            let bytes = TestData.random(5000, seed: 1)
            let digest = Digest.sha256(of: bytes.span)
            let location = try await kit.beginUpload()
            let bucket = try await kit.store.defaultAccount.bucket("library/test")
            try await bucket.setQuota(Quota(byteCount: 4999))
            let patch = try await kit.send(.PATCH, location, body: bytes)
            #expect(patch.status == 403)
            #expect(patch.text.contains("DENIED"))
            let whole = try await kit.send(
                .POST, "/v2/library/test/blobs/uploads/?digest=\(digest)", body: bytes)
            #expect(whole.status == 403)
            let chunked = try await kit.beginUpload()
            #expect(try await kit.send(.PATCH, chunked, body: Array(bytes[..<3000])).status == 202)
            #expect(try await kit.send(.PATCH, chunked, body: Array(bytes[3000...])).status == 403)
            // What was acknowledged before is still there, and goes on when there is room.
            #expect(try await bucket.usage().inFlightByteCount == 3000)
            try await bucket.setQuota(Quota(byteCount: 5000))
            let put = try await kit.send(
                .PUT, "\(chunked)?digest=\(digest)", body: Array(bytes[3000...]))
            #expect(put.status == 201)
            #expect(try await bucket.usage().logicalByteCount == 5000)
            let manifest = try await kit.send(
                .PUT, "/v2/library/test/manifests/latest",
                headers: ["Content-Type": "application/vnd.oci.image.manifest.v1+json"],
                body: Array("{}".utf8))
            #expect(manifest.status == 400 || manifest.status == 403)
        }
    }
}
