// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Putting and getting blobs` {
    /// Below, at and above the border of small blobs, and past several 1 MiB buffers.
    static let byteCounts = [0, 1, 16_384, 16_385, 1 << 20, (3 << 20) + 1]

    @Test(arguments: byteCounts)
    func `a file comes back as it was`(_ byteCount: Int) async throws {
        let tool = try await CairnTool.withBucket()
        let bytes = noise(byteCount)
        let put = try await tool.succeed("put", "app/web", tool.file("in", bytes))
        let fields = put.lines[0].split(separator: " ").map(String.init)
        #expect(fields[1...] == ["\(byteCount)", tool.path("in")])
        let get = try await tool.succeed(
            "get", "app/web", fields[0], "--output", tool.path("out"))
        #expect(get.output.isEmpty)
        #expect(try read(tool.path("out")) == bytes)
    }

    @Test(arguments: byteCounts)
    func `standard input comes back on standard output`(_ byteCount: Int) async throws {
        let tool = try await CairnTool.withBucket()
        let bytes = noise(byteCount)
        let put = try await tool.succeed("put", "app/web", "-", input: bytes)
        let digest = String(put.text.prefix { $0 != " " })
        #expect(put.text == "\(digest) \(byteCount) -\n")
        #expect(try await tool.succeed("get", "app/web", digest).output == bytes)
        #expect(try await tool.succeed("get", "app/web", digest, "-o", "-").output == bytes)
    }

    @Test func `the digest is the one that everybody computes`() async throws {
        let tool = try await CairnTool.withBucket()
        let put = try await tool.succeed("put", "app/web", "-", input: Array("abc".utf8))
        // NIST FIPS 180-4, example of one block.
        #expect(put.text.hasPrefix(abcDigest + " 3 "))
    }

    @Test func `a blob whose SHA-512 digest is expected is named by it`() async throws {
        let tool = try await CairnTool.withBucket()
        // NIST FIPS 180-4, example of one block.
        let digest =
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        let put = try await tool.succeed(
            "put", "app/web", "-", "--expect", digest, input: Array("abc".utf8))
        #expect(put.text == "\(digest) 3 -\n")
        #expect(try await tool.succeed("get", "app/web", digest).text == "abc")
    }

    @Test func `several files are reported in the order in which they were given`() async throws {
        let tool = try await CairnTool.withBucket()
        let files = try (0..<9).map { try tool.file("f\($0)", noise((9 - $0) * 150_000)) }
        let put = try await tool.run(["put", "app/web", "--jobs", "3"] + files)
        #expect(put.exitCode == 0)
        #expect(put.lines.map { $0.split(separator: " ").last.map(String.init) } == files)
        #expect(try await tool.succeed("ls", "app/web").lines.count == 9)
    }

    @Test func `what precedes a file that cannot be stored is reported and kept`() async throws {
        let tool = try await CairnTool.withBucket()
        let good = try tool.file("good", noise(10))
        let put = try await tool.run(
            "put", "app/web", "--jobs", "1", good, tool.path("absent"), good)
        #expect(put.exitCode == 8)
        #expect(put.error.contains("absent"))
        #expect(put.lines.count == 1)
        #expect(try await tool.succeed("ls", "app/web").lines.count == 1)
    }

    @Test func `bytes that do not have the digest expected are not kept`() async throws {
        let tool = try await CairnTool.withBucket()
        let other = Array("abd".utf8)
        let put = try await tool.run(
            "put", "app/web", "-", "--expect", abcDigest, input: other)
        #expect(put.exitCode == 5)
        #expect(put.output.isEmpty)
        #expect(try await tool.succeed("ls", "app/web").output.isEmpty)
        let right = try await tool.run(
            "put", "app/web", "-", "--expect", abcDigest, input: Array("abc".utf8))
        #expect(right.exitCode == 0)
    }

    @Test func `a failed get leaves the directory and the file in it as they were`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 3 << 20)
        try damage(tool.store)
        try FileManager.default.createDirectory(
            atPath: tool.path("target"), withIntermediateDirectories: false)
        let old = try tool.file("target/old", Array("before".utf8))
        for output in [old, tool.path("target/new")] {
            let get = try await tool.run("get", "app/web", digest, "-o", output)
            #expect(get.exitCode == 5)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: tool.path("target")) == ["old"])
        #expect(try read(old) == Array("before".utf8))
    }

    @Test func `get replaces the file behind a symbolic link and not the link`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1000)
        let file = try tool.file("file", [1])
        try FileManager.default.createSymbolicLink(
            atPath: tool.path("link"), withDestinationPath: file)
        _ = try await tool.succeed("get", "app/web", digest, "-o", tool.path("link"))
        #expect(try read(file) == noise(1000))
        let target = try FileManager.default.destinationOfSymbolicLink(atPath: tool.path("link"))
        #expect(target == file)
    }

    @Test func `get says so when it cannot write`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1000)
        for output in [tool.path("no/such/directory"), tool.scratch.path] {
            let get = try await tool.run("get", "app/web", digest, "-o", output)
            #expect(get.exitCode == 8)
        }
    }

    @Test(.enabled(if: isLong))
    func `memory does not grow with the size of standard input`() async throws {
        let tool = try await CairnTool.withBucket()
        let process = try BackgroundProcess(tool, ["put", "app/web", "-"])
        let block = noise(1 << 20)
        for _ in 0..<1024 { try await process.write(block) }
        let peak = try peakKibibytes(ofProcessNaming: tool.store)
        try process.endInput()
        #expect(await process.end() == 0)
        // 1 GiB went through. The caches of the index are the greater part of this bound.
        #expect(peak < 256 << 10)
    }
}
