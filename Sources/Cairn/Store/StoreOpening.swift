// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import CairnSegments

/// Opens a store or creates it, step by step; every step can be repeated after a crash.
struct StoreOpening: Sendable {
    let seams: StoreSeams
    let customerKeys: CustomerKeySource
    let configuration: StoreConfiguration
    /// For the factory of metrics that the task has which opens the store.
    let metrics = StoreMetrics()

    /// The engine of the open store. The caller holds the store's lock.
    func run() async throws(StoreError) -> Engine {
        try configuration.check()
        let pool = try makePool()
        do throws(StoreError) {
            return try await open(pool)
        } catch {
            pool.stop()
            throw error
        }
    }

    // MARK: -

    func makePool() throws(StoreError) -> WorkerPool {
        try WorkerPool(
            count: configuration.workerCount, random: seams.random, metrics: metrics)
    }

    private func metered(_ provider: any KeyProvider) -> any KeyProvider {
        MeteredKeyProvider(base: provider, metrics: metrics.keyProvider)
    }

    private func open(_ pool: WorkerPool) async throws(StoreError) -> Engine {
        let (storeID, isNew) = try await pool.run { (_) throws(StoreError) in try identify() }
        let provider = try await openProvider(isNew: isNew, pool)
        let index = try await pool.run { (_) throws(StoreError) -> any Index in
            try lower(
                "opening the index",
                index: { () throws(IndexError) in
                    try seams.openIndex(Tables.all, isNew)
                })
        }
        if isNew { try await createRows(storeID, provider, index, pool) }
        let engine = try await assemble(storeID, provider, index, pool)
        try await engine.checkKeyring()
        try await engine.completeUsage()
        if isNew { try await engine.foldCatalogue() }
        return engine
    }

    /// The engine on an index that has at least its first rows.
    ///
    /// - Parameter isInstalled: whether it is the store's; one that is not leaves the catalogue
    ///   alone.
    func assemble(
        _ storeID: Octets16, _ provider: any KeyProvider, _ index: any Index, _ pool: WorkerPool,
        isInstalled: Bool = true
    ) async throws(StoreError) -> Engine {
        let audit = AuditRecorder(pool: pool)
        let keys = KeyTable(
            storeID: storeID, provider: AuditedProvider(base: metered(provider), recorder: audit),
            index: index, pool: pool, clock: seams.clock,
            lifetime: configuration.keyCacheLifetime)
        let row = try await pool.run { (_) throws(StoreError) in try readStoreRow(index) }
        guard row.storeID == storeID else {
            throw StoreError(.corrupted, "the index belongs to another store")
        }
        let storeKey = try await keys.secret(
            StoreFormat.storeKeySlot, for: .init(kind: .store, ownerID: storeID))
        if isInstalled {
            try await pool.run { (_) throws(StoreError) in
                audit.open(try openAuditLog(storeID, storeKey, index, audit.uses))
            }
        }
        let segments = try await pool.run { (_) throws(StoreError) in
            try lower(
                "opening the segments",
                segments: { () throws(SegmentError) in
                    try LocalSegmentStore.open(
                        disk: seams.disk, directory: StoreFormat.segments, storeID: storeID,
                        configuration: seams.segments)
                })
        }
        let catalogue = try await pool.run { (_) throws(StoreError) in
            let open = isInstalled ? Catalogue.open : Catalogue.detached
            return try open(seams.disk, storeID, index)
        }
        let sealingKey = SealingKey(
            slot: StoreFormat.storeKeySlot, key: storeKey,
            scope: RecordScope(storeID: storeID, ownerID: storeID))
        let ledger = try UsageLedger(
            storeID: storeID, sealingKey: sealingKey, clock: seams.clock, random: seams.random,
            notBefore: try await pool.run { (_) throws(StoreError) in
                try lastMetered(storeID, index)
            }, meteredDayCount: UInt32(configuration.meteredDayCount))
        return Engine(
            storeID: storeID, configuration: configuration, chunker: row.chunker,
            disk: seams.disk, index: index, segments: segments, catalogue: catalogue,
            segmentByteCount: seams.segments.segmentByteCount, keys: keys, audit: audit,
            keyring: provider as? KeyringHolder, storeKey: storeKey, pool: pool,
            committer: try GroupCommitter(
                index: index, segments: segments, catalogue: catalogue, metrics: metrics),
            ledger: ledger, clock: seams.clock, random: seams.random)
    }

