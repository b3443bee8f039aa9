// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Keys on the command line` {
    @Test func `a key governs its bucket until both are destroyed`() async throws {
        let tool = try await CairnTool.withBucket()
        let created = try await tool.succeed(
            "key", "create", "--alias", "alias/team", "--description", "of a team", "--tag",
            "team=a")
        let id = created.text.trimmingCharacters(in: .newlines)
        _ = try await tool.succeed(
            "bucket", "create", "team/app", "--key", "alias/team", "--dedup", "account")
        _ = try await tool.succeed("put", "team/app", "-", input: noise(100_000))
        let bucket = try object(
            try await tool.succeed("bucket", "describe", "team/app", "--json").text)
        #expect(bucket["customerKey"] as? String == id)
        #expect(bucket["deduplication"] as? String == "account")
        #expect(bucket["keyGeneration"] as? Int == 1)

        _ = try await tool.succeed("key", "disable", "alias/team")
        let locked = try await tool.run("ls", "team/app")
        #expect(locked.exitCode == 9)
        #expect(locked.error.contains("key \(id) is disabled"))
        #expect(locked.error.contains("cairn key enable"))
        #expect(try await tool.run("verify").exitCode == 0)
        _ = try await tool.succeed("key", "enable", id)

        _ = try await tool.succeed("key", "rotate", id)
        #expect(try await tool.succeed("bucket", "rewrap", "--key", id).text == "2\n")
        #expect(try await tool.succeed("bucket", "rewrap").text == "0\n")
        #expect(try await tool.succeed("bucket", "rotate-key", "team/app").text == "2\n")
        #expect(try await tool.succeed("key", "versions", id).lines.count == 2)
        _ = try await tool.succeed("key", "rotate", id, "--every", "365")
        let key = try object(try await tool.succeed("key", "describe", id, "--json").text)
        #expect(key["rotationPeriodDays"] as? Int == 365)
        #expect(key["aliases"] as? [String] == ["alias/team"])
        #expect(key["tags"] as? [String: String] == ["team": "a"])
        #expect(key["versionCount"] as? Int == 2)
        #expect(key["lastUse"] as? String == "GenerateDataKey")

        #expect(try await tool.run("bucket", "shred", "team/app").exitCode == 64)
        let receipt = try object(
            try await tool.succeed("bucket", "shred", "team/app", "--yes", "--json").text)
        #expect(receipt["blobCount"] as? Int == 1)
        #expect(receipt["generationCount"] as? Int == 2)
        #expect(try await tool.run("ls", "team/app").exitCode == 3)
        _ = try await tool.succeed("bucket", "purge")
        let head = try #require(receipt["auditHead"] as? String)
        #expect(try await tool.run("audit", "verify", "--head", head).exitCode == 0)
        _ = try await tool.succeed("key", "schedule-deletion", id, "--after", "7")
        #expect(try await tool.succeed("key", "ls").text.contains("\(id) pendingDeletion"))
        _ = try await tool.succeed("key", "cancel-deletion", id)
        #expect(try await tool.succeed("key", "ls").text.contains("\(id) disabled alias/team"))
        #expect(try await tool.run("verify").exitCode == 0)
    }

    @Test func `aliases, tags and grants come and go`() async throws {
        let tool = try await CairnTool.withBucket()
        let id = try await tool.succeed("key", "create").text
            .trimmingCharacters(in: .newlines)
        _ = try await tool.succeed("key", "alias", "create", id, "alias/one")
        _ = try await tool.succeed(
            "key", "alias", "move", "alias/cairn/default", "alias/one")
        #expect(
            try await tool.succeed("key", "ls").lines.first?.hasSuffix(" alias/one") == true)
        _ = try await tool.succeed("key", "alias", "rm", "alias/one")
        #expect(try await tool.run("key", "describe", "alias/one").exitCode == 3)
        _ = try await tool.succeed("key", "tag", id, "a=1", "b=2")
        _ = try await tool.succeed("key", "tag", id, "a=3", "--remove", "b")
        let key = try object(try await tool.succeed("key", "describe", id, "--json").text)
        #expect(key["tags"] as? [String: String] == ["a": "3"])
        let grant = try await tool.succeed(
            "key", "grants", "create", id, "--principal", "ci", "--operation", "Decrypt",
            "--context", "purpose=build"
        ).text.trimmingCharacters(in: .newlines)
        #expect(
            try await tool.succeed("key", "grants", "ls", id).lines == ["\(grant) ci Decrypt"])
        _ = try await tool.succeed("key", "grants", "revoke", id, grant)
        #expect(try await tool.succeed("key", "grants", "ls", id).output.isEmpty)
    }

    @Test(arguments: WrongCall.all)
    func `a wrong argument has its exit code and changes nothing`(
        _ call: WrongCall
    ) async throws {
        let tool = try await CairnTool.withBucket()
        let outcome = try await tool.run(call.arguments)
        #expect(outcome.exitCode == call.exitCode, "\(outcome.error)")
        #expect(!outcome.error.isEmpty)
        #expect(try await tool.succeed("bucket", "ls").lines == ["app/web 0 0"])
        #expect(try await tool.succeed("key", "ls").lines.count == 1)
    }

    @Test func `a server obeys at once what a command says of a key`() async throws {
        let tool = try await CairnTool.withBucket()
        _ = try await tool.succeed("key", "create", "--alias", "alias/team")
        _ = try await tool.succeed("bucket", "set-key", "app/web", "--key", "alias/team")
        let digest = try await putNoise(tool, 100_000)
        let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0", "--json"])
        _ = await server.firstLine()
        #expect(try await tool.run("get", "app/web", digest).exitCode == 0)
        _ = try await tool.succeed("key", "disable", "alias/team")
        let refused = try await tool.run("get", "app/web", digest)
        #expect(refused.exitCode == 9)
        #expect(refused.error.contains("is disabled"))
        _ = try await tool.succeed("key", "enable", "alias/team")
        #expect(try await tool.run("get", "app/web", digest).exitCode == 0)
        #expect(try await tool.succeed("audit", "ls").text.contains("DisableKey ok"))
        #expect(try await tool.run("audit", "verify").exitCode == 0)
        #expect(try await tool.succeed("bucket", "rewrap").text == "0\n")
        #expect(await server.stop() == 0)
    }

    @Test func `no output and no file has the passphrase or a key`() async throws {
        let tool = try CairnTool()
        let passphrase = "correct horse battery staple"
        let file = try tool.file("passphrase", Array((passphrase + "\n").utf8))
        var outputs = ""
        for arguments in [
            ["init"], ["bucket", "create", "app/web"], ["key", "create", "--alias", "alias/a"],
            ["bucket", "set-key", "app/web", "--key", "alias/a"], ["key", "ls"],
            ["key", "describe", "alias/a"], ["bucket", "describe", "app/web"], ["audit", "ls"],
            ["audit", "verify"], ["stats"], ["key", "describe", "alias/none"],
            ["bucket", "shred", "app/web", "--yes"],
        ] {
            for json in [[], ["--json"]] {
                let outcome = try await tool.run(arguments + ["--passphrase-file", file] + json)
                outputs += outcome.text + outcome.error
            }
        }
        let wrong = try await tool.run("ls", "app/web")
        outputs += wrong.text + wrong.error
        #expect(outputs.count > 2000)
        #expect(!outputs.contains(passphrase))
        #expect(!outputs.contains("horse"))
        let names = try #require(FileManager.default.enumerator(atPath: tool.store)).allObjects
        for case let name as String in names {
            let path = tool.store + "/" + name
            guard let bytes = FileManager.default.contents(atPath: path) else { continue }
            #expect(bytes.range(of: Data("horse".utf8)) == nil, "\(name)")
        }
    }
}

