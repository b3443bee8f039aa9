// Part of Cairn, a content-addressed blob store.
import Cairn
import CoreMetrics
import Foundation
import Testing

@testable import CairnServer

/// The text format of OpenMetrics 1.0, and what keeps the exporter within its bounds.
@Suite struct OpenMetricsTests {
    private static let refused = "cairn_metrics_refused_series_total"

    private static func text(_ exporter: OpenMetricsExporter) -> String {
        String(decoding: exporter.render(), as: UTF8.self)
    }

    private static func lines(_ exporter: OpenMetricsExporter) -> [String] {
        text(exporter).split(separator: "\n").map(String.init)
    }

    // MARK: - The format

    // Checked with the parser of the Python client of Prometheus.
    @Test func `all kinds of metrics are written as the specification has them`() {
        let exporter = OpenMetricsExporter(
            seriesCountMax: 100,
            describing: [
                .init("app_sent_bytes_total", .counter, "Bytes sent.\nTo \"all\", a\\b.")
            ])
        let sent = Counter(label: "app_sent_bytes_total", factory: exporter)
        sent.increment(by: 70)
        sent.increment(by: 5)
        let requests = Counter(
            label: "app_requests_total", dimensions: [("status", "2xx"), ("kind", "pull")],
            factory: exporter)
        requests.increment()
        FloatingPointCounter(label: "app_share", factory: exporter).increment(by: 0.25)
        Gauge(label: "app_queue_depth", factory: exporter).record(3)
        Meter(label: "app_load", factory: exporter).set(0.5)
        let timer = CoreMetrics.Timer(
            label: "app_wait_seconds", dimensions: [("target", "disk")], factory: exporter)
        for milliseconds in [1, 1, 3, 700, 20_000] { timer.recordMilliseconds(milliseconds) }
        let sizes = Recorder(label: "app_group", factory: exporter)
        for value in [1, 2, 3, 40_000] { sizes.record(value) }
        #expect(Self.text(exporter) == Self.golden)
    }

    private static let golden = """
        # TYPE app_group histogram
        app_group_bucket{le="1.0"} 1
        app_group_bucket{le="2.0"} 2
        app_group_bucket{le="4.0"} 3
        app_group_bucket{le="8.0"} 3
        app_group_bucket{le="16.0"} 3
        app_group_bucket{le="32.0"} 3
        app_group_bucket{le="64.0"} 3
        app_group_bucket{le="128.0"} 3
        app_group_bucket{le="256.0"} 3
        app_group_bucket{le="512.0"} 3
        app_group_bucket{le="1024.0"} 3
        app_group_bucket{le="2048.0"} 3
        app_group_bucket{le="4096.0"} 3
        app_group_bucket{le="8192.0"} 3
        app_group_bucket{le="16384.0"} 3
        app_group_bucket{le="32768.0"} 3
        app_group_bucket{le="+Inf"} 4
        app_group_count 4
        app_group_sum 40006
        # TYPE app_load gauge
        app_load 0.5
        # TYPE app_queue_depth gauge
        app_queue_depth 3
        # TYPE app_requests counter
        app_requests_total{kind="pull",status="2xx"} 1
        # TYPE app_sent_bytes counter
        # UNIT app_sent_bytes bytes
        # HELP app_sent_bytes Bytes sent.\\nTo \\"all\\", a\\\\b.
        app_sent_bytes_total 75
        # TYPE app_share counter
        app_share_total 0.25
        # TYPE app_wait_seconds histogram
        # UNIT app_wait_seconds seconds
        app_wait_seconds_bucket{target="disk",le="0.0001"} 0
        app_wait_seconds_bucket{target="disk",le="0.00025"} 0
        app_wait_seconds_bucket{target="disk",le="0.0005"} 0
        app_wait_seconds_bucket{target="disk",le="0.001"} 2
        app_wait_seconds_bucket{target="disk",le="0.0025"} 2
        app_wait_seconds_bucket{target="disk",le="0.005"} 3
        app_wait_seconds_bucket{target="disk",le="0.01"} 3
        app_wait_seconds_bucket{target="disk",le="0.025"} 3
        app_wait_seconds_bucket{target="disk",le="0.05"} 3
        app_wait_seconds_bucket{target="disk",le="0.1"} 3
        app_wait_seconds_bucket{target="disk",le="0.25"} 3
        app_wait_seconds_bucket{target="disk",le="0.5"} 3
        app_wait_seconds_bucket{target="disk",le="1.0"} 4
        app_wait_seconds_bucket{target="disk",le="2.5"} 4
        app_wait_seconds_bucket{target="disk",le="5.0"} 4
        app_wait_seconds_bucket{target="disk",le="10.0"} 4
        app_wait_seconds_bucket{target="disk",le="+Inf"} 5
        app_wait_seconds_count{target="disk"} 5
        app_wait_seconds_sum{target="disk"} 20.705
        # TYPE cairn_metrics_refused_series counter
        cairn_metrics_refused_series_total 0
        # EOF

        """

