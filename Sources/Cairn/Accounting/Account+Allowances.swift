// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Account {
    /// What the account may use in a month.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func allowances() async throws(StoreError) -> Allowances {
        try await engine.settings(of: row.id.octets).allowances
    }

    /// Says what the account may use in a month. Durable on return.
    ///
    /// - Throws: ``StoreError`` with code `accountUnknown`, `outOfSpace`, `io`, `closed`.
    public func setAllowances(_ allowances: Allowances) async throws(StoreError) {
        try await change("PutAccountAllowances") { row, _ in row.allowances = allowances }
        _ = try await allowanceStatus()
    }

    /// How much of its allowances the account has used in the present month; those that it does
    /// not have are left out.
    ///
    /// Allowances for storage that deny take effect with this call, and end with it: make it now
    /// and then, as ``Store/checkAllowances()`` does for all accounts.
    ///
    /// - Throws: ``StoreError`` with code `cancelled`, `corrupted`, `io`, `closed`.
    /// - Complexity: that of ``bill(_:)`` where there is an allowance for storage.
    public func allowanceStatus() async throws(StoreError) -> [AllowanceStatus] {
        let allowances = try await allowances()
        let month = CalendarMonth(of: engine.ledger.meterClock.now())
        var status: [AllowanceStatus] = []
        if allowances.privateStorage != nil || allowances.publicStorage != nil {
            let bill = try await bill(month)
            for (kind, isPublic) in [
                (Allowances.Kind.privateStorage, false), (.publicStorage, true),
            ] {
                guard let allowance = allowances[kind] else { continue }
                let held = ByteTime(
                    of: bill.buckets.filter { $0.isPublic == isPublic }.map(\.total))
                status.append(
                    AllowanceStatus(
                        kind: kind, allowance: allowance,
                        usedAmount: held.wholeMonthByteCount(of: month)))
            }
        }
        let denied = status.filter { $0.isExceeded && $0.allowance.action == .deny }
        engine.ledger.setDenied(Set(denied.map(\.kind)), of: row.id)
        let traffic = try await engine.traffic(of: row.id, in: month)
        for (kind, transfer) in [
            (Allowances.Kind.anonymousTransfer, TransferClass.anonymous),
            (.signedInTransfer, .signedIn),
        ] {
            guard let allowance = allowances[kind] else { continue }
            status.append(
                AllowanceStatus(kind: kind, allowance: allowance, usedAmount: traffic[transfer]))
        }
        return status
    }
}

extension Store {
    /// Looks which accounts have used up their allowances for storage: those that deny more take
    /// effect, and end with the month, when this is called. A server does it in each round of
    /// upkeep.
    ///
    /// - Throws: ``StoreError`` with code `cancelled`, `corrupted`, `io`, `closed`.
    public func checkAllowances() async throws(StoreError) {
        var after: String?
        while true {
            let accounts = try await engine.accounts(after: after)
            for account in accounts {
                let allowances = try await account.allowances()
                guard allowances.privateStorage != nil || allowances.publicStorage != nil else {
                    engine.ledger.setDenied([], of: account.row.id)
                    continue
                }
                _ = try await account.allowanceStatus()
            }
            guard let last = accounts.last else { return }
            after = last.name
        }
    }
}
