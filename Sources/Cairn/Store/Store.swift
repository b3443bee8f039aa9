// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
public import CairnKeys
internal import CairnSegments
internal import Synchronization

/// A content-addressed blob store in a directory.
///
/// One process has it open at a time. Everything in it belongs to an account; embedders that need
/// none use ``defaultAccount``. Thread-safe.
///
/// ```swift
/// let store = try await Store.open(at: "cairn-data")
/// let bucket = try await store.defaultAccount.createBucket("library/alpine")
/// let blob = try await bucket.putBlob([1, 2, 3].span)
/// try await store.close()
/// ```
public final class Store: Sendable {
    /// The account that every store has.
    public static let defaultAccountName = "default"

    let engine: Engine
    private let lock: any DiskLock
    private let defaultRow: AccountRow

    private init(_ engine: Engine, _ lock: any DiskLock, _ defaultRow: AccountRow) {
        self.engine = engine
        self.lock = lock
        self.defaultRow = defaultRow
    }

    /// Opens the store in a directory, or creates it there.
    ///
    /// Costs O(unfinished work): the unsealed segment is scanned, and the last log of the
    /// catalogue, which has at most 8 MiB.
    ///
    /// - Parameters:
    ///   - path: a directory; its parent exists.
    ///   - unlock: what opens the keyring.
    ///   - configuration: how the store runs.
    /// - Throws: ``StoreError`` with code `storeNotFound` (and none was to be created),
    ///   `storeLocked` (the message names the process), `formatTooNew`, `wrongPassphrase`,
    ///   `corrupted`, `invalidArgument`, `outOfSpace`, `readOnly`, `io`. Nothing on disk has
    ///   changed then, unless a store was being created; that goes on at the next call.
    public static func open(
        at path: String, unlock: KeyringUnlock = .keyFile(path: nil),
        configuration: StoreConfiguration = StoreConfiguration()
    ) async throws(StoreError) -> Store {
        try await open(
            seams(at: path, configuration), unlock: unlock, configuration: configuration)
    }

    /// Opens or creates a store whose customer keys are with an external provider.
    ///
    /// The provider has a key under the alias ``KeyReference/default``, which wraps the keys of
    /// the store itself and of all buckets that name no other.
    ///
    /// - Throws: as ``open(at:unlock:configuration:)``; ``StoreError`` with code `keyUnavailable`,
    ///   `keyUnknown` or `keyDisabled` when the provider does not serve the default key.
    public static func open(
        at path: String, keyProvider: any KeyProvider,
        configuration: StoreConfiguration = StoreConfiguration()
    ) async throws(StoreError) -> Store {
        try await open(
            seams(at: path, configuration), customerKeys: .provider(keyProvider),
            configuration: configuration)
    }

    /// The parts of a store in a directory of this machine.
    static func seams(
        at path: String, _ configuration: StoreConfiguration
    ) throws(StoreError) -> StoreSeams {
        let disk = try openDirectory(path, configuration)
        var index = RocksDBConfiguration()
        index.cacheByteCount = configuration.indexCacheByteCount
        var segments = SegmentConfiguration()
        segments.segmentByteCount = configuration.segmentByteCount
        segments.freeByteCountMin = configuration.reservedByteCount
        return StoreSeams(
            disk: disk,
            openIndex: { [index] (tables, create) throws(IndexError) in
                var configuration = index
                configuration.createIfMissing = create
                return try RocksDBIndex.open(
                    path: path + "/" + StoreFormat.index, tables: tables,
                    configuration: configuration)
            },
            openNewIndex: { [index] (tables) throws(IndexError) in
                let path = path + "/" + StoreFormat.newIndex
                try RocksDBIndex.destroy(path: path)
                return try RocksDBIndex.open(path: path, tables: tables, configuration: index)
            },
            installNewIndex: { () throws(DiskError) in try installNewIndex(on: disk) },
            discardNewIndex: {
                // What cannot be removed now the next repair removes.
                try? RocksDBIndex.destroy(path: path + "/" + StoreFormat.newIndex)
            },
            clock: SystemClock(), random: SystemRandom(), segments: segments)
    }

    /// Opens a store on parts of the caller's choice.
    package static func open(
        _ seams: StoreSeams, unlock: KeyringUnlock, configuration: StoreConfiguration
    ) async throws(StoreError) -> Store {
        try await open(seams, customerKeys: .keyring(unlock), configuration: configuration)
    }

