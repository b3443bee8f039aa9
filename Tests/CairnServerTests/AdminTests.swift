// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnServer
import CairnTestSupport
import Foundation
import Synchronization
import Testing

/// Each test runs against a store opened here and against the same store in a server.
@Suite(.timeLimit(.minutes(15))) struct AdminTests {
    enum Way: CaseIterable { case here, served }

    @Test(arguments: Way.allCases)
    func `buckets are created, listed, described and deleted`(_ way: Way) async throws {
        try await Self.run(way) { access in
            for name in ["b/two", "a/one", "c/three"] {
                #expect(try await access.createBucket(name).name == name)
            }
            let page = try await access.buckets(after: nil, limit: 2)
            #expect(page.map(\.name) == ["a/one", "b/two"])
            let rest = try await access.buckets(after: "b/two", limit: 2)
            #expect(rest.map(\.name) == ["c/three"])
            let info = try await access.bucket("a/one")
            #expect(info.blobCount == 0)
            #expect(info.id == page[0].id)
            try await access.deleteBucket("a/one", withContents: false)
            await Self.expect(.bucketUnknown) { _ = try await access.bucket("a/one") }
            await Self.expect(.bucketUnknown) {
                try await access.deleteBucket("a/one", withContents: false)
            }
            await Self.expect(.bucketExists) { _ = try await access.createBucket("b/two") }
            await Self.expect(.nameInvalid) { _ = try await access.createBucket("../etc") }
            await Self.expect(.invalidArgument) {
                _ = try await access.buckets(after: nil, limit: 0)
            }
        }
    }

    @Test(arguments: Way.allCases)
    func `a blob is put, read, listed, mounted and deleted`(_ way: Way) async throws {
        try await Self.run(way) { access in
            _ = try await access.createBucket("one/one")
            _ = try await access.createBucket("two/two")
            let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 8)) }
            let digest = Digest.sha256(of: bytes.span)
            let info = try await access.put(
                into: "one/one", expecting: digest, expectedByteCount: 3_000_000,
                from: Self.source(bytes))
            #expect(info.digest == "\(digest)")
            #expect(info.byteCount == 3_000_000)
            #expect(try await Self.read(access, digest, "one/one", nil) == bytes)
            #expect(
                try await Self.read(access, digest, "one/one", 1_000_000..<2_500_000)
                    == Array(bytes[1_000_000..<2_500_000]))
            #expect(
                try await Self.read(access, digest, "one/one", 2_999_999..<UInt64.max)
                    == [bytes[2_999_999]])
            #expect(try await Self.read(access, digest, "one/one", 3_000_000..<4_000_000) == [])
            await Self.expect(.rangeInvalid) {
                _ = try await Self.read(access, digest, "one/one", 3_000_001..<4_000_000)
            }
            #expect(try await access.stat(digest, in: "one/one") == info)
            let listing = try await access.blobs(in: "one/one", after: nil, limit: 10)
            #expect(listing.blobs == [info])
            let mounted = try await access.mountBlob(digest, from: "one/one", into: "two/two")
            #expect(mounted.digest == info.digest)
            try await access.deleteBlob(digest, in: "one/one")
            await Self.expect(.blobUnknown) { _ = try await access.stat(digest, in: "one/one") }
            await Self.expect(.bucketNotEmpty) {
                try await access.deleteBucket("two/two", withContents: false)
            }
            #expect(try await Self.read(access, digest, "two/two", nil) == bytes)
        }
    }

    @Test(arguments: Way.allCases)
    func `pages of blobs follow each other`(_ way: Way) async throws {
        try await Self.run(way) { access in
            _ = try await access.createBucket("one/one")
            var expected: Set<String> = []
            for byte in UInt8(0)..<7 {
                let info = try await access.put(
                    into: "one/one", expecting: nil, expectedByteCount: nil,
                    from: Self.source([byte]))
                expected.insert(info.digest)
            }
            var found: [String] = []
            var next: String?
            repeat {
                let page = try await access.blobs(in: "one/one", after: next, limit: 3)
                #expect(page.blobs.count <= 3)
                found += page.blobs.map(\.digest)
                next = page.next
            } while next != nil
            #expect(found.count == 7)
            #expect(Set(found) == expected)
        }
    }

    @Test(arguments: Way.allCases)
    func `a put that fails keeps nothing and tells why`(_ way: Way) async throws {
        try await Self.run(way) { access in
            _ = try await access.createBucket("one/one")
            let wrong = Digest.sha256(of: [9].span)
            await Self.expect(.digestMismatch) {
                _ = try await access.put(
                    into: "one/one", expecting: wrong, expectedByteCount: nil,
                    from: Self.source([1, 2, 3]))
            }
            await Self.expect(.bucketUnknown) {
                _ = try await access.put(
                    into: "none/none", expecting: nil, expectedByteCount: nil,
                    from: Self.source([1, 2, 3]))
            }
            struct Broken: Error {}
            let sent = Mutex(false)
            do {
                _ = try await access.put(
                    into: "one/one", expecting: nil, expectedByteCount: nil
                ) { buffer in
                    if sent.withLock({ $0 }) { throw Broken() }
                    sent.withLock { $0 = true }
                    return buffer.count
                }
                Issue.record("the put succeeded")
            } catch let error as AdminError {
                #expect(error.code == .sourceFailed)
                #expect(error.cause is Broken)
            }
            #expect(try await access.bucket("one/one").blobCount == 0)
        }
    }

    @Test(arguments: Way.allCases)
    func `a sink that fails ends the read`(_ way: Way) async throws {
        try await Self.run(way) { access in
            _ = try await access.createBucket("one/one")
            let bytes = [UInt8](repeating: 7, count: 4_000_000)
            let info = try await access.put(
                into: "one/one", expecting: nil, expectedByteCount: nil, from: Self.source(bytes))
            struct Full: Error {}
            do {
                _ = try await access.get(
                    Digest(info.digest), in: "one/one", range: nil
                ) { _ in throw Full() }
                Issue.record("the read succeeded")
            } catch let error as AdminError {
                #expect(error.code == .sinkFailed)
                #expect(error.cause is Full)
            }
        }
    }

    @Test(arguments: Way.allCases)
    func `the store tells about itself`(_ way: Way) async throws {
        try await Self.run(way) { access in
            let server = try await access.information()
            #expect(server.isServer == (way == .served))
            #expect(server.processID == ProcessInfo.processInfo.processIdentifier)
            #expect(server.version == CairnVersion.current)
            _ = try await access.createBucket("one/one")
            _ = try await access.put(
                into: "one/one", expecting: nil, expectedByteCount: nil,
                from: Self.source([1, 2, 3]))
            let statistics = try await access.statistics()
            #expect(statistics.bucketCount == 1)
            #expect(statistics.blobCount == 1)
            #expect(statistics.logicalByteCount == 3)
            for depth in VerifyDepthInfo.allCases {
                let report = try await access.verify(depth) { _ in }
                #expect(report.isSound)
                #expect(report.checkedBlobCount == 1)
                #expect(report.problems.isEmpty)
            }
        }
    }

    @Test(arguments: Way.allCases)
    func `a bucket goes with its contents and a sweep frees them`(_ way: Way) async throws {
        try await Self.run(way) { access in
            _ = try await access.createBucket("full")
            let bytes = TestData.random(300_000, seed: 8)
            _ = try await access.put(
                into: "full", expecting: nil, expectedByteCount: nil, from: Self.source(bytes))
            try await access.deleteBucket("full", withContents: true)
            let swept = try await access.sweep(isPreview: false)
            #expect(swept.bucketCount == 1)
            #expect(swept.byteCount > 300_000)
            let nothing = try await access.sweep(isPreview: true)
            #expect(nothing.chunkCount == 0)
            #expect(try await access.statistics().chunkCount == 0)
        }
    }

    @Test func `a session that the registry keeps open can be cancelled`() async throws {
        try await ServerKit.run { kit in
            let location = try await kit.beginUpload()
            _ = try await kit.send(.PATCH, location, body: [1, 2, 3])
            let client = try AdminClient(socketPath: kit.socketPath)
            let uploads = try await client.uploads(in: "library/test", after: nil, limit: 10)
            #expect(uploads.map(\.receivedByteCount) == [3])
            let id = try #require(uploads.first?.id)
            try await client.cancelUpload(id, in: "library/test")
            await Self.expect(.uploadUnknown) {
                try await client.cancelUpload(id, in: "library/test")
            }
            try await client.close()
            #expect(try await kit.send(.GET, location).code == "BLOB_UPLOAD_UNKNOWN")
        }
    }

    @Test func `a store that a server holds is reached through its socket`() async throws {
        try await ServerKit.run { kit in
            let access = try await AdminConnection.open(directory: kit.storePath)
            #expect(try await access.information().isServer)
            try await access.close()
            let attributes = try FileManager.default.attributesOfItem(atPath: kit.socketPath)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test func `a store that another holds without a server is locked`() async throws {
        let directory = try TemporaryDirectory()
        let store = try await Store.open(at: directory.path("store"))
        await Self.expect(.storeLocked) {
            _ = try await AdminConnection.open(directory: directory.path("store"))
        }
        try await store.close()
        let access = try await AdminConnection.open(directory: directory.path("store"))
        #expect(try await !access.information().isServer)
        try await access.close()
    }

    @Test func `the socket goes with the server`() async throws {
        let directory = try TemporaryDirectory()
        let path = try await ServerKit.run(in: directory) { $0.socketPath }
        #expect(!FileManager.default.fileExists(atPath: path))
        let client = try AdminClient(socketPath: path)
        await Self.expect(.unreachable) { _ = try await client.information() }
        try await client.close()
    }

    @Test func `a path that no socket can have is refused`() throws {
        #expect(throws: AdminError(.invalidArgument, "")) {
            _ = try AdminClient(socketPath: "/" + String(repeating: "a", count: 107))
        }
    }

    // MARK: -

    private static func run(
        _ way: Way, _ body: (any AdminAccess) async throws -> Void
    ) async throws {
        switch way {
        case .here:
            let directory = try TemporaryDirectory()
            let store = try await Store.open(at: directory.path("store"))
            let access = LocalAccess(store)
            do { try await body(access) } catch {
                try await access.close()
                throw error
            }
            try await access.close()
        case .served:
            try await ServerKit.run { kit in
                let client = try AdminClient(socketPath: kit.socketPath)
                do { try await body(client) } catch {
                    try await client.close()
                    throw error
                }
                try await client.close()
            }
        }
    }

    private static func expect(
        _ code: AdminError.Code, _ location: SourceLocation = #_sourceLocation,
        _ body: () async throws -> Void
    ) async {
        do {
            try await body()
            Issue.record("expected \(code)", sourceLocation: location)
        } catch {
            #expect(
                (error as? AdminError)?.code == code, "\(error)", sourceLocation: location)
        }
    }

    /// Hands out bytes in pieces of odd sizes.
    private static func source(_ bytes: [UInt8]) -> AdminByteSource {
        let rest = Rest(bytes[...])
        return { buffer in
            rest.bytes.withLock { bytes in
                let count = min(buffer.count, bytes.count, 77_777)
                buffer.replaceSubrange(0..<count, with: bytes.prefix(count))
                bytes = bytes.dropFirst(count)
                return count
            }
        }
    }

    private static func read(
        _ access: any AdminAccess, _ digest: Digest, _ bucket: String, _ range: Range<UInt64>?
    ) async throws -> [UInt8] {
        let read = Rest([])
        _ = try await access.get(digest, in: bucket, range: range) { buffer in
            read.bytes.withLock { $0 += buffer }
        }
        return read.bytes.withLock { Array($0) }
    }

    private final class Rest: Sendable {
        let bytes: Mutex<ArraySlice<UInt8>>
        init(_ bytes: ArraySlice<UInt8>) { self.bytes = Mutex(bytes) }
    }
}
