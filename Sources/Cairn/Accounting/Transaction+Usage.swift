// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import Synchronization

/// What one transaction changes in the usage of buckets, until it is about to be committed.
///
/// Used by one thread at a time.
final class PendingUsage {
    let ledger: UsageLedger
    /// When the changes count from, unless a bucket has seen a later time.
    let moment: Timestamp
    /// False for work that brings the figures in line with what is there already.
    var isEnforced = true
    fileprivate var changes: [Octets16: UsageNode.Change] = [:]
    // By the numbers of the buckets that have brought the chunks; 0 is nobody.
    fileprivate var stored: [UInt32: UsageCounts] = [:]
    fileprivate var steps: [(Reservation, Reservation.Step)] = []
    fileprivate var settings: [Octets16: QuotaRow] = [:]
    fileprivate var removed: Set<Octets16> = []

    init(_ ledger: UsageLedger) {
        self.ledger = ledger
        ledger.dropIdle()
        moment = ledger.meterClock.now()
    }
}

/// What a transaction has changed in memory, in force unless it is taken back.
struct UsageOutcome: Sendable {
    fileprivate var undos: [UsageNode.Undo] = []
    fileprivate var steps: [(Reservation, Reservation.Step)] = []

    /// To be called once, on the committer's thread, before the next transaction begins.
    func end(isCommitted: Bool) {
        guard isCommitted else { return undos.reversed().forEach { $0.run() } }
        for undo in undos { undo.discard() }
        for (reservation, step) in steps { reservation.perform(step) }
    }
}

extension Transaction {
    // MARK: - Changes

    func add(
        _ counter: UsageCounter, of bucket: BucketID, _ delta: Int64
    ) throws(StoreError) {
        guard delta != 0 else { return }
        try usage.changes[bucket.octets, default: UsageNode.Change()].counts
            .add(delta, to: counter)
    }

    /// The same, for what the caller does to another bucket than his.
    func addPassively(
        _ counter: UsageCounter, of bucket: BucketID, _ delta: Int64
    ) throws(StoreError) {
        try add(counter, of: bucket, delta)
        try usage.changes[bucket.octets, default: UsageNode.Change()].passive
            .add(delta, to: counter)
    }

    /// Adds what a bucket, by its number, has stored.
    func add(stored counts: UsageCounts, by number: UInt32) throws(StoreError) {
        try usage.stored[number, default: UsageCounts()].add(counts)
    }

    /// Turns what is promised to a session into what the transaction makes of it.
    func make(_ step: Reservation.Step, of reservation: Reservation) {
        let id = reservation.node.id
        let promised = usage.changes[id]?.promised ?? .none
        usage.changes[id, default: UsageNode.Change()].promised =
            promised + reservation.change(step)
        usage.steps.append((reservation, step))
    }

    /// Counts an upload that begins with this transaction.
    func beginUpload(in bucket: BucketID) throws(StoreError) {
        try add(.uploads, of: bucket, 1)
        usage.changes[bucket.octets]?.beginsUpload = true
    }

    /// Sets what a bucket or an account is to be limited to.
    func putQuota(_ row: QuotaRow, of id: Octets16) throws(StoreError) {
        if row == .none {
            try delete(Tables.quotas, id.bytes)
        } else {
            try put(Tables.quotas, id.bytes, try usage.ledger.sealQuota(row, of: id))
        }
        usage.settings[id] = row
    }

    /// Takes away all that a bucket counts, which is about to be deleted; but for what is still in
    /// segments. What has come of it until now stays for bills.
    func removeUsage(of bucket: BucketID, _ row: BucketRow) throws(StoreError) {
        usage.removed.insert(bucket.octets)
        let node = try usage.ledger.node(of: bucket, self)
        let day = Meter.day(of: try moment(in: bucket))
        try put(
            Tables.removedBuckets, RowKey.removedBucket(day, row.accountID.octets, bucket),
            [node?.settings.isPublic == true ? 1 : 0] + Array(row.name.utf8))
    }

