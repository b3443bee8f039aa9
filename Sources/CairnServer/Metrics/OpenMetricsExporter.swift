// Part of Cairn, a content-addressed blob store.
internal import Cairn
public import CoreMetrics
internal import Synchronization

/// Collects metrics, and tells them in the text format of OpenMetrics 1.0.
///
/// A backend of swift-metrics. Give it to the stores and servers whose figures it is to have:
///
/// ```swift
/// let exporter = OpenMetricsExporter()
/// let store = try await withMetricsFactory(exporter) { try await Store.open(at: "cairn-data") }
/// let server = RegistryServer(
///     store, configuration: configuration, logger: logger, metrics: exporter)
/// ```
///
/// Its memory is bounded: of series beyond a number none is kept, and how many were refused is a
/// metric itself. Two that ask for the same series share it. Thread-safe; counting takes no lock.
public final class OpenMetricsExporter: MetricsFactory {
    private struct Entry {
        let series: any MetricSeries
        /// How many have asked for it and did not give it back.
        var userCount = 1
    }

    private struct Family {
        let type: MetricType
        var entries: [String: Entry] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        /// The family that the samples of each name belong to.
        var sampleNames: [String: String] = [:]
        var seriesCount = 0
    }

    /// Series that are kept by default: ten times what a store and a server have.
    public static let seriesCountMax = 2000
    /// The bytes of a series' name and labels; values of labels are few and short, or no labels.
    static let keyByteCountMax = 1024

    private let seriesCountMax: Int
    private let help: [String: String]
    private let state = Mutex(State())
    private let refused: CounterSeries

    /// Makes an exporter that has nothing yet.
    ///
    /// - Parameter seriesCountMax: how many series it keeps at most; each takes up to 2 KiB.
    public convenience init(seriesCountMax: Int = OpenMetricsExporter.seriesCountMax) {
        self.init(
            seriesCountMax: seriesCountMax,
            describing: MetricDescription.ofStores + MetricDescription.ofServers)
    }

    init(seriesCountMax: Int, describing descriptions: [MetricDescription]) {
        self.seriesCountMax = seriesCountMax
        help = Dictionary(
            descriptions.map { (MetricNames.family($0.name, MetricType($0.kind)), $0.help) },
            uniquingKeysWith: { first, _ in first })
        let name = MetricNames.family(MetricDescription.refusedSeries.name, .counter)
        refused = CounterSeries(SeriesKey(family: name, labels: ""))
        state.withLock { _ = Self.insert(refused, .counter, &$0) }
    }

    /// All series as of now, as text in UTF-8.
    ///
    /// The figures of one histogram belong together to within the values that come meanwhile.
    public func render() -> [UInt8] {
        let families = state.withLock { $0.families }
        var text = OpenMetricsText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text.family(name, family.type, help: help[name])
            for (_, entry) in family.entries.sorted(by: { $0.key < $1.key }) {
                entry.series.write(to: &text)
            }
        }
        text.end()
        return text.bytes
    }

    // MARK: - MetricsFactory

    /// Makes a counter, or finds it.
    public func makeCounter(
        label: String, dimensions: [(String, String)]
    ) -> any CounterHandler {
        counter(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// Makes a counter of fractions, or finds it.
    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// Makes a gauge, or finds it.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions) ?? NOOPMetricsHandler.instance
    }

    /// Makes a histogram or a gauge, or finds it.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) ?? NOOPMetricsHandler.instance }
        return series(MetricNames.family(label, .histogram), dimensions, .histogram) {
            HistogramSeries($0)
        } ?? NOOPMetricsHandler.instance
    }

    /// Makes a histogram of seconds, or finds it.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(
            MetricNames.family(label, .histogram, isTimer: true), dimensions, .histogram
        ) { TimerSeries($0) } ?? NOOPMetricsHandler.instance
    }

    /// Gives a counter back.
    public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }

    /// Gives a counter of fractions back.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        remove(handler)
    }

    /// Gives a gauge back.
    public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }

    /// Gives a histogram or a gauge back.
    public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }

    /// Gives a histogram of seconds back.
    public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    // MARK: -

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterSeries? {
        series(MetricNames.family(label, .counter), dimensions, .counter) { CounterSeries($0) }
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries? {
        series(MetricNames.family(label, .gauge), dimensions, .gauge) { GaugeSeries($0) }
    }

    /// Nil when it is refused: there are too many, or its name is that of something else.
    private func series<Series: MetricSeries>(
        _ family: String, _ dimensions: [(String, String)], _ type: MetricType,
        _ make: (SeriesKey) -> Series
    ) -> Series? {
        guard let labels = MetricNames.labels(dimensions, type),
            family.utf8.count + labels.utf8.count <= Self.keyByteCountMax
        else {
            refused.increment()
            return nil
        }
        let new = make(SeriesKey(family: family, labels: labels))
        let series = state.withLock { state -> Series? in
            if let entry = state.families[family]?.entries[labels] {
                guard let found = entry.series as? Series else { return nil }
                state.families[family]?.entries[labels]?.userCount += 1
                return found
            }
            guard state.seriesCount < seriesCountMax, Self.insert(new, type, &state) else {
                return nil
            }
            return new
        }
        if series == nil { refused.increment() }
        return series
    }

    /// False when a name is taken for something else.
    private static func insert(
        _ series: any MetricSeries, _ type: MetricType, _ state: inout State
    ) -> Bool {
        let (family, labels) = (series.key.family, series.key.labels)
        if let known = state.families[family] {
            // A timer and a histogram have the same type and other bounds.
            guard known.type == type, let other = known.entries.values.first?.series,
                Swift.type(of: other) == Swift.type(of: series)
            else { return false }
        } else {
            let names = type.suffixes.map { family + $0 }
            guard names.allSatisfy({ state.sampleNames[$0] == nil }) else { return false }
            for name in names { state.sampleNames[name] = family }
            state.families[family] = Family(type: type)
        }
        state.families[family]?.entries[labels] = Entry(series: series)
        state.seriesCount += 1
        return true
    }

    private func remove(_ handler: AnyObject) {
        guard let series = handler as? any MetricSeries else { return }
        let (family, labels) = (series.key.family, series.key.labels)
        state.withLock { state in
            guard let entry = state.families[family]?.entries[labels], entry.series === series
            else { return }
            state.families[family]?.entries[labels]?.userCount -= 1
            guard entry.userCount == 1 else { return }
            state.families[family]?.entries[labels] = nil
            state.seriesCount -= 1
            guard state.families[family]?.entries.isEmpty ?? false else { return }
            state.families[family] = nil
            state.sampleNames = state.sampleNames.filter { $0.value != family }
        }
    }
}

extension MetricType {
    fileprivate init(_ kind: MetricDescription.Kind) {
        switch kind {
        case .counter: self = .counter
        case .gauge: self = .gauge
        case .histogram: self = .histogram
        }
    }
}