    @Test func `an exporter that nobody has used is a whole text`() {
        #expect(
            Self.text(OpenMetricsExporter()) == """
                # TYPE cairn_metrics_refused_series counter
                # HELP cairn_metrics_refused_series Requests for a series of metrics that the \
                exporter refused.
                cairn_metrics_refused_series_total 0
                # EOF

                """)
    }

    @Test func `values of labels are escaped`() {
        let exporter = OpenMetricsExporter()
        Counter(
            label: "app", dimensions: [("text", "a\"b\\c\nd é")], factory: exporter
        ).increment()
        #expect(Self.lines(exporter).contains(#"app_total{text="a\"b\\c\nd é"} 1"#))
    }

    @Test func `names of other libraries become names of OpenMetrics`() {
        let exporter = OpenMetricsExporter()
        Counter(
            label: "http.requests", dimensions: [("http.route", "x")], factory: exporter
        ).increment()
        CoreMetrics.Timer(label: "2nd-step", factory: exporter).recordSeconds(1)
        Gauge(label: "_hidden", factory: exporter).record(1)
        let lines = Self.lines(exporter)
        #expect(lines.contains(#"http_requests_total{http_route="x"} 1"#))
        #expect(lines.contains("x2nd_step_seconds_count 1"))
        #expect(lines.contains("# UNIT x2nd_step_seconds seconds"))
        #expect(lines.contains("x_hidden 1"))
    }

    @Test func `numbers that are none are written as the specification has them`() {
        let exporter = OpenMetricsExporter()
        for (name, value) in [("a", Double.nan), ("b", .infinity), ("c", -.infinity), ("d", 1e300)]
        {
            Gauge(label: name, factory: exporter).record(value)
        }
        let lines = Self.lines(exporter)
        for line in ["a NaN", "b +Inf", "c -Inf", "d 1e+300"] { #expect(lines.contains(line)) }
    }

    @Test func `what would make a counter or a sum go down is dropped`() {
        let exporter = OpenMetricsExporter()
        let counter = Counter(label: "a", factory: exporter)
        counter.increment(by: 5)
        counter.increment(by: -3)
        let recorder = Recorder(label: "b", factory: exporter)
        for value in [2, -1, Double.nan, .infinity] { recorder.record(value) }
        let timer = CoreMetrics.Timer(label: "c", factory: exporter)
        timer.recordNanoseconds(-5)
        let lines = Self.lines(exporter)
        for line in ["a_total 5", "b_count 1", "b_sum 2", "c_seconds_count 1", "c_seconds_sum 0"] {
            #expect(lines.contains(line), "\(line)")
        }
    }

    // MARK: - Bounds

    @Test func `series above the bound are refused and counted, and cost nothing`() {
        let exporter = OpenMetricsExporter(seriesCountMax: 10)
        for number in 0..<1000 {
            Counter(label: "app", dimensions: [("n", "\(number)")], factory: exporter).increment()
        }
        let lines = Self.lines(exporter)
        // One of the ten is the exporter's own.
        #expect(lines.count { $0.hasPrefix("app_total{") } == 9)
        #expect(lines.contains("\(Self.refused) 991"))
        // Those that there are go on.
        Counter(label: "app", dimensions: [("n", "0")], factory: exporter).increment()
        #expect(Self.lines(exporter).contains(#"app_total{n="0"} 2"#))
    }

    @Test func `a series that was given back makes room`() {
        let exporter = OpenMetricsExporter(seriesCountMax: 2)
        let first = Counter(label: "a", factory: exporter)
        let again = Counter(label: "a", factory: exporter)
        first.increment()
        again.increment()
        first.destroy()
        // Somebody else still has it.
        #expect(Self.lines(exporter).contains("a_total 2"))
        Gauge(label: "a_total", factory: exporter).record(7)
        #expect(Self.lines(exporter).contains("\(Self.refused) 1"))
        again.destroy()
        #expect(!Self.lines(exporter).contains { $0.hasPrefix("a_total") })
        Gauge(label: "a_total", factory: exporter).record(7)
        #expect(Self.lines(exporter).contains("a_total 7"))
    }

    @Test(arguments: [
        ("app", "x", 2000), ("app", "le", 1), (String(repeating: "a", count: 2000), "x", 1),
    ])
    func `series with names that cannot be had are refused`(
        _ name: String, _ label: String, _ byteCount: Int
    ) {
        let exporter = OpenMetricsExporter()
        let value = String(repeating: "v", count: byteCount)
        Recorder(label: name, dimensions: [(label, value)], factory: exporter).record(1)
        let lines = Self.lines(exporter)
        #expect(!lines.contains { $0.hasPrefix("app") || $0.hasPrefix("aaa") })
        #expect(lines.contains("\(Self.refused) 1"))
        #expect(exporter.render().count < 1000)
    }

    @Test func `one name is never two things`() {
        let exporter = OpenMetricsExporter()
        CoreMetrics.Timer(label: "wait_seconds", factory: exporter).recordSeconds(1)
        Counter(label: "wait_seconds", factory: exporter).increment()
        Gauge(label: "wait_seconds_count", factory: exporter).record(1)
        Recorder(label: "wait_seconds", dimensions: [("a", "b")], factory: exporter).record(1)
        Counter(
            label: "twice", dimensions: [("a.b", "1"), ("a_b", "2")], factory: exporter
        ).increment()
        let lines = Self.lines(exporter)
        #expect(lines.contains("\(Self.refused) 4"))
        #expect(lines.count { $0.hasPrefix("# TYPE") } == 2)
    }

    // MARK: - Threads

    @Test func `counting on many threads loses nothing`() async {
        let exporter = OpenMetricsExporter()
        await withTaskGroup { group in
            for number in 0..<8 {
                group.addTask {
                    // Each makes its own handles, of the same series.
                    let counter = Counter(label: "a", factory: exporter)
                    let meter = Meter(label: "b", factory: exporter)
                    let timer = CoreMetrics.Timer(label: "c", factory: exporter)
                    let recorder = Recorder(label: "d", factory: exporter)
                    for _ in 0..<10_000 {
                        counter.increment()
                        meter.increment()
                        timer.recordNanoseconds(number)
                        recorder.record(1)
                    }
                    _ = exporter.render()
                }
            }
        }
        let lines = Self.lines(exporter)
        for line in [
            "a_total 80000", "b 80000", "c_seconds_count 80000", "c_seconds_sum 0.00028",
            "d_count 80000", "d_sum 80000",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
    }
}
