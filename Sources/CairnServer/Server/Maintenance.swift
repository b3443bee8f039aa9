// Part of Cairn, a content-addressed blob store.
internal import Cairn
internal import Logging
internal import ServiceLifecycle

/// Sweeps, compacts and scrubs the store now and then, as long as the server runs.
struct Maintenance: Service {
    let store: Store
    let uploads: UploadTable
    let configuration: ServerConfiguration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await self.work()
                do { try await Task.sleep(for: configuration.maintenanceInterval) } catch { return }
            }
        }
    }

    /// A client that goes on at all sends its next chunk within seconds.
    private static let idleTimeMax = Duration.seconds(600)

    // A failure is the operator's to see; the next round tries again.
    private func work() async {
        var compaction = CompactionConfiguration()
        compaction.byteRateMax = configuration.maintenanceByteRateMax
        var scrub = ScrubConfiguration()
        scrub.byteRateMax = configuration.maintenanceByteRateMax
        scrub.byteCountMax = configuration.scrubByteCount
        await reporting { () throws(StoreError) in
            for key in try await store.keyService?.runSchedule() ?? [] {
                logger.notice("customer key destroyed", metadata: ["key": "\(key)"])
            }
        }
        await reporting { () throws(StoreError) in
            let report = try await store.applyLifecycle()
            guard report.skippedKeyCount > 0 else { return }
            logger.warning(
                "lifecycle rules could not be applied to some keys",
                metadata: ["keys": "\(report.skippedKeyCount)"])
        }
        await uploads.suspendIdle(for: Self.idleTimeMax)
        await reporting { () throws(StoreError) in try await store.checkAllowances() }
        await reporting { () throws(StoreError) in
            let swept = try await store.sweep()
            let compacted = try await store.compact(compaction)
            let scrubbed = try await store.scrub(scrub)
            if scrubbed.damagedChunkCount > 0 {
                logger.error(
                    "stored chunks are damaged: see `cairn scrub`",
                    metadata: ["chunks": "\(scrubbed.damagedChunkCount)"])
            }
            guard swept != SweepReport() || compacted != CompactionReport() else { return }
            logger.debug(
                "maintenance",
                metadata: [
                    "swept-bytes": "\(swept.byteCount)",
                    "freed-bytes": "\(compacted.freedByteCount)",
                    "moved-bytes": "\(compacted.movedByteCount)",
                ])
        }
    }

    // What fails keeps nothing else from being done.
    private func reporting(_ work: () async throws(StoreError) -> Void) async {
        do throws(StoreError) {
            try await work()
        } catch {
            guard error.code != .cancelled, error.code != .closed else { return }
            logger.error("maintenance failed", metadata: ["cause": "\(error)"])
        }
    }
}
