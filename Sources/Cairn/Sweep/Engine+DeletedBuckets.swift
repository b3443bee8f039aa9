// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

// A deleted bucket has no name, no row and no keys any more, so nobody reaches its contents. They
// are deleted here, a page at a time; each page is one transaction, so a kill loses nothing.
extension Engine {
    private static let deletedRowCountMax = 256
    private static let objectTables = [
        Tables.objects, Tables.objectVersions, Tables.nullVersions, Tables.objectReferences,
        Tables.references, Tables.bucketSettings, Tables.objectLocks,
        Tables.events, Tables.eventHeads, Tables.lifecycleKeys,
        Tables.multipartContents, Tables.quotas,
    ]

    /// Deletes the contents of all buckets that were deleted.
    ///
    /// One with a damaged row stays, and keeps neither the others nor the sweep from going on.
    func emptyDeletedBuckets(_ report: inout SweepReport) async throws(StoreError) {
        var after: [UInt8]?
        while true {
            let next = try await read("looking for deleted buckets") {
                [after] (index) throws(IndexError) in
                try index.scan(Tables.deletedBuckets, prefix: [], after: after, limit: 1).first
            }
            guard let key = next?.key else { return }
            do throws(StoreError) {
                let bucket = try RowKey.bucketID(of: key)
                try await emptyDeletedBucket(bucket)
                report.bucketCount += 1
            } catch {
                guard error.code == .corrupted else { throw error }
                report.damagedCount += 1
            }
            after = key
        }
    }

    /// Deletes the contents of one bucket that was deleted.
    func emptyDeletedBucket(_ bucket: BucketID) async throws(StoreError) {
        while try await deletePage(of: bucket) {
            try checkCancellation("emptying a deleted bucket")
        }
    }

    // False when the bucket was empty and is gone.
    private func deletePage(of bucket: BucketID) async throws(StoreError) -> Bool {
        if let upload = try await firstUpload(of: bucket) {
            // Its handle, if it has one, fails at its next checkpoint: the bucket is gone.
            try await discardUpload(upload, of: bucket)
            return true
        }
        if let upload = try await firstMultipart(of: bucket) {
            try await discardMultipart(upload, in: bucket)
            return true
        }
        return try await transact { (transaction) throws(StoreError) -> Bool in
            let prefix = bucket.octets.bytes
            let rest = Self.deletedRowCountMax
            for table in Self.objectTables {
                // Rows of references may have hundreds of kilobytes.
                let limit = table == Tables.objectReferences ? rest / 16 : rest
                let rows = try transaction.scan(table, prefix: prefix, limit: limit)
                for row in rows {
                    try transaction.delete(table, row.key)
                    // The row that a moment comes first in has no bucket to be found by.
                    if table == Tables.lifecycleKeys {
                        try transaction.delete(
                            Tables.lifecycleDue, RowKey.lifecycleDue(of: row))
                    }
                }
                if !rows.isEmpty { return true }
            }
            let links = try transaction.scan(Tables.links, prefix: prefix, limit: rest)
            for row in links {
                let link = try lower(
                    "reading a link",
                    core: { () throws(CoreError) in
                        try LinkRow(decoding: row.value)
                    })
                try transaction.unlink(
                    link, bucket, RowKey.linkName(of: row.key), isNoted: false)
            }
            guard links.isEmpty else { return true }
            try transaction.delete(Tables.deletedBuckets, prefix)
            try transaction.forgetUsage(of: bucket)
            return false
        }
    }

    private func firstUpload(of bucket: BucketID) async throws(StoreError) -> UploadID? {
        let row = try await read("looking for uploads") { (index) throws(IndexError) in
            try index.scan(Tables.uploads, prefix: bucket.octets.bytes, limit: 1).first
        }
        return try row.map { (row) throws(StoreError) in try RowKey.uploadID(of: row.key) }
    }

    private func firstMultipart(of bucket: BucketID) async throws(StoreError) -> MultipartName? {
        let row = try await read("looking for multipart uploads") { (index) throws(IndexError) in
            try index.scan(Tables.multipartUploads, prefix: bucket.octets.bytes, limit: 1).first
        }
        return try row.map { (row) throws(StoreError) in
            try RowKey.multipartName(of: row.key).upload
        }
    }
}

extension Transaction {
    /// Fails when a bucket holds anything.
    func checkEmpty(_ bucket: BucketID) throws(StoreError) {
        // A multipart upload without parts holds nothing: it was just begun, or is over.
        for table in [
            Tables.links, Tables.objects, Tables.objectVersions, Tables.uploads, Tables.parts,
        ] {
            guard try scan(table, prefix: bucket.octets.bytes, limit: 1).isEmpty else {
                throw StoreError(
                    .bucketNotEmpty,
                    "the bucket has blobs, objects, versions or uploads; delete them")
            }
        }
    }
}

// What has come of deleted buckets stays for bills, as long as any bill can be made of it.
extension Engine {
    /// Forgets what was metered of buckets that were deleted too long ago for any bill.
    func forgetRemovedBuckets() async throws(StoreError) {
        let today = Meter.day(of: ledger.meterClock.now())
        let last = RowKey.bigEndian(today - min(today, ledger.meteredDayCount))
        while true {
            let isDone = try await transact { (transaction) throws(StoreError) -> Bool in
                let first = try transaction.scan(Tables.removedBuckets, prefix: [], limit: 1).first
                guard let first, first.key.lexicographicallyPrecedes(last) else { return true }
                for table in [Tables.meteredDays, Tables.traffic] {
                    let days = try transaction.scan(
                        table, prefix: Array(first.key.dropFirst(4)),
                        limit: Self.deletedRowCountMax)
                    for day in days { try transaction.delete(table, day.key) }
                    if !days.isEmpty { return false }
                }
                try transaction.delete(Tables.removedBuckets, first.key)
                return false
            }
            if isDone { return }
            try checkCancellation("forgetting deleted buckets")
        }
    }
}
