// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

extension Store {
    /// Builds the index of a store anew, from the segments and the catalogue.
    ///
    /// For a store whose index is lost or damaged. Buckets, blobs, objects and keys come from the
    /// catalogue; where chunks lie, and how often they are referred to, from the segments. The
    /// old index is kept aside, as `index.old`. Upload sessions that were open are gone; clients
    /// begin them again. The store must not be open. A kill leaves everything as it was, and the
    /// repair can be run again. Reads every segment once.
    ///
    /// - Parameters:
    ///   - path: the store's directory.
    ///   - unlock: what opens the keyring.
    ///   - configuration: how the store runs.
    /// - Throws: ``StoreError`` with code `storeNotFound`, `storeLocked`, `wrongPassphrase`,
    ///   `formatTooNew`, `keyUnavailable`, `outOfSpace`, `cancelled`, `io`, or `corrupted` when
    ///   neither the catalogue nor the index tells enough to go on: restore a backup then.
    public static func repair(
        at path: String, unlock: KeyringUnlock = .keyFile(path: nil),
        configuration: StoreConfiguration = StoreConfiguration()
    ) async throws(StoreError) -> RepairReport {
        var configuration = configuration
        configuration.createIfMissing = false
        return try await repair(
            seams(at: path, configuration), unlock: unlock, configuration: configuration)
    }

    /// Repairs a store on parts of the caller's choice.
    package static func repair(
        _ seams: StoreSeams, unlock: KeyringUnlock, configuration: StoreConfiguration
    ) async throws(StoreError) -> RepairReport {
        let lock = try lower(
            "repairing the store",
            disk: { () throws(DiskError) in
                try seams.disk.lock(StoreFormat.lock)
            })
        defer { lock.release() }
        let opening = StoreOpening(
            seams: seams, customerKeys: .keyring(unlock), configuration: configuration)
        var report = RepairReport()
        do throws(StoreError) {
            try await rebuild(opening, &report)
        } catch {
            seams.discardNewIndex()
            throw error
        }
        // From here on the store is as any other; only what is missing is still to be named.
        let engine = try await opening.run()
        let lost: Result<[DamagedBlob], StoreError>
        do throws(StoreError) {
            if report.source != .catalogue { try await engine.foldCatalogue() }
            lost = .success(try await engine.damagedBlobs())
        } catch {
            lost = .failure(error)
        }
        try await shutDown(engine).get()
        report.lostBlobs = try lost.get()
        return report
    }

    // Until the new index is installed nothing else has changed.
    private static func rebuild(
        _ opening: StoreOpening, _ report: inout RepairReport
    ) async throws(StoreError) {
        let engine = try await opening.runOnNewIndex(&report)
        do throws(StoreError) {
            var rebuild = IndexRebuild(engine: engine, report: report)
            report = try await rebuild.run()
        } catch {
            _ = await shutDown(engine)
            throw error
        }
        try await shutDown(engine).get()
        try lower(
            "installing the index",
            disk: { () throws(DiskError) in
                try opening.seams.installNewIndex()
            })
    }
}

extension StoreOpening {
    /// The engine of the store on a new index that has all but the chunks.
    func runOnNewIndex(_ report: inout RepairReport) async throws(StoreError) -> Engine {
        try configuration.check()
        let pool = try makePool()
        do throws(StoreError) {
            let storeID = try await pool.run { (_) throws(StoreError) in
                try existingStoreID()
            }
            let provider = try await openProvider(isNew: false, pool)
            let (index, source) = try await pool.run { (_) throws(StoreError) in
                let index = try lower(
                    "making an index",
                    index: { () throws(IndexError) in
                        try seams.openNewIndex(Tables.all)
                    })
                return (index, try CatalogueCopy(seams: seams, storeID: storeID).fill(index))
            }
            report.source = source
            return try await assemble(storeID, provider, index, pool, isInstalled: false)
        } catch {
            pool.stop()
            throw error
        }
    }
}
