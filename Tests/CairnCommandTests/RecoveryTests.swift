// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Recovery on the command line` {
    private func loseIndex(_ tool: CairnTool) throws {
        try FileManager.default.removeItem(atPath: tool.store + "/index")
    }

    @Test func `a store whose index is gone is repaired`() async throws {
        let tool = try await CairnTool.withBucket()
        let small = try await putNoise(tool, 100)
        let large = try await putNoise(tool, 3 << 20)
        try loseIndex(tool)
        let broken = try await tool.run("stats")
        #expect(broken.exitCode == 5)
        #expect(broken.error.contains("cairn repair"))
        let report = try object(try await tool.succeed("repair", "--json").text)
        #expect(report["source"] as? String == "catalogue")
        #expect(report["isComplete"] as? Bool == true)
        #expect(report["blobCount"] as? Int == 2)
        #expect((report["lostBlobs"] as? [Any])?.isEmpty == true)
        #expect(try await tool.succeed("get", "app/web", small).output == noise(100))
        #expect(try await tool.succeed("get", "app/web", large).output == noise(3 << 20))
        #expect(try await tool.run("verify").exitCode == 0)
        // The failed command has not put anything in its place.
        #expect(!FileManager.default.fileExists(atPath: tool.store + "/index.old"))
        for name in ["/index.old", "/index.old.2"] {
            #expect(try await tool.succeed("repair").text.contains("blobs lost      0"))
            #expect(FileManager.default.fileExists(atPath: tool.store + name))
        }
        #expect(try await tool.run("verify").exitCode == 0)
    }

    @Test func `a repair names the blobs that are lost`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1_500_000)
        try damage(tool.store)
        try loseIndex(tool)
        let report = try await tool.run("repair")
        #expect(report.exitCode == 5)
        #expect(report.text.contains("lost: app/web \(digest)"))
        #expect(try await tool.run("get", "app/web", digest).exitCode == 5)
        _ = try await putNoise(tool, 1_500_000)
        #expect(try await tool.succeed("get", "app/web", digest).output == noise(1_500_000))
    }

    @Test func `a damaged index is repaired`() async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 1_500_000)
        // Without this file RocksDB does not know its own files.
        try FileManager.default.removeItem(atPath: tool.store + "/index/CURRENT")
        #expect(try await tool.run("stats").exitCode == 5)
        _ = try await tool.succeed("repair")
        #expect(try await tool.succeed("get", "app/web", digest).output == noise(1_500_000))
        #expect(try await tool.run("verify").exitCode == 0)
    }

    @Test func `a repair needs a store that nobody has open`() async throws {
        let tool = try await CairnTool.withBucket()
        let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0"])
        _ = await server.firstLine()
        #expect(try await tool.run("repair").exitCode == 6)
        #expect(await server.stop() == 0)
        #expect(
            try await tool.run("repair", "--store", tool.path("absent")).exitCode == 3)
        #expect(!FileManager.default.fileExists(atPath: tool.path("absent")))
    }

    @Test(arguments: [false, true])
    func `a backup is a store`(_ isServed: Bool) async throws {
        let tool = try await CairnTool.withBucket()
        let digest = try await putNoise(tool, 3 << 20)
        let server =
            isServed
            ? try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0"]) : nil
        _ = await server?.firstLine()
        let (bare, whole) = (tool.path("bare"), tool.path("whole"))
        let figures = try object(try await tool.succeed("backup", bare, "--json").text)
        #expect(figures["segmentCount"] as? Int ?? 0 >= 1)
        #expect(figures["includesKeyFile"] as? Bool == false)
        #expect(
            try await tool.succeed("backup", whole, "--with-key-file").text
                .contains("key file      in the copy"))
        #expect(try await tool.run("backup", bare).exitCode == 64)
        _ = try await tool.succeed("rm", "app/web", digest)
        if let server { #expect(await server.stop() == 0) }

        #expect(try await tool.run("verify", "--store", bare).exitCode == 9)
        let key = tool.store + "/keyring.key"
        #expect(
            try await tool.succeed("verify", "--store", bare, "--key-file", key).text
                .hasPrefix("Sound: 1 blobs"))
        #expect(
            try await tool.succeed("get", "app/web", digest, "--store", whole).output
                == noise(3 << 20))
        #expect(try await tool.run("stat", "app/web", digest).exitCode == 3)
    }
}
