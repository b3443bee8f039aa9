// Part of Cairn, a content-addressed blob store.
import Foundation
import Testing

@Suite struct `Quotas, usage and bills on the command line` {
    private static func object(_ text: String) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
        return try #require(value as? [String: Any])
    }

    // The same commands on the store itself and through the server that has it open.
    @Test(arguments: [false, true])
    func `a quota is set, holds, is told and is taken away`(throughServer: Bool) async throws {
        let tool = try await CairnTool.withBucket()
        let server = try throughServer ? await serving(tool) : nil
        _ = try await tool.succeed("quota", "set", "app/web", "--bytes", "100kB", "--warn", "50")
        _ = try await putNoise(tool, 60_000)
        let refused = try await tool.run("put", "app/web", "-", "--json", input: noise(50_000))
        #expect(refused.exitCode == 4)
        #expect(refused.error.contains("quotaExceeded"))
        _ = try await tool.succeed("quota", "set", "app/web", "--bytes=200KiB", "--blobs", "1")
        #expect(try await tool.run("put", "app/web", "-", input: [1]).exitCode == 4)
        let quota = try Self.object(
            try await tool.succeed("quota", "get", "app/web", "--json").text)
        #expect(quota["bytes"] as? Int == 204_800)
        #expect(quota["blobs"] as? Int == 1 && quota["warningPercent"] as? Int == 50)
        #expect(quota["objects"] == nil)
        #expect(try await tool.succeed("quota", "ls").lines == ["app/web  60.0 kB of 204.8 kB"])
        _ = try await tool.succeed(
            "quota", "set", "app/web", "--bytes", "none", "--blobs", "none", "--warn", "none")
        #expect(try await tool.succeed("quota", "ls").lines == [])
        _ = try await tool.succeed("put", "app/web", "-", input: noise(70_000))
        // All buckets together.
        _ = try await tool.succeed("quota", "set", "--bytes", "1")
        #expect(try await tool.run("put", "app/web", "-", input: [2]).exitCode == 4)
        #expect(
            try await tool.run("quota", "set", "app/web", "--bytes", "2").exitCode == 64)
        #expect(try await tool.succeed("quota", "get").text.contains("bytes            1"))
        #expect(try await tool.run("quota", "get", "no/such").exitCode == 3)
        if let server { #expect(await server.stop() == 0) }
    }

    @Test(arguments: [
        ["--bytes=-1"], ["--bytes", "9223372036854775808"], ["--bytes", "10XB"], ["--bytes", ""],
        ["--bytes", "20EB"], ["--blobs=-1"], ["--blobs", "1.5"], ["--warn", "0"],
        ["--warn", "101"], [],
    ])
    func `a quota that cannot be is a wrong use`(_ arguments: [String]) async throws {
        let tool = try await CairnTool.withBucket()
        let result = try await tool.run(["quota", "set", "app/web"] + arguments)
        #expect(result.exitCode == 64)
        #expect(try await tool.succeed("quota", "ls").lines == [])
    }

    @Test func `usage and bills tell the same in all their forms`() async throws {
        let tool = try await CairnTool.withBucket()
        _ = try await tool.succeed("bucket", "create", "app/db")
        let digest = try await putNoise(tool, 60_000)
        _ = try await tool.succeed("mount", "app/db", digest, "--from", "app/web")
        _ = try await tool.succeed("put", "app/db", "-", input: noise(500))
        let web = try Self.object(try await tool.succeed("usage", "app/web", "--json").text)
        #expect(web["logicalBytes"] as? Int == 60_000 && web["uniqueBytes"] as? Int == 0)
        #expect(web["fairShareBytes"] as? Int == 30_000 && web["blobs"] as? Int == 1)
        #expect((web["storedBytes"] as? Int ?? 0) > 60_000)
        let all = try Self.object(try await tool.succeed("usage", "--json").text)
        #expect(all["logicalBytes"] as? Int == 120_500 && all["ownedBytes"] as? Int == 60_500)
        let lines = try await tool.succeed("usage", "--buckets", "--csv").text
            .components(separatedBy: "\r\n")
        #expect(
            lines.first
                == "bucket,logicalBytes,uniqueBytes,fairShareBytes,chargedBytes,inFlightBytes,"
                + "storedBytes,blobs,objects")
        #expect(lines[1].hasPrefix("app/db,60500,500,30500,60500,0,0,2,0"))
        #expect(try await tool.succeed("usage").text.contains("logical bytes"))
        _ = try await tool.succeed("rm", "app/web", digest)
        _ = try await tool.succeed("rm", "app/db", digest)
        #expect(try await tool.succeed("usage", "--garbage").text.hasPrefix("app/web  6"))
        let files = try Self.object(try await tool.succeed("usage", "--files", "--json").text)
        let parts = [
            "storedBytes", "segmentOverheadBytes", "indexBytes", "catalogueBytes", "auditBytes",
            "otherBytes",
        ]
        #expect(
            parts.reduce(0) { $0 + (files[$1] as? Int ?? 0) } == files["fileBytes"] as? Int)

        let month = String(
            Date().ISO8601Format().prefix(7))
        let bill = try Self.object(
            try await tool.succeed("bill", "--month", month, "--days", "--json").text)
        #expect(bill["isFinal"] as? Bool == false && bill["charging"] as? String == "logical")
        let buckets = try #require(bill["buckets"] as? [[String: Any]])
        #expect(buckets.map { $0["bucket"] as? String } == ["app/db", "app/web"])
        let days = try #require(buckets[0]["days"] as? [[String: Any]])
        #expect(days.count == 1 && days[0]["endBytes"] as? Int == 500)
        let rows = try await tool.succeed("bill", "--month", month, "--csv").text
        #expect(
            rows.hasPrefix("bucket,id,byteSeconds,byteNanoseconds,gigabyteMonths,anonymousBytes,"))
        #expect(try await tool.succeed("bill", "--month", month).text.contains("GB-months"))
        for wrong in ["2026-13", "soon", "1999-01", "2200-01"] {
            #expect(try await tool.run("bill", "--month", wrong).exitCode == 64)
        }
    }

    @Test func `the busiest buckets are shown, and what they do`() async throws {
        let tool = try await CairnTool.withBucket()
        let server = try await serving(tool)
        _ = try await tool.succeed("bucket", "create", "app/idle")
        async let top = tool.succeed("top", "--views", "2", "--interval", "3", "--json")
        // Somewhere in the second or two views.
        for number in 0..<10 {
            _ = try await tool.succeed("put", "app/web", "-", input: noise(10_000 + number))
            try await Task.sleep(for: .milliseconds(300))
        }
        let text = try await top.text
        #expect(text.contains(#""bucket":"app/web""#) && !text.contains("app/idle"))
        #expect(text.contains("bytesInPerSecond"))
        #expect(try await tool.run("top", "--interval", "0").exitCode == 64)
        #expect(await server.stop() == 0)
    }

    @Test func `allowances and visibility are told and set`() async throws {
        let tool = try await CairnTool.withBucket()
        #expect(try await tool.succeed("quota", "public", "app/web").text == "no\n")
        _ = try await tool.succeed("quota", "public", "app/web", "yes")
        #expect(try await tool.succeed("quota", "public", "app/web").text == "yes\n")
        _ = try await tool.succeed("quota", "allowance", "--free-tier", "--action", "deny")
        _ = try await tool.succeed("quota", "allowance", "signedInTransfer", "none")
        let lines = try await tool.succeed("quota", "allowance").lines
        #expect(lines.count == 3)
        #expect(lines[0].contains("0 B of 500.0 MB, deny"))
        for wrong in [["nothing", "1"], ["privateStorage", "-1"], ["privateStorage"]] {
            #expect(try await tool.run(["quota", "allowance"] + wrong).exitCode == 64)
        }
    }

    @Test func `who pays is told and set`() async throws {
        let tool = try await CairnTool.withBucket()
        #expect(try await tool.succeed("quota", "charging").text == "logical\n")
        _ = try await tool.succeed("quota", "charging", "fairShare")
        #expect(try await tool.succeed("quota", "charging").text == "fairShare\n")
        #expect(try await tool.run("quota", "charging", "nobody").exitCode == 64)
    }
}
