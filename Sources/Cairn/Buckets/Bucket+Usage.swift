// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments
internal import Synchronization

// Usage and quota.
extension Bucket {
    /// What the bucket has at this moment. O(1).
    ///
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `corrupted`, `io`, `closed`.
    public func usage() async throws(StoreError) -> Usage {
        let bucketID = bucketID
        let exists = try await engine.read("reading usage") { (index) throws(IndexError) in
            try index.get(Tables.buckets, bucketID.octets.bytes) != nil
        }
        guard exists else { throw StoreError(.bucketUnknown, "the bucket was deleted") }
        return try await engine.usage(
            of: bucketID.octets, charging: engine.settings(of: row.accountID.octets).charging)
    }

    /// What the bucket may have; ``Quota/unlimited`` where nothing was set.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func quota() async throws(StoreError) -> Quota {
        try await engine.settings(of: bucketID.octets).quota
    }

    /// Limits what the bucket may have. Durable on return, and in force for every call that ends
    /// afterwards.
    ///
    /// A limit may be below what is there: nothing more comes in then, and deletions work.
    ///
    /// - Parameter quota: takes the place of the one before; ``Quota/unlimited`` takes it away.
    /// - Throws: ``StoreError`` with code `invalidArgument` (a limit of 2^63 and more, or above
    ///   that of the account), `bucketUnknown`, `outOfSpace`, `io`, `closed`.
    public func setQuota(_ quota: Quota) async throws(StoreError) {
        try quota.check()
        try await change("PutBucketQuota") { (row, node) throws(StoreError) in
            if let account = node.parent { try quota.check(within: account.settings.quota) }
            row.quota = quota
        }
    }

    /// Changes what is set for the bucket beside its keys and its objects.
    func change(
        _ action: String,
        _ change: @escaping @Sendable (inout QuotaRow, UsageNode) throws(StoreError) -> Void
    ) async throws(StoreError) {
        let bucketID = bucketID
        try await engine.act(act(action)) { [engine] () throws(StoreError) in
            try await engine.transact { (transaction) throws(StoreError) in
                try transaction.checkBucket(bucketID)
                guard let node = try engine.ledger.node(of: bucketID, transaction) else {
                    throw StoreError(.bucketUnknown, "the bucket was deleted")
                }
                var row = node.settings
                try change(&row, node)
                try transaction.putQuota(row, of: bucketID.octets)
                try transaction.note(.settingsChanged, .settings, in: bucketID)
            }
        }
    }
}

