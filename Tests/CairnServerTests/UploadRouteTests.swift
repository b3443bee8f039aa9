// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnServer
import CairnTestSupport
import NIOCore
import Testing

@Suite(.timeLimit(.minutes(15))) struct UploadRouteTests {
    @Test func `a blob arrives in chunks`() async throws {
        try await ServerKit.run { kit in
            let bytes = Array("hello, registry".utf8)
            let location = try await kit.beginUpload()
            let first = try await kit.send(
                .PATCH, location, headers: ["Content-Range": "0-4"], body: Array(bytes[..<5]))
            #expect(first.status == 202)
            #expect(first.header("Range") == "0-4")
            let next = try #require(first.header("Location"))
            let second = try await kit.send(.PATCH, next, body: Array(bytes[5..<9]))
            #expect(second.header("Range") == "0-8")
            let status = try await kit.send(.GET, location)
            #expect(status.status == 204)
            #expect(status.header("Range") == "0-8")
            let digest = Digest.sha256(of: bytes.span)
            let last = try await kit.send(
                .PUT, "\(location)?digest=\(digest)", headers: ["Content-Range": "9-14"],
                body: Array(bytes[9...]))
            #expect(last.status == 201)
            #expect(last.header("Location") == "/v2/library/test/blobs/\(digest)")
            #expect(last.header("Docker-Content-Digest") == "\(digest)")
            #expect(try await kit.send(.GET, "/v2/library/test/blobs/\(digest)").body == bytes)
        }
    }

    @Test func `a blob with a SHA-512 digest is stored under it`() async throws {
        try await ServerKit.run { kit in
            let bytes = Array("long digest".utf8)
            let digest = Digest.sha512(of: bytes.span)
            let begun = try await kit.send(
                .POST, "/v2/library/test/blobs/uploads/?digest-algorithm=sha512")
            let location = try #require(begun.header("Location"))
            let reply = try await kit.send(.PUT, "\(location)?digest=\(digest)", body: bytes)
            #expect(reply.status == 201)
            #expect(try await kit.send(.GET, "/v2/library/test/blobs/\(digest)").body == bytes)
        }
    }

    @Test(arguments: [
        "6-9", "0-4", "3-9", "9-5", "0-9223372036854775807", "5-9223372036854775807",
        "18446744073709551616-18446744073709551620", "bytes", "-", "5-", "-5", "a-b",
    ])
    func `a chunk in the wrong place is refused`(_ range: String) async throws {
        try await ServerKit.run { kit in
            let location = try await kit.beginUpload()
            let first = try await kit.send(.PATCH, location, body: Array("01234".utf8))
            #expect(first.status == 202)
            let reply = try await kit.send(
                .PATCH, location, headers: ["Content-Range": range], body: Array("56789".utf8))
            #expect(reply.status == 416)
            #expect(reply.header("Range") == "0-4")
            let digest = Digest.sha256(of: Array("0123456789".utf8).span)
            let finish = try await kit.send(
                .PUT, "\(location)?digest=\(digest)", headers: ["Content-Range": "5-9"],
                body: Array("56789".utf8))
            #expect(finish.status == 201)
        }
    }

    @Test func `bytes that do not match their digest are not kept`() async throws {
        try await ServerKit.run { kit in
            let wrong = Digest.sha256(of: [0].span)
            let location = try await kit.beginUpload()
            let reply = try await kit.send(
                .PUT, "\(location)?digest=\(wrong)", body: Array("other".utf8))
            #expect(reply.status == 400)
            #expect(reply.code == "DIGEST_INVALID")
            #expect(try await kit.send(.GET, location).code == "BLOB_UPLOAD_UNKNOWN")
            let single = try await kit.send(
                .POST, "/v2/library/test/blobs/uploads/?digest=\(wrong)", body: [1, 2])
            #expect(single.status == 400)
            #expect(single.code == "DIGEST_INVALID")
            let statistics = try await kit.store.statistics()
            #expect(statistics.blobCount == 0)
            #expect(statistics.openUploadCount == 0)
        }
    }

    @Test func `a wrong digest ends a session that was acknowledged before`() async throws {
        try await ServerKit.run { kit in
            let wrong = Digest.sha256(of: [0].span)
            let location = try await kit.beginUpload()
            #expect(try await kit.send(.PATCH, location, body: [1, 2, 3]).status == 202)
            #expect(try await kit.send(.PUT, "\(location)?digest=\(wrong)").status == 400)
            #expect(try await kit.send(.GET, location).code == "BLOB_UPLOAD_UNKNOWN")
            let bucket = try await kit.store.defaultAccount.bucket("library/test")
            #expect(try await bucket.uploads().isEmpty)
        }
    }

    @Test func `a SHA-512 digest may be told with the last request`() async throws {
        try await ServerKit.run { kit in
            let bytes = Array("told late".utf8)
            let digest = Digest.sha512(of: bytes.span)
            let location = try await kit.beginUpload()
            let reply = try await kit.send(.PUT, "\(location)?digest=\(digest)", body: bytes)
            #expect(reply.status == 201)
            let begun = try await kit.beginUpload()
            #expect(try await kit.send(.PATCH, begun, body: bytes).status == 202)
            let late = try await kit.send(.PUT, "\(begun)?digest=\(digest)")
            #expect(late.status == 400)
            #expect(late.text.contains("digest-algorithm"))
            #expect(try await kit.send(.GET, begun).status == 204)
            #expect(try await kit.store.statistics().openUploadCount == 1)
        }
    }

    @Test func `sessions whose time is over are reaped without a push`() async throws {
        try await ServerKit.run(
            store: { $0.uploadLifetime = .milliseconds(1) },
            { $0.maintenanceInterval = .milliseconds(10) }
        ) { kit in
            let bucket = try await kit.store.defaultAccount.createBucket("library/test")
            try await Self.leaveUpload(in: bucket)
            while try await !bucket.uploads().isEmpty {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    // One that is over before it is left leaves nothing to reap.
    private static func leaveUpload(in bucket: Bucket) async throws {
        let session = try await bucket.beginUpload()
        let bytes = [UInt8](repeating: 1, count: 100)
        do throws(StoreError) {
            try await session.append(bytes.span)
            try await session.suspend()
        } catch {
            #expect(error.code == .uploadExpired)
        }
    }

    @Test func `a session is finished once`() async throws {
        try await ServerKit.run { kit in
            let digest = Digest.sha256(of: [7].span)
            let location = try await kit.beginUpload()
            let first = try await kit.send(.PUT, "\(location)?digest=\(digest)", body: [7])
            #expect(first.status == 201)
            let second = try await kit.send(.PUT, "\(location)?digest=\(digest)", body: [7])
            #expect(second.status == 404)
            #expect(second.code == "BLOB_UPLOAD_UNKNOWN")
        }
    }

    @Test func `a hundred clients finish the same blob`() async throws {
        try await ServerKit.run { kit in
            let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 >> 4) }
            let digest = Digest.sha256(of: bytes.span)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        let location = try await kit.beginUpload()
                        _ = try await kit.send(.PATCH, location, body: bytes)
                        let reply = try await kit.send(.PUT, "\(location)?digest=\(digest)")
                        return reply.status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses == Array(repeating: 201, count: 100))
            let bucket = try await kit.store.defaultAccount.bucket("library/test").describe()
            #expect(bucket.blobCount == 1)
            #expect(bucket.logicalByteCount == 100_000)
        }
    }

    @Test func `of two requests with one session one is told to wait`() async throws {
        try await ServerKit.run { kit in
            let location = try await kit.beginUpload()
            // The first request is half sent, so it holds the session until it is sent whole.
            let held = try await HeldRequest.hold(
                kit, location, byteCount: 10, first: Array("01234".utf8))
            for method in [Verb.PATCH, .PUT, .DELETE] {
                let digest = Digest.sha256(of: [1].span)
                let reply = try await RawConnection.request(
                    port: kit.port, method.rawValue, "\(location)?digest=\(digest)")
                #expect(reply.status == 409)
                #expect(reply.code == "BLOB_UPLOAD_INVALID")
            }
            #expect(try await kit.send(.GET, location).status == 204)
            let reply = try await held.end(with: Array("56789".utf8))
            #expect(reply.status == 202)
            #expect(reply.header("Range") == "0-9")
        }
    }

    @Test func `a cancelled session is gone`() async throws {
        try await ServerKit.run { kit in
            let location = try await kit.beginUpload()
            _ = try await kit.send(.PATCH, location, body: [1, 2, 3])
            #expect(try await kit.send(.DELETE, location).status == 204)
            #expect(try await kit.send(.GET, location).status == 404)
            #expect(try await kit.send(.PATCH, location, body: [4]).status == 404)
        }
    }

    @Test func `a session belongs to its repository`() async throws {
        try await ServerKit.run { kit in
            let location = try await kit.beginUpload(in: "library/one")
            try await kit.push([1], to: "library/two")
            let id = try #require(location.split(separator: "/").last)
            let other = "/v2/library/two/blobs/uploads/\(id)"
            for target in [other, other + "0", "/v2/library/two/blobs/uploads/x"] {
                let reply = try await kit.send(.PATCH, target, body: [1])
                #expect(reply.status == 404)
                #expect(reply.code == "BLOB_UPLOAD_UNKNOWN")
            }
            #expect(try await kit.send(.PATCH, location, body: [1]).status == 202)
        }
    }

    @Test func `a session goes on after a restart`() async throws {
        let directory = try TemporaryDirectory()
        let location = try await ServerKit.run(in: directory) { kit in
            let location = try await kit.beginUpload()
            let reply = try await kit.send(.PATCH, location, body: Array("before ".utf8))
            #expect(reply.status == 202)
            return location
        }
        try await ServerKit.run(in: directory) { kit in
            let status = try await kit.send(.GET, location)
            #expect(status.status == 204)
            #expect(status.header("Range") == "0-6")
            let digest = Digest.sha256(of: Array("before after".utf8).span)
            let reply = try await kit.send(
                .PUT, "\(location)?digest=\(digest)", headers: ["Content-Range": "7-11"],
                body: Array("after".utf8))
            #expect(reply.status == 201)
        }
    }

    @Test func `acknowledged bytes survive a server that never stops in order`() async throws {
        let copy = try TemporaryDirectory()
        let location = try await ServerKit.run { kit in
            let location = try await kit.beginUpload()
            _ = try await kit.send(.PATCH, location, body: Array("acknowledged".utf8))
            // The files as they are now are what a killed process leaves.
            try copyTree(kit.storePath, to: copy.path("store"))
            return location
        }
        try await ServerKit.run(in: copy) { kit in
            let status = try await kit.send(.GET, location)
            #expect(status.status == 204)
            #expect(status.header("Range") == "0-11")
        }
    }

    @Test func `more sessions than may stay open take turns`() async throws {
        try await ServerKit.run({ $0.openUploadCountMax = 2 }) { kit in
            var locations: [String] = []
            for _ in 0..<6 { locations.append(try await kit.beginUpload()) }
            for byte in UInt8(0)..<3 {
                for location in locations {
                    let reply = try await kit.send(.PATCH, location, body: [byte])
                    #expect(reply.status == 202)
                }
            }
            let digest = Digest.sha256(of: [0, 1, 2].span)
            for location in locations {
                let reply = try await kit.send(.PUT, "\(location)?digest=\(digest)")
                #expect(reply.status == 201)
            }
        }
    }

    @Test func `a blob is mounted without its bytes`() async throws {
        try await ServerKit.run { kit in
            let digest = try await kit.push([1, 2, 3], to: "library/one")
            let path = "/v2/library/two/blobs/uploads/?mount=\(digest)&from=library/one"
            let reply = try await kit.send(.POST, path)
            #expect(reply.status == 201)
            #expect(reply.header("Location") == "/v2/library/two/blobs/\(digest)")
            #expect(try await kit.send(.GET, "/v2/library/two/blobs/\(digest)").body == [1, 2, 3])
        }
    }

    @Test(arguments: ["&from=library/none", "&from=library/empty", "&from=..%2Fetc", ""])
    func `a mount that cannot be is an upload`(_ from: String) async throws {
        try await ServerKit.run { kit in
            let digest = Digest.sha256(of: [1, 2, 3].span)
            try await kit.push([1], to: "library/empty")
            let reply = try await kit.send(
                .POST, "/v2/library/two/blobs/uploads/?mount=\(digest)\(from)")
            #expect(reply.status == 202)
            #expect(reply.header("Location")?.hasPrefix("/v2/library/two/blobs/uploads/") == true)
        }
    }

    @Test func `a body that ends early is refused and what came stays`() async throws {
        try await ServerKit.run { kit in
            let location = try await kit.beginUpload()
            let head =
                "PATCH \(location) HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Length: 5368709120\r\n\r\n"
            let reply = try await RawConnection.exchange(
                port: kit.port, [Array(head.utf8) + Array("0123456789".utf8)], endsOutput: true)
            #expect(reply.status == 400)
            #expect(reply.code == "SIZE_INVALID")
            let status = try await kit.send(.GET, location)
            #expect(status.status == 204)
            #expect(status.header("Range") == "0-9")
        }
    }

    @Test func `a body beyond the limit is cut off`() async throws {
        try await ServerKit.run({ $0.blobByteCountMax = 100_000 }) { kit in
            let location = try await kit.beginUpload()
            let announced = try await kit.send(
                .PATCH, location, body: Array(repeating: 1, count: 100_001))
            #expect(announced.status == 413)
            #expect(announced.code == "SIZE_INVALID")
            let head =
                "PATCH \(location) HTTP/1.1\r\nHost: localhost\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n"
            let piece =
                Array("10000\r\n".utf8) + Array(repeating: 2, count: 65536)
                + Array("\r\n".utf8)
            let reply = try await RawConnection.exchange(
                port: kit.port, [Array(head.utf8), piece, piece])
            #expect(reply.status == 413)
        }
    }

    @Test func `a body that stops is refused and its session goes on`() async throws {
        try await ServerKit.run({ $0.bodyWindow = .milliseconds(200) }) { kit in
            let location = try await kit.beginUpload()
            let head =
                "PATCH \(location) HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Length: 100000\r\n\r\n01234"
            let reply = try await RawConnection.exchange(port: kit.port, [Array(head.utf8)])
            #expect(reply.status == 408)
            let status = try await kit.send(.GET, location)
            #expect(status.header("Range") == "0-4")
        }
    }

    @Test func `a client that waits for leave to send gets it`() async throws {
        try await ServerKit.run { kit in
            let digest = Digest.sha256(of: Array("hello".utf8).span)
            let head =
                "POST /v2/library/test/blobs/uploads/?digest=\(digest) HTTP/1.1\r\n"
                + "Host: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
                + "Content-Length: 5\r\n\r\nhello"
            let reply = try await RawConnection.exchange(port: kit.port, [Array(head.utf8)])
            #expect(reply.status == 201)
        }
    }
}
