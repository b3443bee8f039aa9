// Part of Cairn, a content-addressed blob store.

import Foundation

extension Duration {
    /// The duration in milliseconds, with fractions.
    public var milliseconds: Double {
        Double(components.seconds) * 1000 + Double(components.attoseconds) / 1e15
    }
}

/// How many milliseconds a call takes.
public func milliseconds<R>(_ body: () async throws -> R) async throws -> Double {
    let start = ContinuousClock.now
    _ = try await body()
    return (ContinuousClock.now - start).milliseconds
}

extension Double {
    /// The number with so many digits behind the point.
    public func formatted(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

extension [Double] {
    /// The value below which a share of all lies; 0.5 is the median.
    public func quantile(_ share: Double) -> Double {
        guard !isEmpty else { return .nan }
        return sorted()[Swift.min(count - 1, Int(Double(count) * share))]
    }
}
