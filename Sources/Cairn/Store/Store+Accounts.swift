// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

// Accounts.
extension Store {
    /// Creates an account with a deduplication domain of its own. Durable on return.
    ///
    /// - Parameter name: 1 to 128 lower-case letters, digits and `-`.
    /// - Throws: ``StoreError`` with code `nameInvalid`, `accountExists`, `keyUnavailable`,
    ///   `outOfSpace`, `io`, `closed`.
    @discardableResult
    public func createAccount(_ name: String) async throws(StoreError) -> Account {
        try Names.checkAccount(name)
        try engine.checkOpen()
        let id = AccountID(octets: UUIDText.random(from: engine.random))
        let domain = try await engine.keys.generate(.domain, owner: id.octets)
        let slot = try await engine.reserveKeySlots(1)
        let row = AccountRow(id: id, createdAt: engine.clock.now(), domainSlot: slot)
        try await engine.transact { (transaction) throws(StoreError) in
            guard try transaction.get(Tables.accounts, Array(name.utf8)) == nil else {
                throw StoreError(.accountExists, "an account of this name exists")
            }
            try transaction.put(Tables.accounts, Array(name.utf8), row.encoded())
            try transaction.putNewKey(domain, in: slot)
        }
        return Account(name, row, engine)
    }

    /// Finds an account.
    ///
    /// - Throws: ``StoreError`` with code `accountUnknown`, `nameInvalid`, `io`, `closed`.
    public func account(_ name: String) async throws(StoreError) -> Account {
        try Names.checkAccount(name)
        guard let row = try await Account.row(name, engine) else {
            throw StoreError(.accountUnknown, "the store has no account of this name")
        }
        return Account(name, row, engine)
    }

    /// Lists accounts in the order of their names.
    ///
    /// - Parameters:
    ///   - after: the last name already seen; nil starts at the beginning.
    ///   - limit: 1 to 1000 accounts. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `corrupted`, `io`,
    ///   `closed`.
    public func accounts(
        after: String? = nil, limit: Int = 1000
    ) async throws(StoreError) -> [Account] {
        try Bucket.checkPage(limit)
        return try await engine.accounts(after: after, limit: limit)
    }

    /// Deletes an account without buckets. Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `accountUnknown`, `accountNotEmpty`, `invalidArgument`
    ///   (the default account stays), `io`, `closed`.
    public func deleteAccount(_ name: String) async throws(StoreError) {
        guard name != Self.defaultAccountName else {
            throw StoreError(.invalidArgument, "the default account cannot be deleted")
        }
        let row = try await account(name).row
        let slots = try await engine.transact { (transaction) throws(StoreError) in
            // The row, not only the name: the account may have been deleted and made anew.
            guard try transaction.get(Tables.accounts, Array(name.utf8)) == row.encoded() else {
                throw StoreError(.accountUnknown, "the store has no account of this name")
            }
            let prefix = row.id.octets.bytes
            guard try transaction.scan(Tables.bucketNames, prefix: prefix, limit: 1).isEmpty else {
                throw StoreError(.accountNotEmpty, "the account has buckets; delete them first")
            }
            try transaction.delete(Tables.accounts, Array(name.utf8))
            try transaction.delete(Tables.keys, RowKey.keySlot(row.domainSlot))
            try transaction.delete(Tables.quotas, row.id.octets.bytes)
            return try transaction.deleteSharedDomains(of: row.id) + [row.domainSlot]
        }
        engine.keys.forget(slots)
        engine.ledger.forget(row.id)
    }
}

extension Engine {
    /// The accounts whose names come behind a name.
    func accounts(
        after: String?, limit: Int = 1000
    ) async throws(StoreError) -> [Account] {
        let start: [UInt8] = after.map { Array($0.utf8) + [0] } ?? []
        let rows = try await read("listing accounts") { (index) throws(IndexError) in
            try index.scan(Tables.accounts, from: start, before: nil, limit: limit)
        }
        return try lower(
            "listing accounts",
            core: { () throws(CoreError) in
                var accounts: [Account] = []
                for row in rows {
                    accounts.append(
                        Account(
                            String(decoding: row.key, as: UTF8.self),
                            try AccountRow(decoding: row.value), self))
                }
                return accounts
            })
    }
}