    // When anything was changed last.
    private func lastMetered(
        _ storeID: Octets16, _ index: any Index
    ) throws(StoreError) -> Timestamp {
        let bytes = try lower(
            "reading usage",
            index: { () throws(IndexError) in try index.get(Tables.usage, storeID.bytes) })
        let row = try bytes.map(Engine.decodeUsageRow)
        return row?.meter.since ?? Timestamp(nanosecondsSinceEpoch: 0)
    }

    private func openAuditLog(
        _ storeID: Octets16, _ storeKey: SecretBytes, _ index: any Index, _ uses: KeyUses
    ) throws(StoreError) -> AuditLog {
        let format = try AuditFormat(storeKey: storeKey, storeID: storeID)
        let notes = StoreNotes(format: format)
        let (head, revision) = try lower(
            "reading the end of the audit log",
            index: { () throws(IndexError) in
                (
                    notes.head(try index.get(Tables.meta, MetaKey.auditHead)),
                    notes.revision(try index.get(Tables.meta, MetaKey.keyringRevision))
                )
            })
        let hasNotes = head != nil && revision != nil
        var isBegun = hasNotes
        if !isBegun { isBegun = try !AuditLog.numbers(seams.disk).isEmpty }
        if !isBegun { try makeNotes(notes, index) }
        try uses.load(index)
        // With what a process that died had no time to note.
        let log = try AuditLog(
            seams.disk, format: format, storeID: storeID, clock: seams.clock,
            known: head ?? .start, byteCountMax: configuration.auditByteCount,
            onFound: uses.note)
        if isBegun, !hasNotes {
            _ = try? log.append(AuditEvent(action: AuditEvent.notesLost), durably: true)
        }
        return log
    }

    // Before the log is begun: from then on a note that is missing was taken away.
    private func makeNotes(_ notes: StoreNotes, _ index: any Index) throws(StoreError) {
        try lower(
            "beginning the audit log",
            index: { () throws(IndexError) in
                let transaction = try index.begin()
                for (key, value) in [
                    (MetaKey.auditHead, notes.encode(.start)),
                    (MetaKey.keyringRevision, notes.encode(revision: 0)),
                ] where try transaction.get(Tables.meta, key) == nil {
                    try transaction.put(Tables.meta, key, value)
                }
                try transaction.commit()
                try index.sync()
            })
    }

    // The id of the store; a new one, and true, where there is none yet.
    private func identify() throws(StoreError) -> (Octets16, isNew: Bool) {
        try hasMarker() ? (markedStoreID(), false) : (prepareCreation(), true)
    }

    /// The id of a store that is there.
    func existingStoreID() throws(StoreError) -> Octets16 {
        guard try hasMarker() else { throw StoreError(.storeNotFound, "there is no store here") }
        return try markedStoreID()
    }

    private func hasMarker() throws(StoreError) -> Bool {
        try lower(
            "looking for a store",
            disk: { () throws(DiskError) in
                try seams.disk.exists(StoreFormat.marker)
            })
    }

    private func markedStoreID() throws(StoreError) -> Octets16 {
        let storeID = try StoreFormat.decodeMarker(readMarker())
        try removeCreationMarker()
        return storeID
    }

    // What a crash at the end of the creation left: beside a lost marker it would pass for a
    // creation to be gone on with, which makes a new keyring.
    private func removeCreationMarker() throws(StoreError) {
        try lower(
            "opening the store",
            disk: { () throws(DiskError) in
                guard try seams.disk.exists(StoreFormat.creating) else { return }
                try seams.disk.remove(StoreFormat.creating)
                try seams.disk.syncDirectory("")
            })
    }

    private func readMarker() throws(StoreError) -> [UInt8] {
        try lower(
            "reading the store's marker",
            disk: { () throws(DiskError) in
                try seams.disk.readAll(
                    StoreFormat.marker, upTo: StoreFormat.markerByteCountMax)
            })
    }