    /// Lets go of what is left of a bucket that is gone, unless it has brought chunks that others
    /// still need: then the sweep does, with the last of them.
    func forgetUsage(of bucket: BucketID) throws(StoreError) {
        guard let node = try usage.ledger.node(of: bucket, self),
            node.state.withLock({ $0.row.counts.isZero })
        else { return }
        try forget(node)
    }

    private func forget(_ node: UsageNode) throws(StoreError) {
        try delete(Tables.usage, node.id.bytes)
        try delete(Tables.owners, node.id.bytes)
        try delete(Tables.owners, RowKey.bigEndian(node.number))
    }

    /// Takes what a bucket has for what it has had since a day.
    func meter(_ bucket: BucketID, sinceDay day: UInt32) {
        usage.changes[bucket.octets, default: UsageNode.Change()].day = day
    }

    // MARK: - Who is who

    func owner(of bucket: BucketID) throws(StoreError) -> OwnerRow? {
        try row(Tables.owners, bucket.octets.bytes) { (bytes) throws(CoreError) in
            try OwnerRow(decoding: bytes)
        }
    }

    func putOwner(_ owner: OwnerRow, of bucket: BucketID) throws(StoreError) {
        try put(Tables.owners, bucket.octets.bytes, owner.encoded())
        try put(Tables.owners, RowKey.bigEndian(owner.number), bucket.octets.bytes)
    }

    /// The number by which chunks name the bucket that has brought them; 0 when it is gone.
    func number(of bucket: BucketID) throws(StoreError) -> UInt32 {
        try usage.ledger.node(of: bucket, self)?.number ?? 0
    }

    /// The time at which a change of the bucket counts: never before that of an earlier one.
    func moment(in bucket: BucketID) throws(StoreError) -> Timestamp {
        guard let node = try usage.ledger.node(of: bucket, self) else { return usage.moment }
        return max(usage.moment, node.state.withLock { $0.row.meter.since })
    }

    // MARK: - The end

    /// Checks quotas, and writes what has changed. The last thing that a transaction does.
    ///
    /// - Throws: ``StoreError`` with code `quotaExceeded`, `limitExceeded`, `corrupted`: nothing
    ///   has changed in memory.
    func settleUsage() throws(StoreError) -> UsageOutcome {
        var outcome = UsageOutcome(steps: usage.steps)
        let changes = try nodeChanges()
        do throws(StoreError) {
            for (node, change) in changes { try admit(change, to: node, &outcome) }
        } catch {
            outcome.end(isCommitted: false)
            throw error
        }
        return outcome
    }

    private func admit(
        _ change: UsageNode.Change, to node: UsageNode, _ outcome: inout UsageOutcome
    ) throws(StoreError) {
        var warnings: [QuotaWarning] = []
        var closed: (UInt32, MeteredDay)?
        let bucket = BucketID(octets: node.id)
        let (row, undo) = try node.admit(change, at: usage.moment) {
            warnings.append($0)
        } close: {
            closed = ($0, $1)
        }
        outcome.undos.append(undo)
        if let (day, metered) = closed { try put(metered, bucket, node, day) }
        if usage.removed.contains(node.id) {
            try put(row.meter.closed(at: row.counts), bucket, node, row.meter.day)
        }
        guard !change.counts.isZero || change.day != nil else { return }
        if row.counts.isZero, try isForgotten(node) {
            try forget(node)
        } else {
            try put(Tables.usage, node.id.bytes, row.encoded())
        }
        for warning in warnings {
            guard let bucket = warnedBucket(node) else { continue }
            try note(.quotaWarning, .quota(warning), in: bucket)
        }
    }

    private func put(
        _ metered: MeteredDay, _ bucket: BucketID, _ node: UsageNode, _ day: UInt32
    ) throws(StoreError) {
        guard let account = node.parent?.id else { return }
        try put(Tables.meteredDays, RowKey.meteredDay(account, bucket, day), metered.encoded())
        try dropOldDays(of: bucket, account, in: Tables.meteredDays, at: day)
    }

