// Part of Cairn, a content-addressed blob store.

import Cairn
import CairnCore
import CairnDriver
import CairnTestSupport
import CairnTesting
import Testing

@Suite struct StorageDriverTests {
    private static func driver() async throws -> (InMemoryStore, Store, StorageDriver) {
        let memory = InMemoryStore()
        let store = try await memory.open()
        let bucket = try await store.defaultAccount.createBucket("registry")
        return (memory, store, StorageDriver(bucket))
    }

    private static func code(of body: () async throws -> Void) async -> DriverError.Code? {
        do {
            try await body()
            return nil
        } catch let error as DriverError {
            return error.code
        } catch {
            Issue.record(error)
            return nil
        }
    }

    private static func put(
        _ driver: StorageDriver, _ path: String, _ bytes: [UInt8]
    ) async throws { try await driver.putContents(path, bytes.span) }

    private static func read(
        _ driver: StorageDriver, _ path: String, at offset: Int64 = 0
    ) async throws -> [UInt8] {
        var found: [UInt8] = []
        for try await buffer in try await driver.reader(path, at: offset) { found += buffer }
        return found
    }

    @Test func `files are written, read, described and replaced`() async throws {
        let (_, store, driver) = try await Self.driver()
        for count in [0, 1, 20_000, 2_000_000] {
            let bytes = TestData.random(count, seed: UInt64(count))
            try await Self.put(driver, "/docker/registry/v2/file", bytes)
            #expect(try await driver.contents("/docker/registry/v2/file") == bytes)
            let info = try await driver.stat("/docker/registry/v2/file")
            #expect(info.byteCount == UInt64(count) && !info.isDirectory)
            for offset in [0, count / 2, count] {
                let part = try await Self.read(
                    driver, "/docker/registry/v2/file", at: Int64(offset))
                #expect(part.count == count - offset && part.elementsEqual(bytes[offset...]))
            }
            for offset in [-1, Int64(count) + 1, .max, .min] {
                #expect(
                    await Self.code {
                        _ = try await driver.reader("/docker/registry/v2/file", at: offset)
                    } == .offsetInvalid)
            }
        }
        #expect(
            await Self.code { _ = try await driver.contents("/docker/registry/v2/file", upTo: 1) }
                == .tooLarge)
        try await store.close()
    }

    @Test func `directories are there when something is below them`() async throws {
        let (_, store, driver) = try await Self.driver()
        #expect(try await driver.list("/").isEmpty)
        #expect(try await driver.stat("/").isDirectory)
        for path in ["/a/b/one", "/a/b/two", "/a/c", "/ab/three", "/a"] {
            try await Self.put(driver, path, [1])
        }
        #expect(try await driver.list("/") == ["/a", "/ab"])
        #expect(try await driver.list("/a") == ["/a/b", "/a/c"])
        #expect(try await driver.list("/a/b") == ["/a/b/one", "/a/b/two"])
        #expect(try await driver.stat("/a/b").isDirectory)
        #expect(try await !driver.stat("/a").isDirectory)
        for path in ["/x", "/a/b/one/x", "/a/"] where path != "/a/" {
            #expect(await Self.code { _ = try await driver.stat(path) } == .pathNotFound)
            #expect(await Self.code { _ = try await driver.list(path) } == .pathNotFound)
            #expect(await Self.code { _ = try await driver.contents(path) } == .pathNotFound)
            #expect(await Self.code { try await driver.delete(path) } == .pathNotFound)
            #expect(await Self.code { try await driver.move(path, to: "/y") } == .pathNotFound)
        }
        try await driver.delete("/a")
        #expect(try await driver.list("/") == ["/ab"])
        try await driver.delete("/")
        #expect(try await driver.list("/").isEmpty)
        try await store.close()
    }

    @Test func `a deletion takes thousands of files along`() async throws {
        let (_, store, driver) = try await Self.driver()
        for number in 0..<2100 { try await Self.put(driver, "/many/\(number)/file", [1]) }
        #expect(try await driver.list("/many").count == 2100)
        try await driver.delete("/many")
        #expect(await Self.code { _ = try await driver.stat("/many") } == .pathNotFound)
        try await store.close()
    }

    @Test(arguments: [
        "", "a", "/a/", "//a", "/a//b", "/a b", "/ä", "/a/../b", "/.", "/a\0", "/a\n",
        "/" + String(repeating: "a", count: 1025),
    ])
    func `paths that are none are refused by every call`(_ path: String) async throws {
        let (_, store, driver) = try await Self.driver()
        let calls: [() async throws -> Void] = [
            { try await Self.put(driver, path, [1]) }, { _ = try await driver.contents(path) },
            { _ = try await driver.reader(path) }, { _ = try await driver.stat(path) },
            { _ = try await driver.list(path) }, { try await driver.delete(path) },
            { try await driver.move(path, to: "/a") }, { try await driver.move("/a", to: path) },
            { _ = try await driver.writer(path, append: false) },
            { try await driver.walk(path) { _ in .enter } },
        ]
        for call in calls { #expect(await Self.code(of: call) == .pathInvalid) }
        try await store.close()
    }

    @Test func `a writer shows nothing until it commits, and goes on after it was closed`()
        async throws
    {
        let (memory, store, driver) = try await Self.driver()
        let bytes = TestData.random(20 << 20, seed: 1)
        try await Self.put(driver, "/file", [1, 2, 3])
        let first = try await driver.writer("/file", append: false)
        try await first.write(Array(bytes[..<(9 << 20)]))
        #expect(await first.byteCount == 9 << 20)
        #expect(try await driver.contents("/file") == [1, 2, 3])
        try await first.close()
        #expect(await Self.code { try await first.write([1]) } == .closed)
        #expect(await Self.code { try await first.commit() } == .closed)
        try await store.close()
        // Another process.
        let again = try await memory.open()
        let reopened = StorageDriver(try await again.defaultAccount.bucket("registry"))
        let second = try await reopened.writer("/file", append: true)
        #expect(await second.byteCount == 9 << 20)
        try await second.write(Array(bytes[(9 << 20)...]))
        let object = try await second.commit()
        #expect(object.digest == Digest.sha256(of: bytes.span))
        #expect(try await reopened.stat("/file").byteCount == 20 << 20)
        #expect(await Self.code { try await second.cancel() } == .closed)
        let report = try await again.verify(.full)
        #expect(report.isSound)
        try await again.close()
    }

    @Test func `a writer goes on behind a file, whatever its size, and cancels without a trace`()
        async throws
    {
        let (_, store, driver) = try await Self.driver()
        for count in [0, 5, 3_000_000] {
            let bytes = TestData.random(count, seed: UInt64(count))
            try await Self.put(driver, "/file", bytes)
            let cancelled = try await driver.writer("/file", append: true)
            try await cancelled.write([7])
            try await cancelled.cancel()
            let writer = try await driver.writer("/file", append: true)
            #expect(await writer.byteCount == UInt64(count))
            try await writer.write([8, 9])
            let object = try await writer.commit()
            let expected = bytes + [8, 9]
            #expect(object.digest == Digest.sha256(of: expected.span))
            #expect(try await Self.read(driver, "/file") == expected)
        }
        let empty = try await driver.writer("/new", append: true)
        try await empty.commit()
        #expect(try await driver.stat("/new").byteCount == 0)
        // What was left behind is given up by a writer that begins anew.
        let left = try await driver.writer("/new", append: false)
        try await left.write([1])
        try await left.close()
        let fresh = try await driver.writer("/new", append: false)
        try await fresh.write([2])
        try await fresh.commit()
        #expect(try await driver.contents("/new") == [2])
        let report = try await store.verify(.full)
        #expect(report.isSound)
        try await store.close()
    }

    // Found by a reviewer: each time the tree of the blob grew a level, until nobody could read it.
    @Test(arguments: [5, 200_000, 1_500_000])
    func `a file can be appended to any number of times`(_ count: Int) async throws {
        let (_, store, driver) = try await Self.driver()
        var expected = TestData.compressible(count, seed: 1)
        try await Self.put(driver, "/file", expected)
        for round in 0..<40 {
            let more = TestData.compressible(round % 7 == 0 ? 30_000 : 3, seed: UInt64(round))
            let writer = try await driver.writer("/file", append: true)
            try await writer.write(more)
            let object = try await writer.commit()
            expected += more
            #expect(object.digest == Digest.sha256(of: expected.span))
        }
        #expect(try await driver.contents("/file") == expected)
        let report = try await store.verify(.full)
        #expect(report.problems.map(\.message) == [])
        try await driver.delete("/file")
        try await store.sweep()
        #expect(try await store.statistics().chunkCount == 0)
        try await store.close()
    }

    @Test func `what was left while a writer was begun is not gone on with`() async throws {
        let memory = InMemoryStore()
        let store = try await memory.open()
        let bucket = try await store.defaultAccount.createBucket("registry")
        let driver = StorageDriver(bucket)
        try await Self.put(driver, "/file", [1, 2, 3])
        // As a crash leaves it: begun, and without the part that it goes on behind.
        _ = try await bucket.beginMultipartUpload("file")
        let writer = try await driver.writer("/file", append: true)
        try await writer.write([4])
        try await writer.commit()
        #expect(try await driver.contents("/file") == [1, 2, 3, 4])
        // What was replaced or moved does not come back with a writer that was closed before.
        let older = try await driver.writer("/file", append: true)
        try await older.write([7])
        try await older.close()
        try await Self.put(driver, "/file", [8])
        let behind = try await driver.writer("/file", append: true)
        try await behind.write([9])
        try await behind.commit()
        #expect(try await driver.contents("/file") == [8, 9])
        for (path, target) in [("/file", "/moved"), ("/moved", "/file")] {
            for path in ["/file", "/moved"] {
                let left = try await driver.writer(path, append: true)
                try await left.write([10])
                try await left.close()
            }
            try await driver.move(path, to: target)
            #expect(try await bucket.multipartUploads().uploads.isEmpty)
            #expect(try await driver.contents(target) == [8, 9])
        }
        // Nor what is deleted.
        let left = try await driver.writer("/file", append: true)
        try await left.write([5])
        try await left.close()
        try await driver.delete("/file")
        let next = try await driver.writer("/file", append: true)
        try await next.write([6])
        try await next.commit()
        #expect(try await driver.contents("/file") == [6])
        try await Self.put(driver, "/both", [1])
        try await Self.put(driver, "/both/below", [1])
        var visited: [String] = []
        try await driver.walk("/") { info in
            visited.append(info.path)
            return .enter
        }
        #expect(visited == ["/both", "/both/below", "/file"])
        let long = "/" + String(repeating: "k", count: 1024)
        try await Self.put(driver, long, [1])
        #expect(await Self.code { _ = try await driver.list(long) } == .pathNotFound)
        try await driver.delete(long)
        #expect(await Self.code { _ = try await driver.stat(long) } == .pathNotFound)
        try await store.close()
    }

    @Test func `a file is moved in place of another, and keeps its bytes`() async throws {
        let (_, store, driver) = try await Self.driver()
        let bytes = TestData.random(500_000, seed: 1)
        try await Self.put(driver, "/uploads/x/data", bytes)
        try await Self.put(driver, "/blobs/data", [1])
        try await driver.move("/uploads/x/data", to: "/blobs/data")
        #expect(try await driver.contents("/blobs/data") == bytes)
        #expect(try await driver.list("/") == ["/blobs"])
        try await Self.put(driver, "/dir/file", [1])
        #expect(await Self.code { try await driver.move("/dir", to: "/other") } == .pathNotFound)
        try await store.close()
    }

    @Test func `a walk visits directories before what is below, skips and stops`() async throws {
        let (_, store, driver) = try await Self.driver()
        for path in ["/a/1", "/a/2", "/b/c/3", "/b/d", "/e"] {
            try await Self.put(driver, path, [1])
        }
        var visited: [String] = []
        try await driver.walk("/") { info in
            visited.append(info.path)
            return .enter
        }
        #expect(visited == ["/a", "/a/1", "/a/2", "/b", "/b/c", "/b/c/3", "/b/d", "/e"])
        visited = []
        try await driver.walk("/") { info in
            visited.append(info.path)
            if info.path == "/a/1" || info.path == "/b/c" { return .skip }
            return info.path == "/b/d" ? .stop : .enter
        }
        #expect(visited == ["/a", "/a/1", "/b", "/b/c", "/b/d"])
        #expect(
            await Self.code { try await driver.walk("/nothing") { _ in .enter } } == .pathNotFound)
        try await store.close()
    }
}
