// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import Synchronization

/// The usage and the quotas of buckets and accounts in memory, as far as they are looked at.
///
/// Nodes are loaded and changed by the committer's thread alone, which also writes each change to
/// the index: what is here is what the index has, with the transaction under way and with what is
/// promised to uploads. Thread-safe.
final class UsageLedger: Sendable {
    /// Nodes without an upload that are kept: a few hundred bytes each.
    private static let idleCountMax = 65_536

    let meterClock: MeterClock
    /// How many days are kept for bills.
    let meteredDayCount: UInt32
    private let storeID: Octets16
    private let sealingKey: SealingKey
    private let context: Mutex<WorkerContext>
    // Which storage an account has used up.
    private let denied = Mutex<[AccountID: Set<Allowances.Kind>]>([:])
    private let nodes = Mutex<[Octets16: UsageNode]>([:])
    private let nodeCountMax = Atomic(idleCountMax)

    init(
        storeID: Octets16, sealingKey: SealingKey, clock: any StoreClock, random: any RandomSource,
        notBefore last: Timestamp, meteredDayCount: UInt32
    ) throws(StoreError) {
        self.meteredDayCount = meteredDayCount
        meterClock = MeterClock(clock, notBefore: last)
        self.storeID = storeID
        self.sealingKey = sealingKey
        context = Mutex(try WorkerContext(random: random))
    }

    // MARK: - Nodes

    /// The node of a bucket for an upload, if it is loaded; ``letGo(_:)`` is owed then.
    func hold(_ bucket: BucketID) -> UsageNode? {
        nodes.withLock { nodes in
            guard let node = nodes[bucket.octets] else { return nil }
            node.state.withLock { $0.holderCount += 1 }
            return node
        }
    }

    func letGo(_ node: UsageNode) { node.state.withLock { $0.holderCount -= 1 } }

    /// The node of whatever has this id, if it is loaded.
    subscript(id: Octets16) -> UsageNode? { nodes.withLock { $0[id] } }

    /// What is promised to uploads that have a node in their hands.
    func promised(to id: Octets16) -> PromisedUsage {
        self[id]?.state.withLock { $0.promised } ?? .none
    }

    /// The node of a bucket, read from the index if need be. On the committer's thread.
    ///
    /// - Returns: nil when there is nothing of the bucket any more.
    func node(
        of bucket: BucketID, _ transaction: Transaction
    ) throws(StoreError) -> UsageNode? {
        if let node = self[bucket.octets] { return node }
        guard let owner = try transaction.owner(of: bucket) else { return nil }
        return try load(
            bucket.octets, .bucket(number: owner.number),
            parent: node(ofAccount: owner.account, transaction), transaction)
    }

    func node(
        ofAccount account: AccountID, _ transaction: Transaction
    ) throws(StoreError) -> UsageNode {
        if let node = self[account.octets] { return node }
        return try load(
            account.octets, .account, parent: node(ofStore: transaction), transaction)
    }

    func node(ofStore transaction: Transaction) throws(StoreError) -> UsageNode {
        if let node = self[storeID] { return node }
        return try load(storeID, .store, parent: nil, transaction)
    }

    private func load(
        _ id: Octets16, _ kind: UsageNode.Kind, parent: UsageNode?, _ transaction: Transaction
    ) throws(StoreError) -> UsageNode {
        let row = try transaction.row(Tables.usage, id.bytes) { (bytes) throws(CoreError) in
            try UsageRow(decoding: bytes)
        }
        let sealed = try transaction.get(Tables.quotas, id.bytes)
        let settings = try sealed.map { (bytes) throws(StoreError) in try openQuota(bytes, of: id) }
        let node = UsageNode(
            id, kind, parent: parent, row ?? UsageRow(beginningAt: meterClock.now()),
            settings ?? .none)
        nodes.withLock { $0[id] = node }
        return node
    }

    /// Lets go of buckets that nobody uses, when there are very many. Between two transactions, so
    /// that none has a node in its hands that is not the one which others get.
    func dropIdle() {
        nodes.withLock { nodes in
            guard nodes.count >= nodeCountMax.load(ordering: .relaxed) else { return }
            // Those of accounts stay: others name them.
            nodes = nodes.filter { _, node in
                guard case .bucket = node.kind else { return true }
                return node.state.withLock { $0.holderCount > 0 || $0.promised != .none }
            }
            // Where most of them are in use, not again with each transaction.
            nodeCountMax.store(max(Self.idleCountMax, 2 * nodes.count), ordering: .relaxed)
        }
    }

    /// Forgets everything, for a count that begins anew.
    func forgetAll() { nodes.withLock { $0 = [:] } }

