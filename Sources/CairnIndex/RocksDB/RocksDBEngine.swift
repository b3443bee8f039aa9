// Part of Cairn, a content-addressed blob store.
internal import Glibc
internal import Synchronization

/// The policy around a database: order of commits, group sync, latched failure, orderly close.
///
/// Thread-safe. Locks are taken in this order: gate, sync, commit, failure, views.
final class RocksDBEngine: @unchecked Sendable {
    // Unchecked for `database`: read inside the gate, cleared while the gate is closed off.
    private var database: RocksDBDatabase?
    private let gate = AccessGate()
    private let isClosing = Atomic<Bool>(false)
    private let path: String
    private let flushByteCount: Int

    private struct CommitState {
        var window = CommitWindow()
        // Bytes written since memory was last flushed.
        var unflushedByteCount = 0
    }
    private let commits = Mutex(CommitState())
    // Commits up to here are in the database, commits up to there are durable.
    private let committed = Atomic<UInt64>(0)
    private let synced = Atomic<UInt64>(0)
    private let syncing = Mutex(())

    private struct Failure {
        let error: IndexError
        let isFinal: Bool
        // When RocksDB may be asked again whether it has found room.
        var nextProbe: ContinuousClock.Instant
    }
    private let failure = Mutex<Failure?>(nil)
    private let views = Mutex<[ObjectIdentifier: RocksDBSnapshotHandle]>([:])

    init(_ database: RocksDBDatabase, path: String, flushByteCount: Int) {
        self.database = database
        self.path = path
        self.flushByteCount = flushByteCount
    }

    /// Runs with the open database, which can't be closed meanwhile.
    @inline(__always)
    func withDatabase<R>(
        _ body: (RocksDBDatabase) throws(IndexError) -> R
    ) throws(IndexError) -> R {
        guard !isClosing.load(ordering: .relaxed) else { throw closed }
        return try gate.pass { () throws(IndexError) in
            guard let database else { throw closed }
            return try body(database)
        }
    }

    // MARK: - Views

    /// A consistent view as of now.
    func makeView() throws(IndexError) -> RocksDBView {
        try withDatabase { database throws(IndexError) in
            // In this order: the snapshot then holds every commit up to `version`. One that is
            // newer may be in it too; it counts as a conflict, which costs a repetition.
            let version = committed.load(ordering: .sequentiallyConsistent)
            guard let snapshot = database.makeSnapshot() else {
                throw IndexError(.io, "the index at \(path) gave no snapshot")
            }
            let view = RocksDBView(self, version, snapshot)
            views.withLock { $0[ObjectIdentifier(view)] = snapshot }
            return view
        }
    }

    /// Gives up a view's snapshot, unless closing has done so already.
    func release(_ id: ObjectIdentifier) {
        gate.pass {
            let snapshot = views.withLock { $0.removeValue(forKey: id) }
            if let database, let snapshot { database.release(snapshot) }
        }
    }

    // MARK: - Commit and sync

    /// Validates and applies a transaction.
    func commit(
        _ writes: PendingWrites, reads: [CommitWindow.Fingerprint], since begin: UInt64
    ) throws(IndexError) {
        try withDatabase { database throws(IndexError) in
            let batch = RocksDBBatch()
            var sums: [(table: Int, key: [UInt8], delta: Int64)] = []
            var stamps: [CommitWindow.Fingerprint] = []
            for (table, changes) in writes.changes {
                for (key, change) in changes {
                    stamps.append(CommitWindow.fingerprint(table, key))
                    if case .add(let delta) = change {
                        sums.append((table: table, key: key, delta: delta))
                        // Brings the row into memory before others have to wait for it.
                        _ = try database.get(table, key)
                    } else {
                        database.append(change, table, key, to: batch)
                    }
                }
            }
            // Writing inside the lock makes one order of validation, log, visibility and survival.
            try commits.withLock { state throws(IndexError) in
                try checkHealth(database)
                try flushIfDue(&state, database)
                guard state.window.isUnchanged(reads, since: begin) else {
                    throw IndexError(.conflict, "a row that the transaction read has changed")
                }
                for sum in sums {
                    let value = try Counter.adding(sum.delta, to: database.get(sum.table, sum.key))
                    database.append(.put(value), sum.table, sum.key, to: batch)
                }
                try latching(database) { () throws(IndexError) in try database.write(batch) }
                state.unflushedByteCount += writes.byteCount
                let version = state.window.append(stamps)
                committed.store(version, ordering: .sequentiallyConsistent)
            }
        }
    }

