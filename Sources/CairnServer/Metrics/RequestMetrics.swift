// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import CoreMetrics
internal import HTTPTypes
internal import Hummingbird

/// What a request wants, as metrics tell it.
enum RouteKind: String, CaseIterable {
    case pullBlob = "pull_blob"
    case pullManifest = "pull_manifest"
    case pushBlob = "push_blob"
    case pushManifest = "push_manifest"
    case tagList = "tag_list"
    case other

    init(_ target: RequestTarget, _ method: HTTPRequest.Method) {
        let isPull = method == .get || method == .head
        self =
            switch target {
            case .blob where isPull: .pullBlob
            case .manifest where isPull: .pullManifest
            case .manifest where method == .put: .pushManifest
            case .uploads, .upload: .pushBlob
            case .tags where isPull: .tagList
            default: .other
            }
    }
}

/// Counts the requests to a registry, and how long they take.
///
/// All series are there from the start, so their number does not depend on what clients send.
/// Thread-safe.
final class RequestMetrics: Sendable {
    /// Classes of final answers, from the first digit 2 on.
    private static let statuses = ["2xx", "3xx", "4xx", "5xx"]

    private let counters: [RouteKind: [Counter]]
    private let timers: [RouteKind: Timer]

    init(_ factory: any MetricsFactory) {
        var counters: [RouteKind: [Counter]] = [:]
        var timers: [RouteKind: Timer] = [:]
        for kind in RouteKind.allCases {
            counters[kind] = Self.statuses.map {
                factory.counter(.httpRequests, kind.rawValue, $0)
            }
            timers[kind] = factory.timer(.httpRequestDuration, kind.rawValue)
        }
        (self.counters, self.timers) = (counters, timers)
    }

    /// Counts a request that is being answered. Its time ends when all of the answer has left.
    func count(
        _ kind: RouteKind, _ method: HTTPRequest.Method, _ response: inout Response,
        since start: ContinuousClock.Instant
    ) {
        let status = response.status.code / 100 - 2
        if let counters = counters[kind], counters.indices.contains(status) {
            counters[status].increment()
        }
        guard let timer = timers[kind] else { return }
        let isStream = kind == .pullBlob && method == .get && response.status.kind == .successful
        guard isStream else { return timer.record(since: start) }
        let body = response.body
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            // Also when the client has gone, or the blob turned out to be damaged.
            defer { timer.record(since: start) }
            try await body.write(writer)
        }
    }
}
