// Part of Cairn, a content-addressed blob store.
import Cairn
import CairnCore
import CairnTestSupport
import Foundation
import Testing

@testable import CairnServer

/// What those see who watch over a server.
@Suite(.timeLimit(.minutes(15))) struct OperationsTests {
    private static let openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    // MARK: - Health and readiness

    @Test func `a server in order is alive and ready, for everybody who asks`() async throws {
        try await ServerKit.run(exporter: OpenMetricsExporter()) { kit in
            for base in [kit.base, kit.metricsBase] {
                let health = try await kit.send(.GET, base + "/health")
                #expect(health.status == 200)
                #expect(health.text == #"{"status":"alive"}"#)
                let ready = try await kit.send(.GET, base + "/ready")
                #expect(ready.status == 200)
                #expect(ready.text == #"{"status":"ready"}"#)
                #expect(ready.header("Content-Type") == "application/json")
                #expect(ready.header("Cache-Control") == "no-store")
                let head = try await kit.send(.HEAD, base + "/ready")
                #expect(head.status == 200)
                #expect(head.body.isEmpty)
                let post = try await kit.send(.POST, base + "/ready", body: [1])
                #expect(post.status == 405)
                #expect(post.header("Allow") == "GET, HEAD")
            }
        }
    }

    @Test func `a store that is closed is not ready, and the process lives`() async throws {
        try await ServerKit.run { kit in
            try await kit.store.close()
            let ready = try await kit.send(.GET, "/ready")
            #expect(ready.status == 503)
            #expect(ready.text == #"{"reason":"closed","status":"notReady"}"#)
            #expect(try await kit.send(.GET, "/health").status == 200)
        }
    }

    @Test func `a store without room is not ready, and says no more than why`() async throws {
        let directory = try TemporaryDirectory()
        try await Store.open(at: directory.path("store")).close()
        // Such a store cannot be made, but opened.
        try await ServerKit.run(in: directory, store: { $0.reservedByteCount = .max }) { kit in
            let ready = try await kit.send(.GET, "/ready")
            #expect(ready.status == 503)
            #expect(ready.text == #"{"reason":"outOfSpace","status":"notReady"}"#)
        }
    }

    // MARK: - Who sees the metrics

    @Test func `clients of the registry never see the metrics`() async throws {
        try await ServerKit.run(exporter: OpenMetricsExporter()) { kit in
            for path in ["/metrics", "/metrics/", "//metrics", "/v2/metrics", "/%6Detrics"] {
                let reply = try await kit.send(.GET, path)
                #expect(reply.status == 404, "\(path)")
                #expect(!reply.text.contains("cairn_"))
            }
            let reply = try await kit.send(.GET, kit.metricsBase + "/metrics")
            #expect(reply.status == 200)
            #expect(reply.header("Content-Type") == Self.openMetrics)
            #expect(reply.text.hasSuffix("# EOF\n"))
            // Nor do those who watch see the registry.
            #expect(try await kit.send(.GET, kit.metricsBase + "/v2/").status == 404)
            let head = try await kit.send(.HEAD, kit.metricsBase + "/metrics")
            #expect(head.header("Content-Type") == Self.openMetrics)
            #expect(head.body.isEmpty)
        }
    }

    @Test func `without an option nothing serves metrics`() async throws {
        try await ServerKit.run { kit in
            let reply = try await kit.send(.GET, "/metrics")
            #expect(reply.status == 404)
            #expect(kit.metricsPort == 0)
        }
        #expect(ServerConfiguration().metricsPort == nil)
    }

    // MARK: - What they tell

    @Test func `requests are counted by kind and status`() async throws {
        try await ServerKit.run(exporter: OpenMetricsExporter()) { kit in
            let before = try await kit.figures()
            #expect(before[#"cairn_http_requests_total{kind="pull_blob",status="2xx"}"#] == 0)
            let bytes = TestData.random(100_000, seed: 1)
            let digest = try await kit.push(bytes)
            let blob = "/v2/library/test/blobs/\(digest)"
            #expect(try await kit.send(.GET, blob).body == bytes)
            #expect(try await kit.send(.HEAD, blob).status == 200)
            let absent = Digest.sha256(of: [9].span)
            #expect(try await kit.send(.GET, "/v2/library/test/blobs/\(absent)").status == 404)
            let parts = try await kit.pushParts()
            let manifest = ManifestKit.image(config: parts.config, layers: [parts.layer])
            #expect(try await kit.putManifest(manifest, "v1").status == 201)
            #expect(try await kit.send(.GET, "/v2/library/test/manifests/v1").status == 200)
            #expect(try await kit.send(.GET, "/v2/library/test/tags/list").status == 200)
            #expect(try await kit.send(.DELETE, "/v2/library/test/manifests/v1").status == 202)
            #expect(try await kit.send(.GET, "/nowhere").status == 404)
            // Those who watch are no clients.
            #expect(try await kit.send(.GET, "/ready").status == 200)
            let expected = [
                ("pull_blob", "2xx", 2), ("pull_blob", "4xx", 1), ("push_blob", "2xx", 3),
                ("push_manifest", "2xx", 1), ("pull_manifest", "2xx", 1), ("tag_list", "2xx", 1),
                ("other", "2xx", 1), ("other", "4xx", 1), ("other", "5xx", 0),
            ]
            let after = try await kit.figures()
            for (kind, status, count) in expected {
                let name = #"cairn_http_requests_total{kind="\#(kind)",status="\#(status)"}"#
                #expect(after[name] == Double(count), "\(name)")
            }
            let sums = after.filter { $0.key.hasPrefix("cairn_http_requests_total") }
            #expect(sums.values.reduce(0, +) == 11)
            #expect(
                after[#"cairn_http_request_duration_seconds_count{kind="pull_blob"}"#] == 3)
            #expect(
                after[#"cairn_http_request_duration_seconds_sum{kind="pull_blob"}"#] ?? 0 > 0)
        }
    }

    @Test func `a scrape tells what the store did, and what it is now`() async throws {
        try await ServerKit.run(exporter: OpenMetricsExporter()) { kit in
            let bytes = TestData.random(300_000, seed: 2)
            let digest = try await kit.push(bytes)
            #expect(try await kit.send(.GET, "/v2/library/test/blobs/\(digest)").body == bytes)
            _ = try await kit.beginUpload()
            let figures = try await kit.figures()
            #expect(figures["cairn_received_bytes_total"] == 300_000)
            #expect(figures["cairn_delivered_bytes_total"] == 300_000)
            #expect(figures["cairn_open_upload_sessions"] == 1)
            #expect(figures["cairn_index_entries"] ?? 0 > 0)
            #expect(figures["cairn_disk_free_bytes"] ?? 0 > 0)
        }
    }

    @Test func `metrics have the names that the guide lists, and no name of a client's`()
        async throws
    {
        let guide = try Self.guide()
        let listed = MetricDescription.ofStores + MetricDescription.ofServers
        #expect(Set(guide.keys) == Set(listed.map(\.name)))
        for metric in listed {
            #expect(guide[metric.name]?.kind == metric.kind.rawValue, "\(metric.name)")
            #expect(guide[metric.name]?.labels == metric.labels, "\(metric.name)")
        }
        try await ServerKit.run(exporter: OpenMetricsExporter()) { kit in
            let digest = try await kit.push([1, 2, 3], to: "secret/project")
            let text = try await kit.send(.GET, kit.metricsBase + "/metrics").text
            for name in ["secret", "project", "default", "\(digest)", kit.storePath, kit.store.id] {
                #expect(!text.contains(name), "\(name)")
            }
            let lines = text.split(separator: "\n")
            for (name, values) in Self.labelValues(lines) {
                let documented = guide[name]?.values ?? []
                #expect(documented.isEmpty || documented == values, "\(name)")
            }
            for metric in listed {
                let family = metric.name.replacing(/_total$/, with: "")
                #expect(lines.contains("# TYPE \(family) \(metric.kind.rawValue)"))
                #expect(lines.contains("# HELP \(family) \(metric.help)"))
            }
            #expect(lines.count { $0.hasPrefix("# TYPE") } == listed.count)
        }
    }

    /// The values of the last label of each counter.
    private static func labelValues(_ lines: [Substring]) -> [String: Set<String>] {
        var values: [String: Set<String>] = [:]
        for line in lines {
            guard let match = line.firstMatch(of: #/^(\w+_total)\{.*="(\w+)"\}/#) else { continue }
            values[String(match.output.1), default: []].insert(String(match.output.2))
        }
        return values
    }

    private typealias Documented = (kind: String, labels: [String], values: Set<String>)

    // row    := "| `" name "` | " kind " | " unit? " | " (label ("; " label)*)? " | " text " |"
    // label  := "`" name "`" (": `" value "`" (", `" value "`")*)?
    private static func guide() throws -> [String: Documented] {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appending(path: "Sources/Cairn/Cairn.docc/Guides/Metrics.md"),
            encoding: .utf8)
        var metrics: [String: Documented] = [:]
        for line in page.split(separator: "\n") where line.hasPrefix("| `cairn_") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            // Other tables have fewer.
            guard cells.count == 5 else { continue }
            let name = cells[0].trimmingCharacters(in: ["`"])
            #expect(metrics[name] == nil, "\(name)")
            let labels = cells[3].split(separator: ";").map { label in
                label.matches(of: /`(\w+)`/).map { String($0.output.1) }
            }
            metrics[name] = (
                cells[1], labels.map { $0[0] }, Set(labels.last?.dropFirst() ?? [])
            )
            let unit = MetricNames.unit(of: name.replacing(/_total$/, with: "")) ?? ""
            #expect(cells[2] == unit, "\(name)")
        }
        return metrics
    }
}

extension ServerKit {
    fileprivate var metricsBase: String { "http://127.0.0.1:\(metricsPort)" }

    /// The values of all samples, by name and labels.
    fileprivate func figures() async throws -> [String: Double] {
        let reply = try await send(.GET, metricsBase + "/metrics")
        guard reply.status == 200 else { throw Unexpected(reply: reply) }
        var figures: [String: Double] = [:]
        for line in reply.text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            figures[String(parts[0])] = Double(parts[1])
        }
        return figures
    }
}
