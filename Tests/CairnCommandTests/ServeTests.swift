// Part of Cairn, a content-addressed blob store.
import Foundation
import FoundationNetworking
import Testing

@Suite struct `Commands beside a running server` {
    /// Starts a server on a free port and waits until it accepts connections.
    private func serve(_ tool: CairnTool) async throws -> (BackgroundProcess, String) {
        let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0", "--json"])
        let address = try object(await server.firstLine())["address"] as? String
        return (server, try #require(address))
    }

    @Test func `every command works through the server`() async throws {
        let tool = try CairnTool()
        _ = try await tool.succeed("init")
        let (server, _) = try await serve(tool)
        let bytes = noise((3 << 20) + 1)
        _ = try await tool.succeed("bucket", "create", "app/web")
        _ = try await tool.succeed("bucket", "create", "app/db")
        #expect(try await tool.succeed("bucket", "ls").lines.count == 2)
        let digest = try await putNoise(tool, bytes.count)
        #expect(try await tool.succeed("get", "app/web", digest).output == bytes)
        _ = try await tool.succeed("get", "app/web", digest, "-o", tool.path("out"))
        #expect(try read(tool.path("out")) == bytes)
        #expect(
            try await tool.succeed("stat", "app/web", digest).text
                .hasPrefix("\(digest) \(bytes.count) "))
        _ = try await tool.succeed("mount", "app/db", digest, "--from", "app/web")
        #expect(try await tool.succeed("ls", "app/db").lines.count == 1)
        _ = try await tool.succeed("rm", "app/db", digest)
        _ = try await tool.succeed("bucket", "rm", "app/db")
        _ = try await tool.succeed("bucket", "describe", "app/web")
        _ = try await tool.succeed("upload", "ls", "app/web")
        _ = try await tool.succeed("stats")
        #expect(try await tool.succeed("verify").text.hasPrefix("Sound: 1 blobs"))
        #expect(await server.stop() == 0)
        // And without the server again, on what it has left.
        #expect(try await tool.succeed("get", "app/web", digest).output == bytes)
    }

    @Test func `failures have the same exit codes through the server`() async throws {
        let tool = try await CairnTool.withBucket()
        let (server, _) = try await serve(tool)
        func code(_ arguments: String...) async throws -> Int32 {
            try await tool.run(arguments, input: [1]).exitCode
        }
        #expect(try await code("init") == 4)
        #expect(try await code("bucket", "create", "app/web") == 4)
        #expect(try await code("bucket", "create", "../etc") == 64)
        #expect(try await code("ls", "app/db") == 3)
        #expect(try await code("stat", "app/web", absentDigest) == 3)
        #expect(try await code("get", "app/web", absentDigest, "-o", tool.path("x")) == 3)
        #expect(try await code("put", "app/web", "-", "--expect", absentDigest) == 5)
        #expect(try await code("put", "app/web", tool.path("absent")) == 8)
        #expect(await server.stop(SIGINT) == 0)
    }

    @Test func `the server says in one line where it listens`() async throws {
        let tool = try CairnTool()
        let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0"])
        let line = await server.firstLine()
        #expect(line.contains("127.0.0.1:"))
        #expect(!line.contains(":0 "))
        #expect(await server.stop() == 0)
    }

    @Test func `metrics are served at an address of their own when one is given`() async throws {
        let tool = try CairnTool()
        let server = try BackgroundProcess(
            tool,
            ["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json"])
        let line = try object(await server.firstLine())
        let address = try #require(line["address"] as? String)
        let metricsAddress = try #require(line["metricsAddress"] as? String)
        #expect(metricsAddress != address)
        _ = try await tool.succeed("bucket", "create", "app/web")
        _ = try await tool.succeed("put", "app/web", "-", input: noise(1000))
        let text = try await get("http://\(metricsAddress)/metrics")
        #expect(text.contains("\ncairn_received_bytes_total 1000\n"))
        #expect(text.hasSuffix("# EOF\n"))
        #expect(try await get("http://\(address)/ready") == #"{"status":"ready"}"#)
        #expect(try await !get("http://\(address)/metrics").contains("cairn_"))
        #expect(await server.stop() == 0)
        let plain = try await tool.run("serve", "--metrics", "9090")
        #expect(plain.exitCode == 64)
    }

    private func get(_ url: String) async throws -> String {
        let (data, _) = try await URLSession.shared.data(from: try #require(URL(string: url)))
        return String(decoding: data, as: UTF8.self)
    }

    @Test func `a port that is taken is a failure and not a silence`() async throws {
        let tool = try CairnTool()
        _ = try await tool.succeed("init")
        let (server, address) = try await serve(tool)
        let second = try CairnTool()
        let outcome = try await second.run("serve", "--listen", address)
        #expect(outcome.exitCode == 1)
        #expect(outcome.error.contains(address))
        #expect(try await tool.run("serve", "--listen", "127.0.0.1:0").exitCode == 6)
        #expect(await server.stop() == 0)
    }

    @Test func `a damaged blob is an integrity failure through the server too`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 3 << 20)
        try damage(tool.store)
        let (server, _) = try await serve(tool)
        #expect(
            try await tool.run("get", "app/web", digest, "-o", tool.path("out")).exitCode == 5)
        #expect(!FileManager.default.fileExists(atPath: tool.path("out")))
        #expect(try await tool.run("verify").exitCode == 5)
        #expect(await server.stop() == 0)
    }
}