/// A call that fails, and how.
struct WrongCall: Sendable, CustomStringConvertible {
    let exitCode: Int32
    let arguments: [String]
    var description: String { arguments.joined(separator: " ") }

    private init(_ exitCode: Int32, _ arguments: String...) {
        self.exitCode = exitCode
        self.arguments = arguments
    }

    private static let ownKey = "alias/cairn/default"

    static let all: [WrongCall] = [
        WrongCall(3, "key", "describe", "alias/none"),
        WrongCall(64, "key", "create", "--alias", "none"),
        WrongCall(64, "key", "create", "--alias", "alias/cairn/mine"),
        WrongCall(64, "key", "create", "--tag", "=x"),
        WrongCall(64, "key", "create", "--tag", "a=1", "--tag", "a=2"),
        WrongCall(64, "key", "disable", ownKey),
        WrongCall(64, "key", "schedule-deletion", ownKey),
        WrongCall(64, "key", "rotate", ownKey, "--every", "89"),
        WrongCall(64, "key", "cancel-deletion", ownKey),
        WrongCall(3, "key", "grants", "revoke", ownKey, "none"),
        WrongCall(64, "key", "grants", "create", ownKey, "--principal", "a", "--operation", "x"),
        WrongCall(3, "bucket", "create", "other", "--key", "alias/none"),
        WrongCall(64, "bucket", "create", "other", "--dedup", "all"),
        WrongCall(3, "bucket", "set-key", "none", "--store-key"),
        WrongCall(64, "bucket", "set-key", "app/web"),
        WrongCall(64, "bucket", "set-key", "app/web", "--store-key", "--key", ownKey),
        WrongCall(64, "bucket", "rewrap", "app/web", "--key", ownKey),
        WrongCall(3, "bucket", "shred", "none", "--yes"),
        WrongCall(64, "audit", "verify", "--head", "x"),
        WrongCall(5, "audit", "verify", "--head", "1:" + String(repeating: "0", count: 64)),
    ]
}
