// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

extension Engine {
    private static let expiredLeaseCountMax = 256

    /// Ends leases of blobs that are over, the oldest first, in time proportional to their number.
    ///
    /// A damaged one stays, and keeps neither the others nor the sweep from going on.
    func expireLeases(_ report: inout SweepReport) async throws(StoreError) {
        let end = RowKey.time(clock.now())
        var from: [UInt8] = []
        while true {
            try checkCancellation("ending leases")
            let due = try await read("looking for leases that are over") {
                [from] (index) throws(IndexError) in
                try index.scan(
                    Tables.blobLeases, from: from, before: end, limit: Self.expiredLeaseCountMax)
            }
            guard let last = due.last?.key else { return }
            from = last + [0]
            do throws(StoreError) {
                report.expiredBlobCount += try await expire(due)
            } catch {
                guard error.code == .corrupted else { throw error }
                for row in due {
                    do throws(StoreError) {
                        report.expiredBlobCount += try await expire([row])
                    } catch {
                        guard error.code == .corrupted else { throw error }
                        report.damagedCount += 1
                    }
                }
            }
        }
    }

    private func expire(_ rows: [IndexEntry]) async throws(StoreError) -> UInt64 {
        try await transact(cause: .lease) { (transaction) throws(StoreError) -> UInt64 in
            var count: UInt64 = 0
            for row in rows {
                let (end, link) = try RowKey.leaseAndLink(of: row.key)
                let name = try RowKey.linkName(of: link)
                let bucket = try RowKey.bucketID(prefixing: link)
                if try transaction.expireLease(endedAt: end, bucket, name) { count += 1 }
            }
            return count
        }
    }
}
