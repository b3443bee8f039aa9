// Part of Cairn, a content-addressed blob store.

extension Store {
    /// Frees what nothing needs any more, while everything else goes on.
    ///
    /// Works off leases that are over, deleted buckets, expired upload sessions and chunks without
    /// references, in small transactions: a kill loses nothing and the next sweep goes on. Costs
    /// time in proportion to what there is to free, not to the size of the store. What is being
    /// read stays until the reader is done.
    ///
    /// - Throws: ``StoreError`` with code `cancelled` (by the task; what was freed stays freed),
    ///   `corrupted`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func sweep() async throws(StoreError) -> SweepReport {
        try await engine.reapExpiredUploads(limit: .max)
        try await engine.reapExpiredMultiparts(limit: .max)
        var report = SweepReport()
        try await engine.expireLeases(&report)
        try await engine.emptyDeletedBuckets(&report)
        try await engine.forgetRemovedBuckets()
        try await engine.sweepGarbage(&report)
        return report
    }

    /// What a sweep would free now, and changes nothing.
    ///
    /// Exact for one moment: expired sessions and deleted buckets that are still to be worked off
    /// are not part of it. Memory: about 100 bytes for each chunk it names.
    ///
    /// - Throws: ``StoreError`` with code `cancelled`, `corrupted`, `io`, `closed`.
    public func sweepPreview() async throws(StoreError) -> SweepReport {
        try await engine.previewSweep()
    }
}