    /// Forgets an account that is deleted.
    func forget(_ account: AccountID) {
        nodes.withLock { $0[account.octets] = nil }
        denied.withLock { $0[account] = nil }
    }

    // MARK: - Allowances

    func setDenied(_ kinds: Set<Allowances.Kind>, of account: AccountID) {
        denied.withLock { $0[account] = kinds.isEmpty ? nil : kinds }
    }

    /// Fails when nothing more may be stored in a bucket in this month.
    func checkAllowance(_ node: UsageNode) throws(StoreError) {
        guard let account = node.parent,
            let kinds = denied.withLock({ $0[AccountID(octets: account.id)] }),
            kinds.contains(node.settings.isPublic ? .publicStorage : .privateStorage)
        else { return }
        throw StoreError(
            .allowanceExceeded, "the account has used up its allowance for storage of the month")
    }

    // MARK: - Quotas

    func sealQuota(_ row: QuotaRow, of id: Octets16) throws(StoreError) -> [UInt8] {
        try context.withLock { (context) throws(StoreError) in
            try context.seal(
                row.encoded(), as: .metadata, name: Self.recordName(id), under: sealingKey)
        }
    }

    func openQuota(_ sealed: [UInt8], of id: Octets16) throws(StoreError) -> QuotaRow {
        let bytes = try context.withLock { (context) throws(StoreError) in
            try context.open(
                sealed, as: .metadata, name: Self.recordName(id), under: sealingKey)
        }
        return try lower(
            "reading a quota",
            core: { () throws(CoreError) in try QuotaRow(decoding: bytes) })
    }

    // Not that of the bucket's own row, so that neither can be put in place of the other.
    private static func recordName(_ id: Octets16) -> Octets32 {
        Octets32((id.bytes + Array("quota".utf8) + [UInt8](repeating: 0, count: 11)).span)
    }
}

extension Engine {
    /// What a row of the usage table counts; nothing where there is none.
    static func decodeUsage(_ bytes: [UInt8]?) throws(StoreError) -> UsageCounts {
        try bytes.map(decodeUsageRow)?.counts ?? UsageCounts()
    }

    static func decodeUsageRow(_ bytes: [UInt8]) throws(StoreError) -> UsageRow {
        try lower(
            "reading usage", core: { () throws(CoreError) in try UsageRow(decoding: bytes) })
    }

    static func decodeOwner(_ bytes: [UInt8]) throws(StoreError) -> OwnerRow {
        try lower(
            "reading whose a bucket is",
            core: { () throws(CoreError) in try OwnerRow(decoding: bytes) })
    }

    /// Promises room to an upload session.
    ///
    /// - Throws: ``StoreError`` with code `quotaExceeded`, `bucketUnknown`, `corrupted`, `io`,
    ///   `closed`.
    func reserve(
        in bucket: BucketID, byteCount: UInt64 = 0, durableByteCount: UInt64? = nil,
        isPart: Bool = false
    ) async throws(StoreError) -> Reservation {
        do throws(StoreError) {
            return try await promiseOrReap(in: bucket, byteCount, durableByteCount, isPart)
        } catch {
            metrics.count(error)
            throw error
        }
    }

    private func promiseOrReap(
        in bucket: BucketID, _ byteCount: UInt64, _ durableByteCount: UInt64?, _ isPart: Bool
    ) async throws(StoreError) -> Reservation {
        do throws(StoreError) {
            return try await promise(in: bucket, byteCount, durableByteCount, isPart)
        } catch {
            // Room that is held for nobody any more.
            guard error.code == .quotaExceeded,
                try await reapExpiredUploads(limit: Self.reapedForRoomCountMax)
                    + reapExpiredMultiparts(limit: Self.reapedForRoomCountMax) > 0
            else { throw error }
            return try await promise(in: bucket, byteCount, durableByteCount, isPart)
        }
    }

    private static let reapedForRoomCountMax = 64

    private func promise(
        in bucket: BucketID, _ byteCount: UInt64, _ durableByteCount: UInt64?, _ isPart: Bool
    ) async throws(StoreError) -> Reservation {
        while true {
            if let node = ledger.hold(bucket) {
                do throws(StoreError) { try ledger.checkAllowance(node) } catch {
                    ledger.letGo(node)
                    throw error
                }
                return try Reservation(
                    node, ledger, byteCount: byteCount, durableByteCount: durableByteCount,
                    isPart: isPart)
            }
            try await loadUsage(of: bucket)
        }
    }

    /// Brings the usage of a bucket and of its account into memory.
    func loadUsage(of bucket: BucketID) async throws(StoreError) {
        try await transact { [ledger] (transaction) throws(StoreError) in
            guard try ledger.node(of: bucket, transaction) != nil else {
                throw StoreError(.bucketUnknown, "the bucket was deleted")
            }
        }
    }
}