    private func warnedBucket(_ node: UsageNode) -> BucketID? {
        if case .bucket = node.kind { return BucketID(octets: node.id) }
        // An account's threshold was crossed by what this transaction does in one of its buckets.
        let ids = usage.changes.keys.filter { usage.ledger[$0]?.parent === node }
        return ids.min().map(BucketID.init)
    }

    private func isForgotten(_ node: UsageNode) throws(StoreError) -> Bool {
        guard case .bucket = node.kind, try !exists(node.id) else { return false }
        return try get(Tables.deletedBuckets, node.id.bytes) == nil
    }

    private func exists(_ bucket: Octets16) throws(StoreError) -> Bool {
        try get(Tables.buckets, bucket.bytes) != nil
    }

    // From the bottom up: buckets, their accounts, the store.
    private func nodeChanges() throws(StoreError) -> [(UsageNode, UsageNode.Change)] {
        var found = try bucketChanges()
        var accounts: [Octets16: (node: UsageNode, change: UsageNode.Change)] = [:]
        var total = UsageNode.Change()
        total.isEnforced = false
        for (node, change) in found {
            guard let account = node.parent else { continue }
            var sum = accounts[account.id]?.change ?? UsageNode.Change()
            try sum.counts.add(change.counts)
            try sum.passive.add(change.passive)
            sum.promised = sum.promised + change.promised
            sum.beginsUpload = sum.beginsUpload || change.beginsUpload
            sum.isEnforced = usage.isEnforced
            accounts[account.id] = (account, sum)
            try total.counts.add(change.counts)
        }
        for (node, change) in accounts.values { found.append((node, change)) }
        for (id, row) in usage.settings {
            if let index = found.firstIndex(where: { $0.0.id == id }) {
                found[index].1.settings = row
            } else if let node = usage.ledger[id] {
                found.append((node, UsageNode.Change(settings: row)))
            }
        }
        if let nobody = usage.stored[0] { try total.counts.add(nobody) }
        if !total.counts.isZero { found.append((try usage.ledger.node(ofStore: self), total)) }
        return found
    }

    private func bucketChanges() throws(StoreError) -> [(UsageNode, UsageNode.Change)] {
        try nameStored()
        // A bucket that is deleted may have had no other change.
        for id in usage.removed {
            usage.changes[id, default: UsageNode.Change()].isEnforced = false
        }
        var changes: [(UsageNode, UsageNode.Change)] = []
        for id in usage.changes.keys.sorted() {
            guard var change = usage.changes[id],
                let node = try usage.ledger.node(of: BucketID(octets: id), self)
            else { continue }
            change.isEnforced = change.isEnforced && usage.isEnforced
            change.isMetered = usage.isEnforced
            change.isRemoval = usage.removed.contains(id)
            if usage.removed.contains(id) {
                let counts = node.state.withLock { $0.row.counts.filtered(physical: false) }
                change.counts = change.counts.filtered(physical: true)
                try change.counts.add(counts.negated)
            } else if try !exists(id) {
                // What it counted went with it.
                change.counts = change.counts.filtered(physical: true)
                change.passive = UsageCounts()
                change.isEnforced = false
            }
            changes.append((node, change))
        }
        return changes
    }

    // What chunks say, under the ids of the buckets.
    private func nameStored() throws(StoreError) {
        for (number, counts) in usage.stored where number != 0 {
            if let id = try get(Tables.owners, RowKey.bigEndian(number)),
                id.count == Octets16.byteCount
            {
                try usage.changes[Octets16(id.span), default: UsageNode.Change()].counts
                    .add(counts)
            } else {
                // Of a bucket that nobody knows any more.
                try usage.stored[0, default: UsageCounts()].add(counts)
            }
        }
    }
}
