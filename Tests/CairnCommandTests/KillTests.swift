// Part of Cairn, a content-addressed blob store.
import CairnTestSupport
import Foundation
import Testing

/// kill -9 in the middle of pushes, deletes, sweeps and compactions, on real files.
@Suite struct `A server that is killed` {
    private static let roundCount = isLong ? 200 : 20
    private static let clientCount = 3

    @Test(.timeLimit(.minutes(isLong ? 60 : 15)))
    func `keeps every blob that it acknowledged`() async throws {
        let tool = try await CairnTool.withBucket()
        // Acknowledged, and its removal was never begun.
        var kept: Set<String> = []
        var generator = SystemRandomNumberGenerator()
        for round in 0..<Self.roundCount {
            let removed = kept.randomElement()
            if let removed { kept.remove(removed) }
            let acknowledged = try await Self.serveAndKill(
                tool, round, removing: removed,
                afterClients: Int.random(in: 0...2, using: &generator))
            kept.formUnion(acknowledged)
            let listed = try await Self.listed(tool)
            #expect(kept.subtracting(listed).isEmpty, "round \(round)")
        }
        let verified = try await tool.succeed("verify")
        #expect(verified.text.hasPrefix("Sound: "))
        for digest in kept {
            let bytes = try await tool.succeed("get", "app/web", digest).output
            #expect(try await Self.digest(of: bytes, tool) == digest)
        }
        _ = try await tool.succeed("sweep")
        #expect(try await tool.succeed("verify").text.hasPrefix("Sound: "))
        #expect(kept.count >= Self.roundCount)
    }

    /// Lets clients work until some of them have ended, then kills the server in the middle.
    ///
    /// - Returns: the digests that were printed: each is durable.
    private static func serveAndKill(
        _ tool: CairnTool, _ round: Int, removing: String?, afterClients count: Int
    ) async throws -> [String] {
        let server = try BackgroundProcess(tool, ["serve", "--listen", "127.0.0.1:0", "--json"])
        let line = try object(await server.firstLine())
        let processID = try #require(line["processID"] as? Int32)
        return try await withThrowingTaskGroup(of: [String].self) { group in
            for client in 0..<clientCount {
                group.addTask { try await put(tool, round, client) }
            }
            group.addTask {
                if let removing { _ = try await tool.run("rm", "app/web", removing) }
                _ = try await tool.run("sweep")
                return []
            }
            var acknowledged: [String] = []
            for _ in 0..<count { acknowledged += try await group.next() ?? [] }
            kill(processID, SIGKILL)
            for try await digests in group { acknowledged += digests }
            _ = await server.end()
            return acknowledged
        }
    }

    private static func put(_ tool: CairnTool, _ round: Int, _ client: Int) async throws -> [String]
    {
        // In the index, in one chunk, and in a tree with a recipe.
        let sizes = [700, 40_000, 300_000, 1_500_000, 90, 120_000]
        var files: [String] = []
        for (number, size) in sizes.enumerated() {
            let name = "r\(round)c\(client)n\(number)"
            let line = Array("round \(round) client \(client) number \(number)\n".utf8)
            let text = (0..<(size / line.count + 1)).flatMap { Array("\($0) ".utf8) + line }
            files.append(try tool.file(name, Array(text.prefix(size))))
        }
        defer { for file in files { try? FileManager.default.removeItem(atPath: file) } }
        // Whatever its exit code is: what it has printed was acknowledged.
        let outcome = try await tool.run(["put", "app/web", "--jobs", "3"] + files)
        return outcome.lines.compactMap { $0.split(separator: " ").first.map(String.init) }
    }

    private static func listed(_ tool: CairnTool) async throws -> Set<String> {
        var digests: Set<String> = []
        for line in try await tool.succeed("ls", "app/web").lines {
            if let digest = line.split(separator: " ").first { digests.insert(String(digest)) }
        }
        return digests
    }

    /// What the tool's own digest of the same bytes would be, computed by another program.
    private static func digest(of bytes: [UInt8], _ tool: CairnTool) async throws -> String {
        let file = try tool.file("check", bytes)
        let output = tool.path("check.digest")
        let process = try ChildProcess(["/usr/bin/sha256sum", file], output: .file(output))
        await process.end()
        let text = String(decoding: try read(output), as: UTF8.self)
        return "sha256:" + (text.split(separator: " ").first ?? "")
    }
}
