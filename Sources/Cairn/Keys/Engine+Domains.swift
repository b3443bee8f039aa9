// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys

/// The domain of a bucket that is being configured, and the key of the domain if it is new.
struct ChosenDomain: Sendable {
    let reference: DomainReference
    /// Nil for a domain that is there.
    fileprivate(set) var newKey: KeyRow?
}

extension Engine {
    /// The deduplication domain that a bucket belongs to.
    ///
    /// One for a single bucket comes with its key, to be stored with the bucket's row. One that
    /// several buckets share is made here when the first asks for it, and stays with its account.
    func domain(
        _ deduplication: Deduplication, of account: AccountRow, _ bucket: BucketID,
        under customerKey: KeyID?
    ) async throws(StoreError) -> ChosenDomain {
        switch deduplication {
        case .key:
            guard let customerKey else {
                let reference = DomainReference(slot: account.domainSlot, id: account.id.octets)
                return ChosenDomain(reference: reference)
            }
            return try await sharedDomain(
                SharedDomain(account: account.id, kind: .key, keyID: customerKey))
        case .account:
            return try await sharedDomain(
                SharedDomain(account: account.id, kind: .account, keyID: nil))
        case .bucket:
            let key = try await keys.generate(.domain, owner: bucket.octets, under: customerKey)
            let slot = try await reserveKeySlots(1)
            return ChosenDomain(
                reference: DomainReference(slot: slot, id: bucket.octets), newKey: key)
        }
    }

    private func sharedDomain(_ domain: SharedDomain) async throws(StoreError) -> ChosenDomain {
        let known = try await read("looking for a domain") { (index) throws(IndexError) in
            try index.get(Tables.domains, domain.rowKey)
        }
        if let known {
            return ChosenDomain(
                reference: DomainReference(slot: try SharedDomain.slot(known), id: domain.id))
        }
        let key = try await keys.generate(.domain, owner: domain.id, under: domain.keyID)
        let slot = try await reserveKeySlots(1)
        let chosen = try await transact { (transaction) throws(StoreError) -> UInt32 in
            // Somebody else may have made it meanwhile.
            if let known = try transaction.get(Tables.domains, domain.rowKey) {
                return try SharedDomain.slot(known)
            }
            try transaction.put(Tables.domains, domain.rowKey, RowKey.bigEndian(slot))
            try transaction.putNewKey(key, in: slot)
            return slot
        }
        return ChosenDomain(reference: DomainReference(slot: chosen, id: domain.id))
    }
}

extension Transaction {
    /// Stores the key of a domain that came with its bucket.
    func put(_ domain: ChosenDomain) throws(StoreError) {
        guard let key = domain.newKey else { return }
        try putNewKey(key, in: domain.reference.slot)
    }

    /// Deletes the domains that buckets of an account have shared.
    ///
    /// - Returns: the key slots that were freed.
    func deleteSharedDomains(of account: AccountID) throws(StoreError) -> [UInt32] {
        var slots: [UInt32] = []
        while true {
            let rows = try scan(Tables.domains, prefix: account.octets.bytes, limit: 1000)
            for row in rows {
                let slot = try SharedDomain.slot(row.value)
                try delete(Tables.domains, row.key)
                try delete(Tables.keys, RowKey.keySlot(slot))
                slots.append(slot)
            }
            guard !rows.isEmpty else { return slots }
        }
    }
}

/// A domain of several buckets of one account.
struct SharedDomain: Sendable {
    /// On disk: never renumber.
    enum Kind: UInt8 {
        case key = 1
        case account = 2
    }

    // On disk: never change.
    private static let label = Array("cairn shared domain 1".utf8)

    let account: AccountID
    let kind: Kind
    /// The customer key that wraps the secret; nil is the store's default key.
    let keyID: KeyID?

    private var hash: Digest {
        var writer = ByteWriter(capacity: 128)
        writer.append(Self.label)
        writer.append(account.octets)
        writer.append(kind.rawValue)
        writer.append(Array((keyID?.text ?? "").utf8))
        return Digest.sha256(of: writer.bytes.span)
    }

    var rowKey: [UInt8] {
        account.octets.bytes + [kind.rawValue] + hash.bytes
    }

    /// Tells the domain from all others, also from those of single buckets and the account's first.
    var id: Octets16 { Octets16(hash.bytes.span.extracting(first: Octets16.byteCount)) }

    /// The key slot of a domain whose secret is under the store's default key; nil for others.
    static func slotUnderDefaultKey(_ row: IndexEntry) throws(StoreError) -> UInt32? {
        guard row.key.count > Octets16.byteCount,
            row.key[Octets16.byteCount] == Kind.account.rawValue
        else { return nil }
        return try slot(row.value)
    }

    static func slot(_ bytes: [UInt8]) throws(StoreError) -> UInt32 {
        guard let slot = RowKey.number(bytes) else {
            throw StoreError(.corrupted, "a row of the domain table is damaged")
        }
        return slot
    }
}