    /// Makes every commit before the call durable.
    ///
    /// Callers queue up behind the one that syncs. The next of them syncs for all who had come by
    /// then, and the rest find their commits durable: with 32 threads, 31 commits share a sync.
    /// Waking all waiters at once makes groups of seven, which suits slow disks worse.
    func sync() throws(IndexError) {
        try withDatabase { database throws(IndexError) in try sync(database) }
    }

    /// Throws while an earlier failure stands.
    func checkWritable() throws(IndexError) {
        try withDatabase { database throws(IndexError) in try checkHealth(database) }
    }

    /// Syncs and closes.
    ///
    /// See ``Index/close()``.
    func close() throws(IndexError) {
        // The lock of the gate lets readers overtake; without this, they could keep it for ever.
        guard !isClosing.exchange(true, ordering: .sequentiallyConsistent) else { return }
        var failure: IndexError?
        // The database ends with its last reference, which is this one.
        _ = detach(&failure)
        if let failure { throw failure }
    }

    // MARK: - Maintenance

    func checkpoint(to target: String) throws(IndexError) {
        try withDatabase { database throws(IndexError) in
            // RocksDB flushes for this; see `flush` why no commit may come in between.
            try commits.withLock { state throws(IndexError) in
                try checkHealth(database)
                try latching(database) { () throws(IndexError) in try database.syncLog() }
                try database.checkpoint(to: target)
                state.unflushedByteCount = 0
            }
        }
        try Directories.syncParent(of: target)
    }

    func compact() throws(IndexError) {
        try withDatabase { database throws(IndexError) in
            // With commits under way RocksDB would flush for this; see `flush` why it must not.
            try commits.withLock { state throws(IndexError) in
                try checkHealth(database)
                try flush(&state, database, wait: true)
                database.compact()
            }
        }
    }

    func purge(_ ranges: [(table: Int, prefix: [UInt8])]) throws(IndexError) -> Bool {
        try withDatabase { database throws(IndexError) in
            // Whoever begins from here on does not see what was deleted before.
            let older = views.withLock { Set($0.keys) }
            waitForViews(older)
            // No commit meanwhile: RocksDB would flush for this; see `flush` why it must not.
            let failureCount = database.value("rocksdb.background-errors")
            let isSeen = try commits.withLock { state throws(IndexError) in
                try checkHealth(database)
                try flush(&state, database, wait: true)
                let isSeen = views.withLock { !older.isDisjoint(with: $0.keys) }
                for range in ranges { database.purge(range.table, range.prefix) }
                return isSeen
            }
            // A compaction that fails says so nowhere else.
            guard database.value("rocksdb.background-errors") == failureCount else {
                throw IndexError(.io, "deleted rows could not be removed from \(path)")
            }
            try database.removeObsoleteFiles()
            return !isSeen
        }
    }

    // Transactions take milliseconds; a longer reader is not waited for.
    private func waitForViews(_ ids: Set<ObjectIdentifier>) {
        let end = ContinuousClock.now + .seconds(2)
        while ContinuousClock.now < end, views.withLock({ !ids.isDisjoint(with: $0.keys) }) {
            usleep(10_000)
        }
    }

    func statistics() throws(IndexError) -> IndexStatistics {
        try withDatabase { database throws(IndexError) in
            var statistics = IndexStatistics()
            let unflushed = commits.withLock { UInt64($0.unflushedByteCount) }
            statistics.unflushedByteCount = unflushed
            statistics.byteCount = database.sum("rocksdb.total-sst-files-size") + unflushed
            statistics.entryCount = database.sum("rocksdb.estimate-num-keys")
            statistics.cacheByteCount = database.value("rocksdb.block-cache-usage")
            statistics.pendingCompactionByteCount = database.sum(
                "rocksdb.estimate-pending-compaction-bytes")
            statistics.backgroundErrorCount = database.value("rocksdb.background-errors")
            return statistics
        }
    }

    // MARK: -

    /// Takes the database away from all callers to come, when those under way are done.
    private func detach(_ failure: inout IndexError?) -> RocksDBDatabase? {
        gate.closeOff {
            guard let database else { return nil }
            do throws(IndexError) {
                // Flushed as well as synced: the next opening has no log to replay.
                try flush(database, wait: true)
            } catch {
                failure = error
            }
            views.withLock { views in
                for snapshot in views.values { database.release(snapshot) }
                views.removeAll()
            }
            self.database = nil
            return database
        }
    }

    private func sync(_ database: RocksDBDatabase) throws(IndexError) {
        let target = committed.load(ordering: .sequentiallyConsistent)
        // Held during the sync on purpose: whoever comes meanwhile queues up here, commits done.
        try syncing.withLock { _ throws(IndexError) in
            try checkHealth(database)
            guard synced.load(ordering: .relaxed) < target else { return }
            let covered = committed.load(ordering: .sequentiallyConsistent)
            try syncLog(database)
            synced.store(covered, ordering: .relaxed)
        }
    }

