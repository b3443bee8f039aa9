// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Objects on the command line` {
    // The same commands on the store itself and through the server that has it open.
    @Test(arguments: [false, true])
    func `objects are put, read, listed, copied, moved and removed`(
        throughServer: Bool
    ) async throws {
        let tool = try await CairnTool.withBucket()
        _ = try await tool.succeed("bucket", "create", "app/db")
        let server = try throughServer ? await Self.server(tool) : nil
        let noise = noise(300_000)
        let file = try tool.file("noise", noise)
        let layer = try await putNoise(tool, 50_000)

        let etag = try await tool.succeed(
            "object", "put", "app/web", "a/b", file, "--if-none-match", "*", "--content-type",
            "text/x", "--cache-control", "no-store", "--metadata", "by=test", "--tag", "t=1",
            "--reference", layer
        ).text.trimmingCharacters(in: .newlines)
        #expect(
            try await tool.run("object", "put", "app/web", "a/b", file, "--if-none-match", "*")
                .exitCode == 4)
        let head = try object(
            try await tool.succeed("object", "head", "app/web", "a/b", "--json").text)
        #expect(head["etag"] as? String == etag)
        #expect(head["byteCount"] as? Int == 300_000)
        #expect(head["referenceCount"] as? Int == 1)
        let attributes = try #require(head["attributes"] as? [String: Any])
        #expect(attributes["contentType"] as? String == "text/x")
        #expect(attributes["cacheControl"] as? String == "no-store")
        #expect(attributes["metadata"] as? [String: String] == ["by": "test"])
        let text = try await tool.succeed("object", "head", "app/web", "a/b").text
        #expect(text.contains("metadata by") && text.contains("tag t"))
        #expect(try await tool.run("rm", "app/web", layer).exitCode == 4)

        let copy = tool.path("copy")
        _ = try await tool.succeed("object", "get", "app/web", "a/b", "-o", copy)
        #expect(try read(copy) == noise)
        for (range, part) in [
            ("0-9", noise[..<10]), ("299990-", noise[299_990...]), ("-5", noise[299_995...]),
        ] {
            let got = try await tool.succeed("object", "get", "app/web", "a/b", "--range=\(range)")
            #expect(got.output == Array(part))
        }
        for range in ["300000-", "9-1", "x", "-0"] {
            let got = try await tool.run("object", "get", "app/web", "a/b", "--range=\(range)")
            #expect(got.exitCode == 64)
            #expect(got.output.isEmpty)
        }

        _ = try await tool.succeed("object", "cp", "app/web", "a/b", "app/db", "c")
        #expect(try await tool.succeed("object", "get", "app/db", "c").output == noise)
        _ = try await tool.succeed("object", "mv", "app/web", "a/b", "app/web", "a/c")
        #expect(try await tool.run("object", "head", "app/web", "a/b").exitCode == 3)
        _ = try await tool.succeed("object", "put", "app/web", "d", "-", input: [1])
        #expect(
            try await tool.run(
                "object", "mv", "app/web", "d", "app/web", "a/c", "--if-none-match", "*"
            )
            .exitCode == 4)
        _ = try await tool.succeed("object", "tag", "app/web", "d", "x=y")
        let list = try await tool.succeed("object", "ls", "app/web").lines
        #expect(list.map { $0.split(separator: " ").last } == ["a/c", "d"])
        let folded = try await tool.succeed("object", "ls", "app/web", "--delimiter", "/").lines
        #expect(folded.first == "PRE a/")
        #expect(folded.count == 2)
        let page = try object(
            try await tool.succeed("object", "ls", "app/web", "--limit", "1", "--json").text)
        let next = try #require(page["next"] as? String)
        let rest = try await tool.succeed("object", "ls", "app/web", "--after", next).lines
        #expect(rest.count == 1 && rest[0].hasSuffix(" d"))
        #expect(
            try await tool.run("object", "rm", "app/web", "d", "--if-match", etag).exitCode == 4)
        _ = try await tool.succeed("object", "rm", "app/web", "d", "a/c")
        #expect(try await tool.succeed("object", "ls", "app/web").output.isEmpty)
        #expect(try await tool.run("object", "rm", "app/web", "d").exitCode == 3)
        _ = try await tool.succeed("rm", "app/web", layer)
        #expect(try await tool.run("verify").exitCode == 0)
        if let server { #expect(await server.stop() == 0) }
    }

    @Test(arguments: [false, true])
    func `versions are kept, listed, read and removed`(throughServer: Bool) async throws {
        let tool = try await CairnTool.withBucket()
        let server = try throughServer ? await Self.server(tool) : nil
        #expect(try await tool.succeed("bucket", "versioning", "app/web").text == "off\n")
        #expect(
            try await tool.succeed("bucket", "versioning", "app/web", "enabled").text
                == "enabled\n")
        #expect(try await tool.run("bucket", "versioning", "app/web", "off").exitCode == 64)
        #expect(try await tool.run("bucket", "versioning", "app/web", "often").exitCode == 64)
        for byte in [1, 2] as [UInt8] {
            _ = try await tool.succeed("object", "put", "app/web", "k", "-", input: [byte])
        }
        _ = try await tool.succeed("object", "rm", "app/web", "k")
        #expect(try await tool.run("object", "get", "app/web", "k").exitCode == 3)
        let lines = try await tool.succeed("object", "versions", "app/web").lines
        let versions = lines.map { String($0.prefix { $0 != " " }) }
        #expect(versions.count == 3)
        #expect(lines[0].contains(" deleted ") && lines[0].hasSuffix(" - k"))
        for (version, byte) in zip(versions.dropFirst(), [2, 1] as [UInt8]) {
            let got = try await tool.succeed(
                "object", "get", "app/web", "k", "--version", version)
            #expect(got.output == [byte])
        }
        _ = try await tool.succeed("object", "rm", "app/web", "k", "--version", versions[0])
        #expect(try await tool.succeed("object", "get", "app/web", "k").output == [2])
        let head = try object(
            try await tool.succeed(
                "object", "head", "app/web", "k", "--version", versions[2], "--json"
            ).text)
        #expect(head["version"] as? String == versions[2])
        #expect(
            try await tool.run("object", "head", "app/web", "k", "--version", "x").exitCode == 64)
        _ = try await tool.succeed("object", "rm", "app/web", "k", "--version", versions[2])
        #expect(
            try await tool.run("object", "rm", "app/web", "k", "--version", versions[2]).exitCode
                == 3)
        #expect(try await tool.run("verify").exitCode == 0)
        if let server { #expect(await server.stop() == 0) }
    }

    @Test(arguments: [false, true])
    func `bad input ends with a code and changes nothing`(throughServer: Bool) async throws {
        let tool = try await CairnTool.withBucket()
        let server = try throughServer ? await Self.server(tool) : nil
        let long = String(repeating: "k", count: 1025)
        for arguments in [
            ["object", "put", "app/web", "", "-"], ["object", "put", "app/web", long, "-"],
            ["object", "put", "app/web", "k", "-", "--reference", "sha256:12"],
            ["object", "put", "app/web", "k", "-", "--metadata", "novalue"],
            ["object", "put", "app/web", "k", "-", "--content-type", "a\nb"],
            ["object", "put", "app/web", "k", "-", "--if-none-match", "x"],
            ["object", "put", "app/web", "k", "-", "--if-none-match", "*", "--if-match", "x"],
            ["object", "ls", "app/web", "--after", "zz"],
            ["object", "ls", "app/web", "--prefix", long],
            ["object", "get", "app/web", "k", "--json"],
        ] {
            let outcome = try await tool.run(arguments, input: [1])
            #expect(outcome.exitCode == 64, "\(arguments.joined(separator: " "))")
        }
        let absent = try await tool.run(
            ["object", "put", "app/web", "k", "-", "--reference", absentDigest], input: [1])
        #expect(absent.exitCode == 3)
        let tooMuch = try await tool.run(
            [
                "object", "put", "app/web", "k", "-", "--metadata",
                "a=" + String(repeating: "b", count: 3000),
            ],
            input: [1])
        #expect(tooMuch.exitCode == 1)
        #expect(tooMuch.error.contains("2048"))
        #expect(try await tool.succeed("object", "ls", "app/web").output.isEmpty)
        // Legal, however odd: it comes back as it is, and no terminal obeys it.
        _ = try await tool.succeed("object", "put", "app/web", "../a\u{1B}[2J\n", "-", input: [1])
        let list = try await tool.succeed("object", "ls", "app/web")
        #expect(list.lines.count == 1)
        #expect(list.text.hasSuffix(#" ../a\x1b[2J\x0a"# + "\n"))
        #expect(try await tool.succeed("object", "get", "app/web", "../a\u{1B}[2J\n").output == [1])
        #expect(try await tool.run("verify").exitCode == 0)
        if let server { #expect(await server.stop() == 0) }
    }

    private static func server(_ tool: CairnTool) async throws -> BackgroundProcess {
        let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0", "--json"])
        _ = await server.firstLine()
        return server
    }
}