extension Account {
    /// What all buckets of the account have at this moment. O(1).
    ///
    /// What buckets that were deleted have brought is among the stored bytes as long as others need
    /// it, or the sweep has not come by.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func usage() async throws(StoreError) -> Usage {
        try await engine.usage(
            of: row.id.octets, charging: engine.settings(of: row.id.octets).charging)
    }

    /// What each bucket has, in the order of their names.
    ///
    /// - Parameters:
    ///   - after: the last name already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 buckets. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `corrupted`, `io`,
    ///   `closed`.
    public func bucketUsages(
        after: String? = nil, limit: Int = 1000
    ) async throws(StoreError) -> [BucketUsage] {
        try Bucket.checkPage(limit)
        let charging = try await engine.settings(of: row.id.octets).charging
        let prefix = row.id.octets.bytes
        let start = after.map { prefix + Array($0.utf8) }
        let today = RowKey.bigEndian(Meter.day(of: engine.ledger.meterClock.now()))
        let (names, rows, days) = try await engine.read("listing usage") {
            (index) throws(IndexError) in
            let snapshot = try index.snapshot()
            let names = try snapshot.scan(
                Tables.bucketNames, prefix: prefix, after: start, limit: limit)
            return (
                names, try snapshot.getMany(Tables.usage, names.map(\.value)),
                try snapshot.getMany(Tables.traffic, names.map { prefix + $0.value + today })
            )
        }
        var waiting: [Octets16: Traffic] = [:]
        for (key, traffic) in engine.traffic.unwritten(of: row.id)
        where RowKey.bigEndian(key.day) == today {
            waiting[key.bucket.octets] = traffic
        }
        var usages: [BucketUsage] = []
        for (number, entry) in names.enumerated() where entry.value.count == Octets16.byteCount {
            let id = Octets16(entry.value.span)
            let promised = engine.ledger.promised(to: id)
            let traffic = try days[number].map(Engine.decodeTraffic) ?? Traffic()
            usages.append(
                BucketUsage(
                    name: String(decoding: entry.key.dropFirst(prefix.count), as: UTF8.self),
                    usage: Usage(try Engine.decodeUsage(rows[number]), promised, charging),
                    trafficToday: traffic + (waiting[id] ?? Traffic())))
        }
        return usages
    }

    /// What all buckets of the account together may have.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func quota() async throws(StoreError) -> Quota {
        try await engine.settings(of: row.id.octets).quota
    }

    /// Limits what all buckets of the account together may have. Durable on return, and in force
    /// for every call that ends afterwards.
    ///
    /// A limit may be below what is there, and below those of buckets: the smaller one counts.
    ///
    /// - Parameter quota: takes the place of the one before; ``Quota/unlimited`` takes it away.
    /// - Throws: ``StoreError`` with code `invalidArgument` (a limit of 2^63 and more),
    ///   `accountUnknown`, `outOfSpace`, `io`, `closed`.
    public func setQuota(_ quota: Quota) async throws(StoreError) {
        try quota.check()
        try await change("PutAccountQuota") { row, _ in row.quota = quota }
    }

    /// Who pays for blobs that several buckets of the account have.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func charging() async throws(StoreError) -> ChargingMode {
        try await engine.settings(of: row.id.octets).charging
    }

    /// Says who pays for blobs that several buckets of the account have. Durable on return.
    ///
    /// Quotas follow at once. Bills follow from the next month on, or at once while the account has
    /// never had anything.
    ///
    /// - Throws: ``StoreError`` with code `limitExceeded` (600 changes), `accountUnknown`,
    ///   `outOfSpace`, `io`, `closed`.
    public func setCharging(_ mode: ChargingMode) async throws(StoreError) {
        let key = row.id.octets.bytes
        try await change("PutAccountCharging") { (row, transaction) throws(StoreError) in
            row.charging = mode
            let month = CalendarMonth(of: transaction.usage.moment)
            let isNew = try transaction.get(Tables.usage, key) == nil
            let day = isNew ? month.firstDay : month.next.firstDay
            row.changes.removeAll { $0.day >= day }
            guard row.charging(onDay: day) != mode else { return }
            guard row.changes.count < QuotaRow.changeCountMax else {
                throw StoreError(
                    .limitExceeded,
                    "an account changes its charging \(QuotaRow.changeCountMax) times at most")
            }
            row.changes.append(QuotaRow.ChargingChange(day: day, mode: mode))
        }
    }

    typealias Change =
        @Sendable (
            inout QuotaRow, Transaction
        ) throws(StoreError) -> Void

    /// Changes what is set for the account.
    func change(
        _ action: String, _ change: @escaping Change
    ) async throws(StoreError) {
        let (id, key, accountRow) = (row.id, Array(name.utf8), row.encoded())
        let event = AuditEvent(action: action, key: "", detail: "\(name) (\(self.id))")
        try await engine.act(event) { [engine] () throws(StoreError) in
            try await engine.transact { (transaction) throws(StoreError) in
                guard try transaction.get(Tables.accounts, key) == accountRow else {
                    throw StoreError(.accountUnknown, "the account was deleted")
                }
                let node = try engine.ledger.node(ofAccount: id, transaction)
                var row = node.settings
                try change(&row, transaction)
                try transaction.putQuota(row, of: id.octets)
            }
        }
    }
}

