// Part of Cairn, a content-addressed blob store.

internal import CairnIndex
internal import CairnSegments
internal import CoreMetrics

extension Store {
    /// Reads the figures that are not counted as they change, and sets their gauges: depths of
    /// queues, open upload sessions, keys in memory, the index and the free room of the disk.
    ///
    /// For whoever is about to collect the metrics of the store; see <doc:Metrics>. What cannot be
    /// read keeps its last value, and all of them do once the store is closed. Takes part of a
    /// millisecond on a worker thread.
    public func refreshMetrics() async {
        guard (try? engine.checkOpen()) != nil else { return }
        let gauges = engine.metrics.gauges
        // Before this call itself waits among them.
        gauges.workerQueueDepth.record(engine.pool.waitingCount)
        gauges.commitQueueDepth.record(engine.committer.waitingCount)
        gauges.openUploadSessions.record(engine.liveUploads.count)
        gauges.keyCacheKeys.record(engine.keys.cachedCount)
        await engine.pool.run { [engine] _ in
            if let free = try? engine.disk.freeByteCount() { gauges.diskFreeBytes.record(free) }
            if let figures = try? engine.index.statistics() { gauges.record(figures) }
        }
    }
}

extension StoreGauges {
    fileprivate func record(_ figures: IndexStatistics) {
        indexBytes.record(figures.byteCount)
        indexUnflushedBytes.record(figures.unflushedByteCount)
        indexCacheBytes.record(figures.cacheByteCount)
        indexPendingCompactionBytes.record(figures.pendingCompactionByteCount)
        indexEntries.record(figures.entryCount)
        indexBackgroundErrors.record(figures.backgroundErrorCount)
    }
}
