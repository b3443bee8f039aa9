// Part of Cairn, a content-addressed blob store.

/// Holds background work back to a rate of bytes.
struct Pace: Sendable {
    /// Bytes per second; nil is as fast as it goes.
    let byteRateMax: UInt64?
    private let startedAt = ContinuousClock.now

    init(byteRateMax: UInt64?) { self.byteRateMax = byteRateMax }

    /// Sleeps until `byteCount` bytes since the beginning are within the rate.
    ///
    /// - Parameter work: what throws `cancelled` when the task is.
    func keep(_ byteCount: UInt64, _ work: String) async throws(StoreError) {
        guard let byteRateMax, byteRateMax > 0 else { return }
        let due = Duration.seconds(Double(byteCount) / Double(byteRateMax))
        let wait = due - (ContinuousClock.now - startedAt)
        guard wait > .zero else { return }
        do { try await Task.sleep(for: wait) } catch {
            throw StoreError(.cancelled, "\(work) was cancelled")
        }
    }
}