extension Account {
    /// What of the stored bytes nothing needs any more, and the next sweep frees.
    ///
    /// - Returns: bytes by the names of the buckets that have brought them; what buckets brought
    ///   that were deleted is under the empty name. What deleted buckets still hold is not among
    ///   it before a sweep has been through them.
    /// - Throws: ``StoreError`` with code `cancelled`, `corrupted`, `io`, `closed`.
    /// - Complexity: O(garbage).
    public func garbage() async throws(StoreError) -> [String: UInt64] {
        let walk = try await engine.walkGarbage()
        var byteCounts: [String: UInt64] = [:]
        for (number, byteCount) in walk.byteCounts {
            let (owner, id, sealed) = try await engine.read("reading owners") {
                (index) throws(IndexError) -> ([UInt8]?, [UInt8]?, [UInt8]?) in
                guard
                    let id = try walk.snapshot.get(Tables.owners, RowKey.bigEndian(number))
                else { return (nil, nil, nil) }
                return (
                    try walk.snapshot.get(Tables.owners, id), id,
                    try walk.snapshot.get(Tables.buckets, id)
                )
            }
            guard let owner, let id, try Engine.decodeOwner(owner).account == row.id else {
                continue
            }
            var name = ""
            if let sealed {
                name = try await engine.openBucketRow(RowKey.bucketID(of: id), sealed).name
            }
            byteCounts[name, default: 0] += byteCount
        }
        return byteCounts
    }
}

extension Store {
    /// Where the bytes of the store are, and what all accounts have together.
    ///
    /// The sizes of files are those that the file system tells, one after the other: exact while
    /// nobody writes.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func usage() async throws(StoreError) -> StoreUsage {
        try engine.checkOpen()
        return try await engine.pool.run { [engine] (_) throws(StoreError) -> StoreUsage in
            var usage = StoreUsage()
            let id = engine.storeID
            usage.total = Usage(
                try Engine.decodeUsage(engine.row(Tables.usage, id.bytes)), .none, .logical)
            try lower(
                "adding up files",
                disk: { () throws(DiskError) in
                    usage.segmentByteCount = try engine.disk.byteCount(of: StoreFormat.segments)
                    usage.indexByteCount = try engine.disk.byteCount(of: StoreFormat.index)
                    usage.catalogueByteCount = try engine.disk.byteCount(of: StoreFormat.catalogue)
                    usage.auditByteCount = try engine.disk.byteCount(of: StoreFormat.audit)
                    let named = [
                        StoreFormat.segments, StoreFormat.index, StoreFormat.catalogue,
                        StoreFormat.audit,
                    ]
                    for name in try engine.disk.list("") where !named.contains(name) {
                        usage.otherByteCount += try engine.disk.byteCount(of: name)
                    }
                })
            return usage
        }
    }
}

extension Engine {
    /// What a bucket or an account has.
    func usage(
        of id: Octets16, charging: ChargingMode
    ) async throws(StoreError) -> Usage {
        // As of one moment also while a checkpoint turns promises into bytes in flight.
        if let node = ledger[id] {
            let (counts, promised) = node.state.withLock { ($0.row.counts, $0.promised) }
            return Usage(counts, promised, charging)
        }
        let row = try await read("reading usage") { (index) throws(IndexError) in
            try index.get(Tables.usage, id.bytes)
        }
        return Usage(try Self.decodeUsage(row), .none, charging)
    }

    /// What is set for a bucket or an account.
    func settings(of id: Octets16) async throws(StoreError) -> QuotaRow {
        let sealed = try await read("reading a quota") { (index) throws(IndexError) in
            try index.get(Tables.quotas, id.bytes)
        }
        return try await openSettings(sealed, of: id)
    }

    /// What a row says of a bucket or an account; nothing where there is none.
    func openSettings(
        _ sealed: [UInt8]?, of id: Octets16
    ) async throws(StoreError) -> QuotaRow {
        guard let sealed else { return .none }
        return try await pool.run { [ledger] (_) throws(StoreError) in
            try ledger.openQuota(sealed, of: id)
        }
    }
}