    /// Syncs the log, beside commits if there is certainly room for what they have written.
    ///
    /// A commit that waits for the log while a write of the log fails goes on with the failed log;
    /// RocksDB 7.8 then takes a full disk for a failure from which there is no way back.
    private func syncLog(_ database: RocksDBDatabase) throws(IndexError) {
        if Directories.freeByteCount(at: path) >= Self.ampleByteCount {
            try latching(database) { () throws(IndexError) in try database.syncLog() }
        } else {
            try commits.withLock { _ throws(IndexError) in
                try checkHealth(database)
                try latching(database) { () throws(IndexError) in try database.syncLog() }
            }
        }
    }

    private func flush(_ database: RocksDBDatabase, wait: Bool) throws(IndexError) {
        try commits.withLock { state throws(IndexError) in
            try checkHealth(database)
            try flush(&state, database, wait: wait)
        }
    }

    private func flushIfDue(
        _ state: inout CommitState, _ database: RocksDBDatabase
    ) throws(IndexError) {
        guard state.unflushedByteCount >= flushByteCount else { return }
        try flush(&state, database, wait: false)
    }

    /// Flushes memory into files, and with it starts a new log.
    ///
    /// The old log is synced first, while no one can commit. RocksDB itself starts a new log
    /// without that; a power cut could then keep commits of the new log and lose the end of the
    /// old one, a gap that its recovery does not notice. This way a log that has a successor is
    /// durable, and what survives is always a prefix of the commits.
    private func flush(
        _ state: inout CommitState, _ database: RocksDBDatabase, wait: Bool
    ) throws(IndexError) {
        try latching(database) { () throws(IndexError) in
            try database.syncLog()
            if try database.flush(wait: wait) { state.unflushedByteCount = 0 }
        }
    }

    private var closed: IndexError { IndexError(.closed, "the index at \(path) is closed") }

    /// Throws while an earlier failure stands.
    ///
    /// Without space, RocksDB looks every 5 s whether there is some again; then it writes anew,
    /// into table files, all that is in memory, which covers every commit. That is how "no space"
    /// ends by itself and no other failure does.
    private func checkHealth(_ database: RocksDBDatabase) throws(IndexError) {
        try failure.withLock { failure throws(IndexError) in
            guard let found = failure else { return }
            let now = ContinuousClock.now
            guard !found.isFinal, now >= found.nextProbe else { throw found.error }
            guard Self.accepts(database) else {
                failure?.nextProbe = now + Self.probeInterval
                throw found.error
            }
            failure = nil
        }
    }

    /// Runs a write; if it fails, so does every later one, for want of space until there is some.
    ///
    /// The pages of a failed fsync are marked clean, so that repeating it would succeed and lie
    /// (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    private func latching(
        _ database: RocksDBDatabase, _ body: () throws(IndexError) -> Void
    ) throws(IndexError) {
        do throws(IndexError) {
            try body()
        } catch {
            failure.withLock { failure in
                guard failure == nil else { return }
                // RocksDB makes up only for what has stopped it.
                let isFinal = error.code != .outOfSpace || Self.accepts(database)
                failure = Failure(
                    error: error, isFinal: isFinal, nextProbe: .now + Self.probeInterval)
            }
            throw error
        }
    }

    // A write without changes, which RocksDB refuses like any other while it has stopped.
    private static func accepts(_ database: RocksDBDatabase) -> Bool {
        do throws(IndexError) {
            try database.write(RocksDBBatch())
            return true
        } catch {
            return false
        }
    }

    // A write that RocksDB refuses while it makes up for the failure makes it begin again 5 s
    // later, so it is not asked all the time.
    private static let probeInterval = Duration.seconds(1)
    // Far more than RocksDB and everything else write while one sync lasts.
    private static let ampleByteCount: UInt64 = 64 << 20
}

/// A consistent view that gives its snapshot back when the last reference to it goes.
final class RocksDBView: Sendable {
    /// The view holds every commit up to this one.
    let version: UInt64
    let snapshot: RocksDBSnapshotHandle
    let options: RocksDBReadOptions
    let engine: RocksDBEngine

    init(_ engine: RocksDBEngine, _ version: UInt64, _ snapshot: RocksDBSnapshotHandle) {
        self.engine = engine
        self.version = version
        self.snapshot = snapshot
        options = RocksDBReadOptions(snapshot)
    }

    deinit { engine.release(ObjectIdentifier(self)) }
}
