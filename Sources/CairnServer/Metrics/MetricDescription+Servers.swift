// Part of Cairn, a content-addressed blob store.
internal import Cairn

extension MetricDescription {
    /// All metrics that a server has beside those of its store.
    static let ofServers = [httpRequests, httpRequestDuration, refusedSeries]

    static let httpRequests = MetricDescription(
        "cairn_http_requests_total", .counter, labels: ["kind", "status"],
        "Requests to the registry that were answered.")
    static let httpRequestDuration = MetricDescription(
        "cairn_http_request_duration_seconds", .histogram, labels: ["kind"],
        "Time from the head of a request to the registry until its answer was sent.")
    static let refusedSeries = MetricDescription(
        "cairn_metrics_refused_series_total", .counter,
        "Requests for a series of metrics that the exporter refused.")
}
