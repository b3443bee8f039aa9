// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Stores on the command line` {
    @Test(arguments: [[], ["--quick"]])
    func `a store in order verifies`(_ depth: [String]) async throws {
        let tool = try await CairnTool.withBucket()
        _ = try await putNoise(tool, 100)
        _ = try await putNoise(tool, 3 << 20)
        let verify = try await tool.run(["verify"] + depth)
        #expect(verify.exitCode == 0)
        #expect(verify.text.hasPrefix("Sound: 2 blobs"))
    }

    @Test func `a damaged store does not verify and the problem is named`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 3 << 20)
        try damage(tool.store)
        let verify = try await tool.run("verify")
        #expect(verify.exitCode == 5)
        #expect(!verify.lines.isEmpty)
        #expect(verify.text.contains(digest))
        let report = try object(try await tool.run("verify", "--json").text)
        #expect(report["isSound"] as? Bool == false)
        #expect((report["problems"] as? [String])?.isEmpty == false)
    }

    @Test func `a store held by another process is busy and the process is named`() async throws {
        let tool = try await CairnTool.withBucket()
        // Holds the store open until its input ends.
        let holder = try BackgroundProcess(tool, ["put", "app/web", "-"])
        // More than a pipe holds: when it is written, the holder reads, so the store is open.
        try await holder.write(noise(2 << 20))
        let outcome = try await tool.run("stats")
        #expect(outcome.exitCode == 6)
        let number = try #require(try processes(naming: tool.store).first)
        #expect(outcome.error.contains("\(number)"))
        #expect(outcome.error.contains("Wait for that process or stop it"))
        try holder.endInput()
        #expect(await holder.end() == 0)
        #expect(try await tool.run("stats").exitCode == 0)
    }

    @Test func `an upload session left by a kill is listed until it is cancelled`() async throws {
        let tool = try await CairnTool.withBucket()
        let putter = try BackgroundProcess(tool, ["put", "app/web", "-"])
        // A checkpoint, which makes a session durable, comes every 64 MiB.
        let block = noise(1 << 20)
        for _ in 0..<80 { try await putter.write(block) }
        kill(try #require(try processes(naming: tool.store).first), SIGKILL)
        #expect(await putter.end() != 0)
        let listed = try await tool.succeed("upload", "ls", "app/web")
        let fields = try #require(listed.lines.first).split(separator: " ").map(String.init)
        #expect(fields[2] == "\(64 << 20)")
        let id = fields[0]
        #expect(try await tool.succeed("ls", "app/web").output.isEmpty)
        _ = try await tool.succeed("upload", "cancel", "app/web", id)
        #expect(try await tool.succeed("upload", "ls", "app/web").output.isEmpty)
        #expect(try await tool.run("upload", "cancel", "app/web", id).exitCode == 3)
        #expect(try await tool.run("verify").exitCode == 0)
    }

    @Test func `damage is found, named and cured by the same bytes`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1_500_000)
        #expect(try await tool.succeed("scrub").text.contains("blobs damaged         0"))
        try damage(tool.store)
        let found = try await tool.run("scrub")
        #expect(found.exitCode == 5)
        #expect(found.text.contains("damaged: app/web \(digest)"))
        #expect(try await tool.run("get", "app/web", digest).exitCode == 5)
        _ = try await tool.succeed("bucket", "create", "app/db")
        _ = try await tool.succeed("put", "app/db", "-", input: noise(1_500_000))
        let cured = try object(try await tool.succeed("scrub", "--json").text)
        #expect(cured["unusedDamageCount"] as? Int == 1)
        #expect(try await tool.succeed("get", "app/web", digest).output == noise(1_500_000))
    }

    @Test func `why says who keeps a blob and what that costs`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1_500_000)
        let alone = try object(try await tool.succeed("why", digest, "--json").text)
        let bytes = try #require(alone["freedByteCount"] as? Int)
        #expect(bytes > 1_500_000)
        _ = try await tool.succeed("bucket", "create", "app/db")
        _ = try await tool.succeed("mount", "app/db", digest, "--from", "app/web")
        let lines = try await tool.succeed("why", digest).lines
        #expect(lines.count == 3)
        #expect(lines[0] == "app/db: stored there; alone it would free 0 B")
        #expect(lines[1] == "app/web: stored there; alone it would free 0 B")
        #expect(lines[2].hasPrefix("together they would free \(bytes) "))
        #expect(try await tool.run("why", absentDigest).exitCode == 3)
    }

    @Test func `what was removed is swept and a bucket goes with its contents`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1_500_000)
        let nothing = try object(try await tool.succeed("sweep", "--dry-run", "--json").text)
        #expect(nothing["byteCount"] as? Int == 0)
        _ = try await tool.succeed("rm", "app/web", digest)
        let preview = try object(try await tool.succeed("sweep", "--dry-run", "--json").text)
        #expect(try #require(preview["byteCount"] as? Int) > 1_500_000)
        let swept = try object(try await tool.succeed("sweep", "--json").text)
        #expect(swept["byteCount"] as? Int == preview["byteCount"] as? Int)
        #expect(try #require(swept["freedByteCount"] as? Int) > 1_500_000)
        _ = try await putNoise(tool, 40_000)
        #expect(try await tool.run("bucket", "rm", "app/web").exitCode == 4)
        _ = try await tool.succeed("bucket", "rm", "app/web", "--force")
        #expect(try await tool.run("ls", "app/web").exitCode == 3)
        #expect(try await tool.succeed("sweep").text.contains("chunks freed      1"))
        #expect(try await tool.succeed("verify").text.hasPrefix("Sound: 0 blobs"))
    }

    @Test func `a store with a passphrase opens with it and not without`() async throws {
        let tool = try CairnTool()
        let right = try tool.file("right", Array("correct horse\n".utf8))
        let wrong = try tool.file("wrong", Array("battery staple\n".utf8))
        let empty = try tool.file("empty", [])
        func code(
            _ arguments: String..., environment: [String: String] = [:]
        ) async throws -> Int32 {
            try await tool.run(arguments, environment: environment).exitCode
        }
        #expect(try await code("init", "--passphrase-file", right) == 0)
        #expect(try await code("stats", "--passphrase-file", right) == 0)
        #expect(try await code("stats", environment: ["CAIRN_PASSPHRASE_FILE": right]) == 0)
        #expect(try await code("stats", "--passphrase-file", wrong) == 9)
        #expect(try await code("stats", "--passphrase-file", empty) == 9)
        #expect(try await code("stats", "--passphrase-file", tool.path("absent")) == 8)
        #expect(try await code("stats") == 9)
        #expect(try await code("stats", "--passphrase-file", right, "--key-file", wrong) == 64)
        let asked = try await tool.run(
            "stats", "--passphrase-file", "-", input: Array("correct horse\nmore".utf8))
        #expect(asked.exitCode == 0)
        let other = try CairnTool()
        let piped = try await other.run(
            "init", "--passphrase-file", "-", input: Array("only once\n".utf8))
        #expect(piped.exitCode == 0)
        let opened = try await other.run(
            "stats", "--passphrase-file", "-", input: Array("only once\n".utf8))
        #expect(opened.exitCode == 0)
    }

    @Test func `a key file that others can read is refused and the remedy named`() async throws {
        let tool = try await CairnTool.withBucket()
        let key = tool.store + "/keyring.key"
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        let refused = try await tool.run("stats")
        #expect(refused.exitCode == 9)
        #expect(refused.error.contains("0600"))
    }

    @Test func `a key file may be kept outside the store`() async throws {
        let tool = try CairnTool()
        let key = tool.path("key")
        _ = try await tool.succeed("init", "--key-file", key)
        let attributes = try FileManager.default.attributesOfItem(atPath: key)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(!FileManager.default.fileExists(atPath: tool.store + "/keyring.key"))
        #expect(try await tool.run("stats", "--key-file", key).exitCode == 0)
        #expect(try await tool.run("stats").exitCode == 9)
        // A second store may share the key; making it does not touch the file.
        let before = try read(key)
        _ = try await tool.succeed("init", "--key-file", key, "--store", tool.path("second"))
        #expect(try read(key) == before)
    }

    @Test func `a store whose parent is missing is not created`() async throws {
        let tool = try CairnTool()
        #expect(try await tool.run("init", "--store", tool.path("no/store")).exitCode == 8)
    }

    @Test func `a key file is made for its owner alone`() async throws {
        let tool = try CairnTool()
        let created = try await tool.succeed("init")
        #expect(created.text.contains("keep a copy"))
        let attributes = try FileManager.default.attributesOfItem(
            atPath: tool.store + "/keyring.key")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }
}
