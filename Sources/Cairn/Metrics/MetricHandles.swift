// Part of Cairn, a content-addressed blob store.

package import CoreMetrics

extension MetricsFactory {
    /// A counter of a description, with the value of each of its labels.
    package func counter(_ metric: MetricDescription, _ values: String...) -> Counter {
        Counter(label: metric.name, dimensions: metric.dimensions(values), factory: self)
    }

    /// A gauge of a description without labels.
    package func gauge(_ metric: MetricDescription) -> Gauge {
        Gauge(label: metric.name, factory: self)
    }

    /// A histogram of durations, with the value of each label of its description.
    package func timer(_ metric: MetricDescription, _ values: String...) -> Timer {
        Timer(
            label: metric.name, dimensions: metric.dimensions(values),
            preferredDisplayUnit: .seconds, factory: self)
    }

    /// A histogram of counts, of a description without labels.
    package func recorder(_ metric: MetricDescription) -> Recorder {
        Recorder(label: metric.name, factory: self)
    }
}

extension MetricDescription {
    fileprivate func dimensions(_ values: [String]) -> [(String, String)] {
        assert(values.count == labels.count)
        return Array(zip(labels, values))
    }
}

extension Timer {
    /// Records the time from a moment until now.
    package func record(since start: ContinuousClock.Instant) {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        // 2^63 ns are 292 years.
        recordNanoseconds(seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
    }

    /// Records how long something takes, whether it succeeds or not.
    func measure<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        let start = ContinuousClock.now
        defer { record(since: start) }
        return try body()
    }
}