    private static func open(
        _ seams: StoreSeams, customerKeys: CustomerKeySource, configuration: StoreConfiguration
    ) async throws(StoreError) -> Store {
        let lock = try lower(
            "opening the store",
            disk: { () throws(DiskError) in
                try seams.disk.lock(StoreFormat.lock)
            })
        do throws(StoreError) {
            let opening = StoreOpening(
                seams: seams, customerKeys: customerKeys, configuration: configuration)
            let engine = try await opening.run()
            do throws(StoreError) {
                guard let row = try await Account.row(defaultAccountName, engine) else {
                    throw StoreError(.corrupted, "the store has lost its default account")
                }
                let store = Store(engine, lock, row)
                // What is due and cannot be done now stays due.
                do throws(StoreError) { try await store.keyService?.runSchedule() } catch {}
                return store
            } catch {
                // What made it fail is of more interest than what closing may add to it.
                _ = await shutDown(engine)
                throw error
            }
        } catch {
            lock.release()
            throw error
        }
    }

    /// Ends upload sessions that were not used for ``StoreConfiguration/uploadLifetime``, and
    /// multipart uploads whose time is over, the oldest first, and frees what only they held.
    /// Durable on return.
    ///
    /// Sessions in use are left alone. Costs time in proportion to the sessions that are due.
    ///
    /// - Parameter limit: ends at most so many.
    /// - Returns: how many were ended.
    /// - Throws: ``StoreError`` with code `io`, `closed`.
    @discardableResult
    public func reapExpiredUploads(limit: Int = 1000) async throws(StoreError) -> Int {
        let count = try await engine.reapExpiredUploads(limit: limit)
        return try await count + engine.reapExpiredMultiparts(limit: limit - count)
    }

    /// Ends the store's work and lets other processes have it.
    ///
    /// Acknowledged writes are durable already. Sessions and readers that are left over throw
    /// `closed`; suspend sessions first to keep what they received since their last checkpoint.
    /// A second call does nothing.
    ///
    /// - Throws: ``StoreError`` with code `io` when a last write fails; the store is closed even
    ///   then.
    public func close() async throws(StoreError) {
        // Without the note the end of the log shows less well that it was cut off; no more.
        do throws(StoreError) { try await engine.noteAuditHead() } catch {}
        // What clients had would else be lost for bills; the store is closed even then.
        let flushed: Result<Void, StoreError>
        do throws(StoreError) {
            flushed = .success(try await engine.flushTraffic())
        } catch {
            flushed = .failure(error)
        }
        guard engine.markClosed() else { return }
        await engine.frontiers.stop()
        let result = await Self.shutDown(engine)
        lock.release()
        try result.get()
        try flushed.get()
    }

    /// A UUID made with the store.
    public var id: String { UUIDText.format(engine.storeID) }

    /// The account that every store has.
    public var defaultAccount: Account {
        Account(Self.defaultAccountName, defaultRow, engine)
    }

    /// The key management service of the store; nil when customer keys are with an external
    /// provider.
    public var keyService: KeyService? { engine.keyring.map { KeyService(engine, $0) } }

    /// Forgets all data keys that are open in memory: the next use of each asks the provider.
    ///
    /// For external providers, when a customer key was disabled there and that is to take effect
    /// at once and not within ``StoreConfiguration/keyCacheLifetime``.
    public func flushKeys() { engine.keys.forgetAll() }

    // MARK: -

    private static func openDirectory(
        _ path: String, _ configuration: StoreConfiguration
    ) throws(StoreError) -> LocalDisk {
        do throws(DiskError) {
            return try LocalDisk(root: path, createIfMissing: configuration.createIfMissing)
        } catch {
            if error.code == .notFound {
                throw StoreError(.storeNotFound, "there is no store at this path", cause: error)
            }
            throw StoreError(error, while: "opening the store's directory")
        }
    }

    private static func installNewIndex(on disk: LocalDisk) throws(DiskError) {
        var name = StoreFormat.oldIndex
        var number = 1
        while try disk.exists(name) {
            number += 1
            name = "\(StoreFormat.oldIndex).\(number)"
        }
        let hadIndex = try disk.exists(StoreFormat.index)
        if hadIndex { try disk.rename(StoreFormat.index, to: name) }
        do throws(DiskError) {
            try disk.rename(StoreFormat.newIndex, to: StoreFormat.index)
        } catch {
            if hadIndex { try disk.rename(name, to: StoreFormat.index) }
            throw error
        }
        try disk.syncDirectory("")
    }

    static func shutDown(_ engine: Engine) async -> Result<Void, StoreError> {
        await engine.pool.run { _ in
            // On a worker, because it waits; the committer needs no worker to finish.
            engine.committer.stop()
            return closeParts(of: engine)
        }
    }

    private static func closeParts(of engine: Engine) -> Result<Void, StoreError> {
        var result: Result<Void, StoreError> = .success(())
        do throws(SegmentError) { try engine.segments.close() } catch {
            result = .failure(StoreError(error, while: "closing the segments"))
        }
        do throws(IndexError) { try engine.index.close() } catch {
            result = .failure(StoreError(error, while: "closing the index"))
        }
        var isInOrder = false
        if case .success = result { isInOrder = true }
        do throws(StoreError) { try engine.catalogue.close(isInOrder: isInOrder) } catch {
            result = .failure(error)
        }
        return result
    }
}
