// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys

// The keys of a bucket.
extension Bucket {
    /// Starts a new generation of the bucket's data key. Durable on return.
    ///
    /// What is stored from then on is sealed with the new key; nothing is written anew, and what
    /// older generations sealed stays readable. Upload sessions that were begun before go on with
    /// the generation that they began with.
    ///
    /// - Returns: the number of the new generation.
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `keyDisabled`, `keyUnavailable`,
    ///   `limitExceeded` (1000 generations), `cancelled`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func rotateDataKey() async throws(StoreError) -> UInt32 {
        let row = try await engine.act(act("RotateDataKey")) { () throws(StoreError) in
            try await engine.changeBucket(bucketID) { (row) throws(StoreError) in
                guard row.formerKeySlots.count < BucketRow.formerKeyCountMax else {
                    throw StoreError(
                        .limitExceeded,
                        "a bucket has at most \(BucketRow.formerKeyCountMax) earlier data keys")
                }
                var next = row
                next.generation += 1
                let key = try await engine.keys.generate(
                    .bucketData, owner: bucketID.octets, generation: next.generation,
                    under: row.customerKey)
                next.formerKeySlots.append(row.dataKeySlot)
                next.dataKeySlot = try await engine.reserveKeySlots(1)
                return BucketChange(
                    row: next, keys: [.init(slot: next.dataKeySlot, old: nil, new: key)])
            }
        }
        return row.generation
    }

    /// Puts the bucket under another customer key, or changes whom it shares chunks with. Durable
    /// on return.
    ///
    /// The keys of the bucket are wrapped anew; no blob is written anew, and reads and writes go on
    /// meanwhile. From then on the old customer key is not needed any more, and disabling or
    /// destroying it does not touch the bucket. Blobs stay in the deduplication domain that they
    /// were stored in; only new ones go to the new domain, but for those of upload sessions that
    /// were begun before. Whoever has the old customer key and
    /// an older copy of the store can still open what the bucket held then.
    ///
    /// - Parameters:
    ///   - encryption: the customer key from now on.
    ///   - deduplication: whom to share chunks with; nil keeps the choice.
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `keyUnknown`, `keyDisabled` (the old
    ///   key or the new one), `keyUnavailable`, `limitExceeded` (100 domains), `cancelled`,
    ///   `outOfSpace`, `io`, `closed`.
    public func setEncryption(
        _ encryption: BucketEncryption, deduplication: Deduplication? = nil
    ) async throws(StoreError) {
        var act = act("SetBucketEncryption")
        if case .customerKey(let key) = encryption { act.key = key.text } else { act.key = "" }
        let row = try await engine.act(act) { () throws(StoreError) in
            let customerKey = try await engine.keys.customerKey(encryption)
            return try await engine.changeBucket(bucketID) { (row) throws(StoreError) in
                var change = BucketChange(row: row)
                change.row.customerKey = customerKey
                change.keys = try await engine.rewrapped(
                    row.ownSlots(bucketID), under: customerKey, skippingCurrent: false)
                try await move(
                    &change, from: row, to: deduplication ?? row.deduplication)
                return change
            }
        }
        engine.keys.forget(row.ownSlots(bucketID))
    }

    /// Wraps the keys of the bucket with the newest material of its customer key. Durable on
    /// return.
    ///
    /// After a rotation of the customer key; see ``Store/rewrapKeys(under:progress:)`` for all
    /// buckets.
    ///
    /// - Returns: how many keys were wrapped anew.
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `keyDisabled`, `keyUnavailable`,
    ///   `cancelled`, `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func rewrap() async throws(StoreError) -> Int {
        var count = 0
        try await engine.changeBucket(bucketID) { (row) throws(StoreError) in
            let keys = try await engine.rewrapped(
                row.ownSlots(bucketID), under: row.customerKey, skippingCurrent: true)
            count = keys.count
            return BucketChange(row: row, keys: keys)
        }
        return count
    }

    // MARK: -

    func act(_ action: String) -> AuditEvent {
        AuditEvent(action: action, key: row.customerKey?.text ?? "", detail: "\(name) (\(id))")
    }

    // Where new chunks go, and how the bucket goes on reaching those that are there.
    private func move(
        _ change: inout BucketChange, from old: BucketRow, to deduplication: Deduplication
    ) async throws(StoreError) {
        change.row.deduplication = deduplication
        let staysAlone = deduplication == .bucket && old.deduplication == .bucket
        guard !staysAlone else { return }
        let account = try await engine.account(old.accountID)
        let domain = try await engine.domain(
            deduplication, of: account, bucketID, under: change.row.customerKey)
        guard domain.reference.slot != old.domain.slot else { return }
        change.row.domain = domain.reference
        change.domain = domain
        guard !old.formerDomains.contains(where: { $0.slot == old.domain.slot }) else { return }
        guard old.formerDomains.count < BucketRow.formerDomainCountMax else {
            throw StoreError(
                .limitExceeded,
                "a bucket has blobs in at most \(BucketRow.formerDomainCountMax) domains")
        }
        var former = old.domain
        // The secret of a domain of one customer key is under that key: the bucket takes a copy
        // along, under its new one.
        if old.deduplication == .key, old.customerKey != nil {
            let secret = try await engine.keys.row(
                former.slot, for: .init(kind: .domain, ownerID: former.id))
            let copy = try await engine.keys.rewrap(
                secret, under: change.row.customerKey,
                as: KeyRow(
                    kind: .domainCopy, ownerID: bucketID.octets, generation: former.slot,
                    wrapped: []))
            let slot = try await engine.reserveKeySlots(1)
            former.copySlot = slot
            change.keys.append(.init(slot: slot, old: nil, new: copy))
        }
        change.row.formerDomains.append(former)
    }
}

extension Engine {
    /// Keys of these slots, wrapped with the newest material of a customer key.
    func rewrapped(
        _ slots: [UInt32], under customerKey: KeyID?, skippingCurrent: Bool
    ) async throws(StoreError) -> [BucketChange.Key] {
        var changes: [BucketChange.Key] = []
        for slot in slots {
            let key = StoredKey(slot: slot, row: try await keys.row(slot), customerKey: customerKey)
            if let change = try await rewrapped(key, skippingCurrent: skippingCurrent) {
                changes.append(change)
            }
        }
        return changes
    }

    /// A key, wrapped with the newest material of its customer key; nil when it is so already.
    func rewrapped(
        _ key: StoredKey, skippingCurrent: Bool
    ) async throws(StoreError) -> BucketChange.Key? {
        if skippingCurrent, try await keys.isCurrent(key.row, under: key.customerKey) {
            return nil
        }
        return BucketChange.Key(
            slot: key.slot, old: key.row,
            new: try await keys.rewrap(key.row, under: key.customerKey))
    }

    /// The row of an account by its id. Reads all accounts: for rare calls.
    func account(_ id: AccountID) async throws(StoreError) -> AccountRow {
        for try await rows in pages(of: Tables.accounts, for: "finding an account") {
            for row in rows {
                let account = try AccountRow(row)
                if account.id == id { return account }
            }
        }
        throw StoreError(.accountUnknown, "the account was deleted")
    }
}
