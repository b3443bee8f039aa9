// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Answers of commands` {
    /// Every command, each as it is named on the command line.
    static let commands = [
        ["init"], ["bucket"], ["bucket", "create"], ["bucket", "ls"], ["bucket", "describe"],
        ["bucket", "rm"], ["put"], ["get"], ["stat"], ["ls"], ["rm"], ["mount"], ["upload"],
        ["upload", "ls"], ["upload", "cancel"], ["verify"], ["stats"], ["serve"],
    ]

    @Test(arguments: commands)
    func `every command explains itself`(_ command: [String]) async throws {
        let help = try await CairnTool().run(command + ["--help"])
        #expect(help.exitCode == 0)
        #expect(help.text.contains("USAGE: cairn \(command.joined(separator: " "))"))
        let isGroup = command == ["bucket"] || command == ["upload"]
        #expect(help.text.contains("--store <dir>") == !isGroup)
        #expect(help.text.contains("--json") == !isGroup)
    }

    @Test func `the help lists the exit codes`() async throws {
        let help = try await CairnTool().run("--help")
        #expect(help.exitCode == 0)
        for code in [0, 1, 3, 4, 5, 6, 7, 8, 9, 64] {
            #expect(help.lines.contains { $0.hasPrefix("  \(code) ") })
        }
    }

    @Test func `documents have the fields that the guide promises`() async throws {
        let tool = try CairnTool()
        func fields(_ arguments: String..., input: [UInt8] = []) async throws -> Set<String> {
            let outcome = try await tool.run(arguments + ["--json"], input: input)
            #expect(outcome.exitCode == 0, "\(outcome.error)")
            #expect(outcome.lines.count == 1)
            return try Set(object(outcome.text).keys)
        }
        let abc = Array("abc".utf8)
        let blob: Set = ["digest", "byteCount", "createdAt"]
        let bucket: Set = [
            "name", "id", "createdAt", "blobCount", "logicalByteCount", "objectCount",
        ]
        #expect(try await fields("init") == ["id", "store", "isNew"])
        #expect(try await fields("bucket", "create", "app/web").isSuperset(of: bucket))
        #expect(try await fields("bucket", "create", "app/db").isSuperset(of: bucket))
        #expect(try await fields("bucket", "describe", "app/web").isSuperset(of: bucket))
        #expect(try await fields("bucket", "ls") == ["buckets"])
        #expect(try await fields("put", "app/web", "-", input: abc) == blob.union(["file"]))
        #expect(try await fields("stat", "app/web", abcDigest) == blob)
        #expect(try await fields("mount", "app/db", abcDigest, "--from", "app/web") == blob)
        #expect(
            try await fields("get", "app/web", abcDigest, "-o", tool.path("out"))
                == blob.union(["file"]))
        #expect(try await fields("ls", "app/web") == ["blobs"])
        #expect(
            try await fields("stats").isSuperset(of: [
                "accountCount", "bucketCount", "blobCount", "logicalByteCount", "storedByteCount",
                "chunkCount", "segmentCount", "indexByteCount", "catalogueByteCount",
                "isCatalogueComplete", "openUploadCount",
            ]))
        #expect(
            try await fields("verify").isSuperset(of: [
                "isSound", "problems", "checkedBlobCount", "checkedByteCount",
            ]))
        #expect(try await fields("upload", "ls", "app/web") == ["uploads"])
        #expect(try await fields("rm", "app/db", abcDigest) == ["bucket", "digests"])
        #expect(try await fields("bucket", "rm", "app/db") == ["bucket"])
    }

    @Test func `put writes one JSON document per file`() async throws {
        let tool = try await CairnTool.withBucket()
        let files = try (1...3).map { try tool.file("f\($0)", noise($0)) }
        let put = try await tool.run(["put", "--json", "app/web"] + files)
        let names = try put.lines.map { try object($0)["file"] as? String }
        #expect(names == files)
    }

    @Test func `a list with a limit goes on where it ended`() async throws {
        let tool = try await CairnTool.withBucket()
        for byteCount in 1...5 { _ = try await putNoise(tool, byteCount) }
        var digests: [String] = []
        var next: String?
        repeat {
            let after = next.map { ["--after", $0] } ?? []
            let page = try object(
                try await tool.run(["ls", "app/web", "--json", "--limit", "2"] + after).text)
            let blobs = page["blobs"] as? [[String: Any]] ?? []
            digests += blobs.compactMap { $0["digest"] as? String }
            next = page["next"] as? String
        } while next != nil && digests.count < 6
        #expect(digests.count == 5)
        #expect(Set(digests).count == 5)
    }

    @Test func `a failure is one JSON document on standard error`() async throws {
        let tool = try await CairnTool.withBucket()
        let get = try await tool.run("stat", "app/web", absentDigest, "--json")
        #expect(get.exitCode == 3)
        #expect(get.output.isEmpty)
        let error = try object(get.error)["error"] as? [String: Any]
        #expect(error?["code"] as? String == "blobUnknown")
        #expect(error?["exitCode"] as? Int == 3)
        #expect(error?["message"] is String)
    }

    @Test func `exit codes tell failures apart`() async throws {
        let tool = try CairnTool()
        func code(_ arguments: String...) async throws -> Int32 {
            try await tool.run(arguments).exitCode
        }
        #expect(try await code("stats") == 3)
        #expect(try await code("init") == 0)
        #expect(try await code("init") == 4)
        #expect(try await code("init", "--if-missing") == 0)
        #expect(try await code("bucket", "create", "app/web") == 0)
        #expect(try await code("bucket", "create", "app/web") == 4)
        #expect(try await code("bucket", "create", "../etc") == 64)
        #expect(try await code("bucket", "describe", "app/db") == 3)
        #expect(try await code("ls", "app/db") == 3)
        #expect(try await code("stat", "app/web", absentDigest) == 3)
        #expect(try await code("get", "app/web", absentDigest, "-o", tool.path("x")) == 3)
        #expect(try await code("rm", "app/web", absentDigest) == 3)
        #expect(try await code("mount", "app/web", absentDigest, "--from", "app/web") == 3)
        #expect(try await code("put", "app/web", tool.path("absent")) == 8)
        #expect(try await code("put", "app/web", "-") == 0)
        #expect(try await code("bucket", "rm", "app/web") == 4)
        #expect(try await code("nonsense") == 64)
        #expect(try await code("put", "app/web") == 64)
        #expect(try await code("get", "app/web", absentDigest, "--json") == 64)
        #expect(try await code("serve", "--listen", "nowhere") == 64)
    }

    /// Wrong length, upper case, an unknown algorithm, a path.
    @Test(arguments: [
        "", "sha256", "sha256:", "sha256:..%2f..", "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256:" + String(repeating: "0", count: 63),
        "sha256:" + String(repeating: "0", count: 65),
        "sha256:" + String(repeating: "A", count: 64),
        "sha256:" + String(repeating: "0", count: 64) + "\n",
    ])
    func `what is not a digest is a usage error`(_ text: String) async throws {
        let tool = try await CairnTool.withBucket()
        for command in ["stat", "get", "rm"] {
            #expect(try await tool.run(command, "app/web", text).exitCode == 64)
        }
    }
}
