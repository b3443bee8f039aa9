// Part of Cairn, a content-addressed blob store.
internal import CoreMetrics
internal import Synchronization

/// One line of figures, or several for a histogram: a metric with values for its labels.
protocol MetricSeries: AnyObject, Sendable {
    var key: SeriesKey { get }

    /// Writes the lines as of now.
    func write(to text: inout OpenMetricsText)
}

/// What tells a series from all others.
struct SeriesKey: Hashable, Sendable {
    /// The name of the metric family: without `_total`.
    let family: String
    /// As they stand between the braces, in the order of the names.
    let labels: String
}

/// A figure that only grows. Wait-free but for fractions.
final class CounterSeries: MetricSeries, CounterHandler, FloatingPointCounterHandler {
    let key: SeriesKey
    private let whole = Atomic<UInt64>(0)
    private let fractions = AtomicDouble()

    init(_ key: SeriesKey) { self.key = key }

    func increment() { whole.wrappingAdd(1, ordering: .relaxed) }

    /// What is negative would make it go down, and is dropped.
    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        whole.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fractions.add(amount)
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fractions.store(0)
    }

    func write(to text: inout OpenMetricsText) {
        let (whole, fractions) = (whole.load(ordering: .relaxed), fractions.load())
        text.sample(
            key, "_total",
            fractions == 0 ? "\(whole)" : OpenMetricsText.number(Double(whole) + fractions))
    }
}

/// A figure of which the last value counts.
final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    let key: SeriesKey
    private let value = AtomicDouble()

    init(_ key: SeriesKey) { self.key = key }

    func set(_ value: Int64) { self.value.store(Double(value)) }
    func set(_ value: Double) { self.value.store(value) }
    func increment(by amount: Double) { value.add(amount) }
    func decrement(by amount: Double) { value.add(-amount) }
    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }

    func write(to text: inout OpenMetricsText) {
        text.sample(key, "", OpenMetricsText.number(value.load()))
    }
}

/// Durations by how long they are. Wait-free.
final class TimerSeries: MetricSeries, TimerHandler {
    /// From a read out of the cache to a disk that hangs.
    private static let bounds: [Int64] = [
        100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
        100_000_000, 250_000_000, 500_000_000,
        1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]
    private static let boundTexts = bounds.map { OpenMetricsText.bound(seconds($0)) }

    let key: SeriesKey
    private let buckets = Buckets()
    private let nanoseconds = Atomic<UInt64>(0)

    init(_ key: SeriesKey) { self.key = key }

    func recordNanoseconds(_ duration: Int64) {
        // A clock that was set back.
        let duration = max(0, duration)
        nanoseconds.wrappingAdd(UInt64(duration), ordering: .relaxed)
        buckets.count(Self.bounds.firstIndex { duration <= $0 } ?? Self.bounds.count)
    }

    func write(to text: inout OpenMetricsText) {
        let sum = nanoseconds.load(ordering: .relaxed)
        text.histogram(
            key, Self.boundTexts, buckets.counts,
            sum: OpenMetricsText.number(Self.seconds(Int64(clamping: sum))))
    }

    private static func seconds(_ nanoseconds: Int64) -> Double {
        Double(nanoseconds) / 1_000_000_000
    }
}

/// Values by how large they are. Wait-free but for the sum.
final class HistogramSeries: MetricSeries, RecorderHandler {
    private static let bounds = (0..<Buckets.boundCount).map { Double(1 << $0) }
    private static let boundTexts = bounds.map { OpenMetricsText.bound($0) }

    let key: SeriesKey
    private let buckets = Buckets()
    private let sum = AtomicDouble()

    init(_ key: SeriesKey) { self.key = key }

    func record(_ value: Int64) { record(Double(value)) }

    /// The sum must not go down: what is negative is dropped.
    func record(_ value: Double) {
        guard value >= 0, value.isFinite else { return }
        sum.add(value)
        buckets.count(Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count)
    }

    func write(to text: inout OpenMetricsText) {
        text.histogram(
            key, Self.boundTexts, buckets.counts, sum: OpenMetricsText.number(sum.load()))
    }
}

// MARK: -

/// How many values are in each bucket, the last of which has those above every bound.
private final class Buckets: Sendable {
    static let boundCount = 16

    private let values = InlineArray<17, Atomic<UInt64>> { _ in Atomic(0) }

    func count(_ index: Int) { values[index].wrappingAdd(1, ordering: .relaxed) }

    var counts: [UInt64] {
        values.indices.map { values[$0].load(ordering: .relaxed) }
    }
}

/// A floating-point number that several threads change. Lock-free.
private struct AtomicDouble: ~Copyable, Sendable {
    private let bits = Atomic<UInt64>(0)

    func load() -> Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func store(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = Double(bitPattern: old) + amount
            let (isExchanged, found) = bits.weakCompareExchange(
                expected: old, desired: new.bitPattern, ordering: .relaxed)
            if isExchanged { return }
            old = found
        }
    }
}
