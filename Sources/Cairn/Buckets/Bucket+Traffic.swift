// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

// What was delivered and asked for. Whoever serves clients knows it; the store keeps it for bills.
extension Bucket {
    /// Counts bytes that were delivered to a client.
    ///
    /// Costs a fraction of a microsecond, waits for nothing and never fails: it is written within
    /// ten seconds, or when the store is closed. A kill loses what was not.
    public func countTransfer(_ byteCount: UInt64, _ transfer: TransferClass) {
        guard byteCount > 0 else { return }
        var traffic = Traffic()
        traffic[transfer] = byteCount
        engine.count(traffic, row.accountID, bucketID)
    }

    /// Counts a request; as ``countTransfer(_:_:)``.
    public func countRequest(_ request: RequestKind) {
        var traffic = Traffic()
        traffic[request] = 1
        engine.count(traffic, row.accountID, bucketID)
    }

    /// Fails when the month's allowance for transfers is used up and more is to be denied.
    ///
    /// - Throws: ``StoreError`` with code `allowanceExceeded`, `corrupted`, `io`, `closed`.
    public func checkTransfer(_ transfer: TransferClass) async throws(StoreError) {
        let settings = try await engine.settings(of: row.accountID.octets)
        guard let allowance = settings.allowances[transfer], allowance.action == .deny else {
            return
        }
        let month = CalendarMonth(of: engine.ledger.meterClock.now())
        let used = try await engine.traffic(of: row.accountID, in: month)[transfer]
        guard used >= allowance.amount else { return }
        throw StoreError(
            .allowanceExceeded,
            "the account has had its \(allowance.amount) bytes of the month, \(transfer.name)")
    }

    /// Whether everybody may read the bucket, which decides about the allowance for storage.
    ///
    /// - Throws: ``StoreError`` with code `corrupted`, `io`, `closed`.
    public func isPublic() async throws(StoreError) -> Bool {
        try await engine.settings(of: bucketID.octets).isPublic
    }

    /// Says whether everybody may read the bucket. Durable on return.
    ///
    /// The store itself lets whoever has the handle read: it is up to the registry to keep others
    /// out.
    ///
    /// - Throws: ``StoreError`` with code `bucketUnknown`, `outOfSpace`, `io`, `closed`.
    public func setPublic(_ isPublic: Bool) async throws(StoreError) {
        try await change("PutBucketVisibility") { row, _ in row.isPublic = isPublic }
    }
}

extension Engine {
    /// What all buckets of an account have had in a month so far.
    func traffic(
        of account: AccountID, in month: CalendarMonth
    ) async throws(StoreError) -> Traffic {
        if let known = traffic.total(of: account, in: month) { return known }
        // Between two transactions: what is written is in the snapshot, and nothing else.
        let begun = try await transact { [index, traffic] (_) throws(StoreError) in
            guard traffic.beginTotal(of: account, in: month) else {
                return nil as (any IndexSnapshot)?
            }
            return try lower(
                "counting traffic", index: { () throws(IndexError) in try index.snapshot() })
        }
        guard let snapshot = begun else {
            // Somebody else has begun, and may not have added everything yet.
            return traffic.total(of: account, in: month) ?? Traffic()
        }
        do throws(StoreError) {
            var written = Traffic()
            for try await rows in pages(
                of: Tables.traffic, prefix: account.octets.bytes, in: snapshot,
                for: "the count of traffic")
            {
                for row in rows {
                    guard let day = RowKey.day(ofMetered: row.key), month.days.contains(day)
                    else { continue }
                    written = written + (try Self.decodeTraffic(row.value))
                }
            }
            traffic.endTotal(written, of: account, in: month)
        } catch {
            traffic.endTotal(nil, of: account, in: month)
            throw error
        }
        return traffic.total(of: account, in: month) ?? Traffic()
    }
}