    private func prepareCreation() throws(StoreError) -> Octets16 {
        guard configuration.createIfMissing else {
            throw StoreError(.storeNotFound, "there is no store here; create one first")
        }
        let names = try lower(
            "looking for a store",
            disk: { () throws(DiskError) -> [String] in
                let names = try seams.disk.list("")
                // The segments are opened only when the marker is there.
                guard names.contains(StoreFormat.segments),
                    try !seams.disk.list(StoreFormat.segments).isEmpty
                else { return names }
                return names.filter { $0 != StoreFormat.creating }
            })
        let isInterrupted = names.contains(StoreFormat.creating)
        let own = Set([StoreFormat.keyring, StoreFormat.index, StoreFormat.segments])
        guard isInterrupted || own.isDisjoint(with: names) else {
            throw StoreError(
                .corrupted, "the store has lost its marker file \(StoreFormat.marker)")
        }
        let storeID = UUIDText.random(from: seams.random)
        try replace(StoreFormat.creating, storeID.bytes)
        return storeID
    }

    private func createRows(
        _ storeID: Octets16, _ provider: any KeyProvider, _ index: any Index, _ pool: WorkerPool
    ) async throws(StoreError) {
        let keys = KeyTable(
            storeID: storeID, provider: metered(provider), index: index, pool: pool,
            clock: seams.clock, lifetime: configuration.keyCacheLifetime)
        let now = seams.clock.now()
        let store = StoreRow(storeID: storeID, createdAt: now, chunker: .version1)
        let storeKey = try await keys.generate(.store, owner: storeID)
        let account = AccountID(octets: UUIDText.random(from: seams.random))
        let domain = try await keys.generate(.domain, owner: account.octets)
        let accountRow = AccountRow(
            id: account, createdAt: now, domainSlot: StoreFormat.firstKeySlot)
        try await pool.run { (_) throws(StoreError) in
            try lower(
                "creating a store",
                index: { () throws(IndexError) in
                    let transaction = try index.begin()
                    try transaction.put(Tables.meta, MetaKey.store, store.encoded())
                    try transaction.put(Tables.meta, MetaKey.usage, [rowVersion])
                    try transaction.put(
                        Tables.meta, MetaKey.nextKeySlot,
                        RowKey.bigEndian(StoreFormat.firstKeySlot + 1))
                    try transaction.put(
                        Tables.keys, RowKey.keySlot(StoreFormat.storeKeySlot), storeKey.encoded())
                    try transaction.put(
                        Tables.keys, RowKey.keySlot(StoreFormat.firstKeySlot), domain.encoded())
                    try transaction.put(
                        Tables.accounts, Array(Store.defaultAccountName.utf8), accountRow.encoded())
                    try transaction.commit()
                    try index.sync()
                })
            // Last: what has no marker is no store.
            try replace(StoreFormat.marker, StoreFormat.encodeMarker(storeID))
            try lower(
                "creating a store",
                disk: { () throws(DiskError) in
                    try seams.disk.remove(StoreFormat.creating)
                    try seams.disk.syncDirectory("")
                })
        }
    }

    private func readStoreRow(_ index: any Index) throws(StoreError) -> StoreRow {
        let bytes = try lower(
            "reading the index",
            index: { () throws(IndexError) in
                try index.get(Tables.meta, MetaKey.store)
            })
        guard let bytes else { throw StoreError(.corrupted, "the index has lost its first row") }
        return try lower(
            "reading the index",
            core: { () throws(CoreError) in
                try StoreRow(decoding: bytes)
            })
    }

    func replace(_ path: String, _ bytes: [UInt8]) throws(StoreError) {
        try lower(
            "writing \(path)",
            disk: { () throws(DiskError) in
                try seams.disk.replace(path, with: bytes.span)
            })
    }
}

/// The keys of rows in the meta table.
enum MetaKey {
    static let store = Array("store".utf8)
    static let nextKeySlot = Array("nextKeySlot".utf8)
    static let chunkCount = Array("chunkCount".utf8)
    static let scrubbedSegment = Array("scrubbedSegment".utf8)
    static let catalogueSequence = Array("catalogueSequence".utf8)
    static let keyringRevision = Array("keyringRevision".utf8)
    static let auditHead = Array("auditHead".utf8)
    /// There when the usage of every bucket is counted.
    static let usage = Array("usage".utf8)
    /// Followed by the id of a customer key.
    static let keyUse = Array("keyUse:".utf8)
}
