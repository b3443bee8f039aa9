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
        let server = try throughServer ? await serving(tool) : nil
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
        let server = try throughServer ? await serving(tool) : nil
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
        let server = try throughServer ? await serving(tool) : nil
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

    @Test(arguments: [false, true])
    func `objects are locked, and rules are set, tried and applied`(
        throughServer: Bool
    ) async throws {
        let tool = try await CairnTool.withBucket()
        let server = try throughServer ? await serving(tool) : nil
        let file = try tool.file("noise", noise(50_000))
        _ = try await tool.succeed("object", "put", "app/web", "key", file)
        #expect(
            try await tool.succeed("object", "lock", "app/web", "key").text.contains("none"))
        let until = "2100-01-01T00:00:00Z"
        let locked = try await tool.succeed(
            "object", "lock", "app/web", "key", "--retain", "governance", "--until", until,
            "--hold", "on", "--json")
        let lock = try #require(try object(locked.text)["lock"] as? [String: Any])
        #expect(lock["mode"] as? String == "governance" && lock["retainUntil"] as? String == until)
        #expect(lock["legalHold"] as? Bool == true)
        #expect(try await tool.run("object", "rm", "app/web", "key").exitCode == 4)
        #expect(try await tool.run("object", "put", "app/web", "key", file).exitCode == 4)
        #expect(try await tool.run("bucket", "rm", "app/web", "--force").exitCode == 4)
        #expect(
            try await tool.succeed("object", "head", "app/web", "key").text
                .contains("governance until \(until)"))
        _ = try await tool.succeed("object", "lock", "app/web", "key", "--hold", "off")
        #expect(
            try await tool.run("object", "rm", "app/web", "key", "--version", "null").exitCode == 4)
        for options in [
            ["--retain", "governance"], ["--until", until], ["--hold", "maybe"],
            ["--retain", "forever", "--until", until],
            ["--retain", "governance", "--until", "tomorrow"],
        ] {
            #expect(
                try await tool.run(["object", "lock", "app/web", "key"] + options).exitCode == 64)
        }
        _ = try await tool.succeed(
            "object", "rm", "app/web", "key", "--version", "null", "--bypass-governance")

        let rules = try tool.file(
            "rules.json",
            Array(
                """
                [{"id":"old","prefix":"builds/","expirationDate":"2020-01-01T00:00:00Z"},
                {"id":"rest","enabled":false,"expirationDays":3,"tags":{"a":"b"}}]
                """.utf8))
        _ = try await tool.succeed("object", "put", "app/web", "builds/1", file)
        _ = try await tool.succeed("object", "put", "app/web", "other", file)
        let preview = try object(
            try await tool.succeed(
                "bucket", "lifecycle", "preview", "app/web", rules, "--json"
            ).text)
        #expect(preview["expiredObjectCount"] as? Int == 1)
        // The other object has the same body.
        #expect(preview["freedByteCount"] as? Int == 0)
        _ = try await tool.succeed("bucket", "lifecycle", "set", "app/web", rules)
        let set = try await tool.succeed("bucket", "lifecycle", "get", "app/web").text
        #expect(set.contains("\"old\"") && set.contains("2020-01-01T00:00:00Z"))
        _ = try await tool.succeed(
            "bucket", "lifecycle", "set", "app/web", "-", input: Array(set.utf8))
        // A running server may have been there first.
        _ = try await tool.succeed("bucket", "lifecycle", "apply")
        #expect(try await tool.run("object", "head", "app/web", "builds/1").exitCode == 3)
        let bad = try tool.file("bad.json", Array(#"[{"id":"x","expirationDays":0}]"#.utf8))
        #expect(try await tool.run("bucket", "lifecycle", "set", "app/web", bad).exitCode == 64)
        #expect(try await tool.run("bucket", "lifecycle", "set", "app/web", file).exitCode == 64)

        let events = try await tool.succeed("bucket", "events", "app/web", "--json").text
            .split(separator: "\n").map { try object(String($0)) }
        #expect(events.contains { $0["cause"] as? String == "lifecycle" })
        let last = try #require(events.last?["cursor"] as? String)
        #expect(
            try await tool.succeed("bucket", "events", "app/web", "--after", last).text.isEmpty)
        let gone = String(repeating: "0", count: 31) + "1"
        #expect(try await tool.run("bucket", "events", "app/web", "--after", gone).exitCode == 4)
        if let server { #expect(await server.stop() == 0) }
    }

    @Test(arguments: [false, true])
    func `a directory and a bucket are made equal, in both directions`(
        throughServer: Bool
    ) async throws {
        let tool = try await CairnTool.withBucket()
        let server = try throughServer ? await serving(tool) : nil
        let source = tool.path("source")
        let manager = FileManager.default
        try manager.createDirectory(
            atPath: source + "/deep/er", withIntermediateDirectories: true)
        let contents: [String: [UInt8]] = [
            "a": noise(100_000), "deep/b": [], "deep/er/c": [1, 2, 3], "ä ö": noise(20_000),
        ]
        for (name, bytes) in contents {
            try Data(bytes).write(to: URL(fileURLWithPath: source + "/" + name))
        }
        try manager.createSymbolicLink(
            atPath: source + "/link", withDestinationPath: "/etc/passwd")
        let dry = try object(
            try await tool.succeed(
                "object", "sync", source, "app/web", "site/", "--dry-run", "--json"
            ).text)
        #expect(dry["copiedCount"] as? Int == 4)
        #expect(try await tool.succeed("object", "ls", "app/web").text.isEmpty)
        _ = try await tool.succeed("object", "sync", source, "app/web", "site/")
        for (name, bytes) in contents {
            let got = try await tool.succeed("object", "get", "app/web", "site/" + name)
            #expect(got.output == bytes)
        }
        let again = try object(
            try await tool.succeed("object", "sync", source, "app/web", "site/", "--json").text)
        #expect(again["copiedCount"] as? Int == 0 && again["equalCount"] as? Int == 4)

        let target = tool.path("target")
        _ = try await tool.succeed("object", "sync", target, "app/web", "site/", "--back")
        for (name, bytes) in contents { #expect(try read(target + "/" + name) == bytes) }
        #expect(!manager.fileExists(atPath: target + "/link"))
        // Other bytes of the same length, a file too many, an object too many.
        try Data([3, 2, 1]).write(to: URL(fileURLWithPath: target + "/deep/er/c"))
        try Data([1]).write(to: URL(fileURLWithPath: target + "/extra"))
        let back = try object(
            try await tool.succeed(
                "object", "sync", target, "app/web", "site/", "--back", "--delete", "--json"
            ).text)
        #expect(back["copiedCount"] as? Int == 1 && back["removedCount"] as? Int == 1)
        #expect(try read(target + "/deep/er/c") == [1, 2, 3])
        #expect(!manager.fileExists(atPath: target + "/extra"))
        try manager.removeItem(atPath: source + "/a")
        _ = try await tool.succeed("object", "sync", source, "app/web", "site/", "--delete")
        #expect(try await tool.run("object", "head", "app/web", "site/a").exitCode == 3)
        #expect(try await tool.run("object", "sync", tool.path("none"), "app/web").exitCode == 8)
        if let server { #expect(await server.stop() == 0) }
    }

    @Test func `keys that lead out of a directory are not written`() async throws {
        let tool = try await CairnTool.withBucket()
        let file = try tool.file("noise", noise(10))
        for key in ["../out", "a/../../out", "/abs", "a//b", "dir/", "."] {
            _ = try await tool.succeed("object", "put", "app/web", key, file)
            let target = tool.path("target")
            let synced = try await tool.run("object", "sync", target, "app/web", "--back")
            #expect(synced.exitCode == 64)
            #expect(!FileManager.default.fileExists(atPath: tool.path("out")))
            _ = try await tool.succeed("object", "rm", "app/web", key)
        }
        // Nor through a link.
        let outside = tool.path("outside")
        let target = tool.path("linked")
        for path in [outside, target] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        }
        try FileManager.default.createSymbolicLink(
            atPath: target + "/dir", withDestinationPath: outside)
        _ = try await tool.succeed("object", "put", "app/web", "dir/file", file)
        #expect(try await tool.run("object", "sync", target, "app/web", "--back").exitCode == 8)
        #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
        _ = try await tool.succeed("object", "rm", "app/web", "dir/file")
        // A link that is itself in the place of a file is replaced.
        let precious = tool.path("precious")
        try Data([7]).write(to: URL(fileURLWithPath: precious))
        let links = tool.path("links")
        try FileManager.default.createDirectory(atPath: links, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: links + "/current", withDestinationPath: precious)
        _ = try await tool.succeed("object", "put", "app/web", "current", file)
        _ = try await tool.succeed("object", "sync", links, "app/web", "--back")
        #expect(try read(precious) == [7])
        #expect(try read(links + "/current").count == 10)
    }

    @Test func `a file takes the place of a directory, and the other way round`() async throws {
        let tool = try await CairnTool.withBucket()
        let file = try tool.file("file", [1])
        for key in ["a/b", "c"] {
            _ = try await tool.succeed("object", "put", "app/web", key, file)
        }
        let target = tool.path("target")
        let manager = FileManager.default
        try manager.createDirectory(
            atPath: target + "/c/d/e", withIntermediateDirectories: true)
        for path in ["/a", "/c/d/e/f"] {
            try Data([2]).write(to: URL(fileURLWithPath: target + path))
        }
        let mixed = try await tool.run("object", "sync", target, "app/web", "--back")
        #expect(mixed.exitCode == 8)
        _ = try await tool.succeed("object", "sync", target, "app/web", "--back", "--delete")
        #expect(try read(target + "/a/b") == [1] && read(target + "/c") == [1])
        _ = try await tool.succeed("object", "rm", "app/web", "a/b")
        _ = try await tool.succeed("object", "sync", target, "app/web", "--back", "--delete")
        #expect(try manager.contentsOfDirectory(atPath: target) == ["c"])
    }

    @Test func `names are told apart by their bytes`() async throws {
        let tool = try await CairnTool.withBucket()
        let composed = try tool.file("composed", [1])
        let decomposed = try tool.file("decomposed", [2])
        // Equal by the rules of Unicode; and a slash that a mark follows is still a slash.
        let keys = ["\u{e9}", "e\u{301}", "a/\u{301}b"]
        for (key, file) in zip(keys, [composed, decomposed, composed]) {
            _ = try await tool.succeed("object", "put", "app/web", key, file)
        }
        let target = tool.path("target")
        _ = try await tool.succeed("object", "sync", target, "app/web", "--back")
        #expect(try read(target + "/" + keys[0]) == [1])
        #expect(try read(target + "/" + keys[1]) == [2])
        #expect(try read(target + "/a/\u{301}b") == [1])
        let again = try object(
            try await tool.succeed("object", "sync", target, "app/web", "--json").text)
        #expect(again["equalCount"] as? Int == 3)
        // The prefix ends between bytes, not between characters.
        _ = try await tool.succeed("object", "put", "app/web", "b", decomposed)
        let inner = tool.path("inner")
        _ = try await tool.succeed("object", "sync", inner, "app/web", "a/", "--back", "--delete")
        #expect(try read(inner + "/\u{301}b") == [1])
        _ = try await tool.succeed("object", "put", "app/web", "../\u{301}x", composed)
        let synced = try await tool.run("object", "sync", target, "app/web", "--back")
        #expect(synced.exitCode == 64)
        let bad = try tool.file(
            "bad.json", Array(#"[{"id":"x","prefx":"builds/","expirationDays":30}]"#.utf8))
        #expect(try await tool.run("bucket", "lifecycle", "set", "app/web", bad).exitCode == 64)
    }
}
