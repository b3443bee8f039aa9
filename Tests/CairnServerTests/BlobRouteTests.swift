// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnKeys
import CairnRegistry
import CairnServer
import CairnTestSupport
import Testing

@Suite(.timeLimit(.minutes(15))) struct BlobRouteTests {
    @Test func `the version check answers with the version`() async throws {
        try await ServerKit.run { kit in
            let reply = try await kit.send(.GET, "/v2/")
            #expect(reply.status == 200)
            #expect(reply.header("Docker-Distribution-API-Version") == "registry/2.0")
        }
    }

    @Test func `a blob comes back whole, with its headers`() async throws {
        try await ServerKit.run { kit in
            let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let digest = try await kit.push(bytes)
            let path = "/v2/library/test/blobs/\(digest)"
            let reply = try await kit.send(.GET, path)
            #expect(reply.status == 200)
            #expect(reply.body == bytes)
            #expect(reply.header("Docker-Content-Digest") == "\(digest)")
            #expect(reply.header("Content-Length") == "200000")
            let head = try await kit.send(.HEAD, path)
            #expect(head.status == 200)
            #expect(head.header("Content-Length") == "200000")
            #expect(head.body.isEmpty)
            let etag = try #require(reply.header("ETag"))
            let same = try await kit.send(.GET, path, headers: ["If-None-Match": etag])
            #expect(same.status == 304)
        }
    }

    @Test func `what no manifest names is leased, where the registry says so`() async throws {
        try await ServerKit.run({ $0.registry.blobLifetime = .leased }) { kit in
            let digest = try await kit.push(Array("a layer".utf8))
            let bucket = try await kit.store.defaultAccount.bucket("library/test")
            let end = try #require(try await bucket.stat(digest).leaseEnd)
            #expect(
                try await kit.send(.HEAD, "/v2/library/test/blobs/\(digest)").status == 200)
            #expect(try #require(try await bucket.stat(digest).leaseEnd) >= end)
            let mount = "/v2/library/other/blobs/uploads/?mount=\(digest)&from=library/test"
            #expect(try await kit.send(.POST, mount).status == 201)
            let other = try await kit.store.defaultAccount.bucket("library/other")
            #expect(try await other.stat(digest).leaseEnd != nil)
        }
        try await ServerKit.run { kit in
            let digest = try await kit.push(Array("a layer".utf8))
            let bucket = try await kit.store.defaultAccount.bucket("library/test")
            #expect(try await bucket.stat(digest).leaseEnd == nil)
            #expect(
                try await kit.send(.HEAD, "/v2/library/test/blobs/\(digest)").status == 200)
            #expect(try await bucket.stat(digest).leaseEnd == nil)
        }
    }

    @Test func `a repository whose key is disabled is denied until the key is enabled`()
        async throws
    {
        try await ServerKit.run { kit in
            let keys = try #require(kit.store.keyService)
            let key = KeyReference(try await keys.createKey().id)
            let digest = try await kit.push(Array("locked".utf8))
            let path = "/v2/library/test/blobs/\(digest)"
            try await kit.store.defaultAccount.bucket("library/test")
                .setEncryption(.customerKey(key))
            #expect(try await kit.send(.GET, path).status == 200)
            try await keys.disable(key)
            let denied = try await kit.send(.GET, path)
            #expect(denied.status == 403)
            let text = String(decoding: denied.body, as: UTF8.self)
            #expect(text.contains("DENIED"))
            #expect(!text.contains(key.text))
            #expect(try await kit.send(.HEAD, path).status == 403)
            #expect(
                try await kit.send(.POST, "/v2/library/test/blobs/uploads/").status == 403)
            // A mount from it is an upload like any other.
            let mount = "/v2/library/other/blobs/uploads/?mount=\(digest)&from=library/test"
            #expect(try await kit.send(.POST, mount).status == 202)
            try await keys.enable(key)
            #expect(try await kit.send(.GET, path).status == 200)
        }
    }

    @Test func `an empty blob can be stored and read`() async throws {
        try await ServerKit.run { kit in
            let digest = try await kit.push([])
            let reply = try await kit.send(.GET, "/v2/library/test/blobs/\(digest)")
            #expect(reply.status == 200)
            #expect(reply.body.isEmpty)
        }
    }

    @Test(arguments: [
        ("bytes=0-0", 0..<1), ("bytes=2-4", 2..<5), ("bytes=5-", 5..<10), ("bytes=-3", 7..<10),
        ("bytes=8-100", 8..<10), ("bytes=-100", 0..<10), ("bytes=0-99999999999999999999", 0..<10),
    ])
    func `one range is honoured`(_ field: String, _ range: Range<Int>) async throws {
        try await ServerKit.run { kit in
            let bytes = Array("0123456789".utf8)
            let digest = try await kit.push(bytes)
            let reply = try await kit.send(
                .GET, "/v2/library/test/blobs/\(digest)", headers: ["Range": field])
            #expect(reply.status == 206)
            #expect(reply.body == Array(bytes[range]))
            #expect(
                reply.header("Content-Range")
                    == "bytes \(range.lowerBound)-\(range.upperBound - 1)/10")
        }
    }

    @Test(arguments: ["bytes=-0", "bytes=10-", "bytes=10-20", "bytes=99999999999999999999-"])
    func `a range past the end is refused`(_ field: String) async throws {
        try await ServerKit.run { kit in
            let digest = try await kit.push(Array("0123456789".utf8))
            let reply = try await kit.send(
                .GET, "/v2/library/test/blobs/\(digest)", headers: ["Range": field])
            #expect(reply.status == 416)
            #expect(reply.header("Content-Range") == "bytes */10")
        }
    }

    @Test(arguments: [
        "bytes=9-1", "bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0--1",
        "bytes=" + (0..<1000).map { "\($0)-\($0)" }.joined(separator: ","),
    ])
    func `what is no single range is ignored`(_ field: String) async throws {
        try await ServerKit.run { kit in
            let digest = try await kit.push(Array("0123456789".utf8))
            let reply = try await kit.send(
                .GET, "/v2/library/test/blobs/\(digest)", headers: ["Range": field])
            #expect(reply.status == 200)
            #expect(reply.body.count == 10)
        }
    }

    @Test func `a blob of another repository does not exist here`() async throws {
        try await ServerKit.run { kit in
            let digest = try await kit.push([1, 2, 3], to: "library/one")
            try await kit.push([4], to: "library/two")
            for method in ["GET", "HEAD", "DELETE"] {
                let reply = try await RawConnection.request(
                    port: kit.port, method, "/v2/library/two/blobs/\(digest)")
                #expect(reply.status == 404)
                if method != "HEAD" { #expect(reply.code == "BLOB_UNKNOWN") }
            }
            let nowhere = Digest.sha256(of: [9, 9].span)
            let reply = try await kit.send(.GET, "/v2/library/two/blobs/\(nowhere)")
            #expect(reply.code == "BLOB_UNKNOWN")
            let unknown = try await kit.send(.GET, "/v2/library/none/blobs/\(digest)")
            #expect(unknown.status == 404)
            #expect(unknown.code == "NAME_UNKNOWN")
        }
    }

    @Test(arguments: ["GET", "HEAD", "DELETE"])
    func `a body where none belongs ends the connection`(_ method: String) async throws {
        try await ServerKit.run { kit in
            let digest = try await kit.push([1, 2, 3])
            // The body never comes: whoever waited for it would hang.
            let head =
                "\(method) /v2/library/test/blobs/\(digest) HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Length: 1000\r\n\r\n"
            let reply = try await RawConnection.exchange(port: kit.port, [Array(head.utf8)])
            #expect(reply.status < 300)
            #expect(reply.header("Connection") == "close")
        }
    }

    @Test func `a client that stops reading loses its connection`() async throws {
        try await ServerKit.run({ $0.bodyWindow = .milliseconds(200) }) { kit in
            let bytes = TestData.random(32 << 20, seed: 6)
            let bucket = try await kit.store.defaultAccount.createBucket("library/test")
            let digest = try await bucket.putBlob(bytes.span).digest
            let count = try await SlowReader.countUntilClosed(
                port: kit.port, "/v2/library/test/blobs/\(digest)")
            #expect(count < bytes.count)
        }
    }

    @Test func `a deleted blob is gone`() async throws {
        try await ServerKit.run { kit in
            let path = "/v2/library/test/blobs/\(try await kit.push([1, 2, 3]))"
            #expect(try await kit.send(.DELETE, path).status == 202)
            #expect(try await kit.send(.GET, path).status == 404)
            #expect(try await kit.send(.DELETE, path).code == "BLOB_UNKNOWN")
        }
    }

    @Test func `a blob that a manifest needs is not deleted`() async throws {
        try await ServerKit.run { kit in
            try await kit.pushImage("v1")
            let digest = Digest.sha256(of: Array("a layer".utf8).span)
            let reply = try await kit.send(.DELETE, "/v2/library/test/blobs/\(digest)")
            #expect(reply.status == 405)
            #expect(reply.code == "UNSUPPORTED")
        }
    }

    @Test func `a client that reads slowly gets every byte`() async throws {
        // Slower still on a machine that has a hundred other tests to do.
        try await ServerKit.run({ $0.bodyWindow = .seconds(900) }) { kit in
            let bytes = (0..<(6 << 20)).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 9)) }
            let digest = try await kit.push(bytes)
            let reply = try await SlowReader.get(
                port: kit.port, "/v2/library/test/blobs/\(digest)")
            #expect(reply.status == 200)
            #expect(Digest.sha256(of: reply.body.span) == digest)
        }
    }
}
