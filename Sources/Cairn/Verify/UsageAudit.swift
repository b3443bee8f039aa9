// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// Counts anew what every bucket has, and compares with what the index says: of buckets, of their
/// accounts, which have what their buckets have, and of the store.
///
/// Memory: some hundred bytes for each bucket.
struct UsageAudit {
    let index: VerifiedIndex
    /// The names of buckets, for the report.
    let names: [BucketID: String]
    private var found: [Octets16: UsageCounts] = [:]
    private var linkCounts: [Octets16: Int64] = [:]

    init(index: VerifiedIndex, names: [BucketID: String]) {
        self.index = index
        self.names = names
    }

    /// - Parameter stored: what chunks say, by the numbers of the buckets that have brought them.
    /// - Throws: ``StoreError``, but for damage, which is a problem.
    mutating func run(
        stored: [UInt32: UsageCounts], _ report: inout VerifyReport
    ) async throws(StoreError) {
        let owners = try await owners(&report)
        try await countRows()
        try await countSharers(&report)
        var total = UsageCounts()
        for (number, counts) in stored {
            if let bucket = owners.numbers[number] {
                try found[bucket, default: UsageCounts()].add(counts)
            } else {
                try total.add(counts)
            }
        }
        var rows = try await usageRows()
        var accounts: [Octets16: UsageCounts] = [:]
        for (bucket, owner) in owners.buckets {
            // A bucket that was deleted counts only what others need of it.
            var counts = found.removeValue(forKey: bucket) ?? UsageCounts()
            let isThere = try await index.get(Tables.buckets, bucket.bytes) != nil
            if !isThere { counts = counts.filtered(physical: true) }
            compare(counts, rows.removeValue(forKey: bucket), bucket, &report)
            try accounts[owner.octets, default: UsageCounts()].add(counts)
        }
        for (account, counts) in accounts {
            compare(counts, rows.removeValue(forKey: account), account, &report)
            try total.add(counts)
        }
        let storeID = index.engine.storeID
        compare(total, rows.removeValue(forKey: storeID), storeID, &report)
        for (id, counts) in rows where !counts.isZero {
            compare(UsageCounts(), counts, id, &report)
        }
    }

    // MARK: - Recounting

    private struct Owners {
        var buckets: [(Octets16, AccountID)] = []
        var numbers: [UInt32: Octets16] = [:]
    }

    private func owners(_ report: inout VerifyReport) async throws(StoreError) -> Owners {
        var owners = Owners()
        for try await rows in index.pages(of: Tables.owners) {
            for row in rows {
                if let number = RowKey.number(row.key), row.value.count == Octets16.byteCount {
                    owners.numbers[number] = Octets16(row.value.span)
                } else if row.key.count == Octets16.byteCount,
                    let owner = try? OwnerRow(decoding: row.value)
                {
                    owners.buckets.append((Octets16(row.key.span), owner.account))
                } else {
                    report.add("it is not known whose a bucket is")
                }
            }
        }
        let known = Set(owners.buckets.map(\.0))
        for (bucket, name) in names where !known.contains(bucket.octets) {
            report.add("it is not known whose the bucket is", bucket: name)
        }
        return owners
    }

    private mutating func countRows() async throws(StoreError) {
        for try await rows in index.pages(of: Tables.links) {
            for row in rows {
                // One that is damaged is reported where links are checked.
                guard let link = try? LinkRow(decoding: row.value) else { continue }
                let bucket = try RowKey.bucketID(prefixing: row.key).octets
                try add(1, to: .blobs, of: bucket)
                try add(Int64(clamping: link.byteCount), to: .logicalBytes, of: bucket)
                if link.rootID != nil { linkCounts[bucket, default: 0] += 1 }
            }
        }
        for (table, counter) in [
            (Tables.objects, UsageCounter.objects), (Tables.objectVersions, .olderVersions),
        ] {
            for try await rows in index.pages(of: table) {
                for row in rows {
                    try add(1, to: counter, of: RowKey.bucketID(prefixing: row.key).octets)
                }
            }
        }
        for try await rows in index.pages(of: Tables.uploads) {
            for row in rows {
                guard let upload = try? UploadRow(decoding: row.value) else { continue }
                let bucket = try RowKey.bucketID(prefixing: row.key).octets
                try add(1, to: .uploads, of: bucket)
                try add(Int64(clamping: upload.receivedByteCount), to: .inFlightBytes, of: bucket)
            }
        }
        for try await rows in index.pages(of: Tables.multipartUploads) {
            for row in rows where (try? MultipartRow(decoding: row.value))?.state == .open {
                try add(1, to: .uploads, of: RowKey.bucketID(prefixing: row.key).octets)
            }
        }
        for try await rows in index.pages(of: Tables.parts) {
            for row in rows {
                guard let part = try? Engine.decodePart(row.value) else { continue }
                try add(
                    Int64(clamping: part.byteCount), to: .inFlightBytes,
                    of: RowKey.bucketID(prefixing: row.key).octets)
            }
        }
    }

    private struct Tree {
        var root: [UInt8] = []
        var sharerCount = 0
        var ownerCount = 0
        var byteCount: UInt64 = 0
        var shares: UInt64 = 0
        var first: (bucket: Octets16, byteCount: Int64)?
    }

    private mutating func countSharers(_ report: inout VerifyReport) async throws(StoreError) {
        var tree = Tree()
        for try await rows in index.pages(of: Tables.sharers) {
            for row in rows {
                let root = Array(row.key.prefix(Octets32.byteCount))
                if root != tree.root {
                    try close(tree, &report)
                    tree = Tree(root: root)
                }
                guard row.key.count == Octets32.byteCount + Octets16.byteCount,
                    let sharer = try? SharerRow(decoding: row.value)
                else {
                    report.add("what a bucket has of a blob is damaged")
                    continue
                }
                let bucket = Octets16(row.key.span.extracting(Octets32.byteCount...))
                try count(sharer, of: bucket, in: &tree)
            }
        }
        try close(tree, &report)
        for (bucket, count) in linkCounts where count != 0 {
            report.add(
                "\(count) blobs too many or too few are known to be shared",
                bucket: names[BucketID(octets: bucket)])
        }
    }

    private mutating func count(
        _ sharer: SharerRow, of bucket: Octets16, in tree: inout Tree
    ) throws(StoreError) {
        let (bytes, links) = (Int64(clamping: sharer.byteCount), Int64(sharer.linkCount))
        linkCounts[bucket, default: 0] -= links
        // Of the links of one bucket all but the first cost nothing more.
        let (others, overflow) = bytes.multipliedReportingOverflow(by: links - 1)
        guard !overflow else { throw StoreError(.limitExceeded, "a sum has more than 63 bits") }
        try add(others, to: .sharedBytes, of: bucket)
        try add(others, to: .unownedBytes, of: bucket)
        if !sharer.isOwner { try add(bytes, to: .unownedBytes, of: bucket) }
        try add(others, to: .sharedDiscount, of: bucket)
        try add(bytes - Int64(clamping: sharer.share), to: .sharedDiscount, of: bucket)
        tree.byteCount = sharer.byteCount
        tree.shares &+= sharer.share
        tree.ownerCount += sharer.isOwner ? 1 : 0
        tree.sharerCount += 1
        switch tree.sharerCount {
        case 1: tree.first = (bucket, bytes)
        case 2:
            if let first = tree.first {
                try add(first.byteCount, to: .sharedBytes, of: first.bucket)
            }
            fallthrough
        default: try add(bytes, to: .sharedBytes, of: bucket)
        }
    }

    private func close(_ tree: Tree, _ report: inout VerifyReport) throws(StoreError) {
        guard tree.sharerCount > 0 else { return }
        if tree.ownerCount != 1 { report.add("\(tree.ownerCount) buckets have had a blob first") }
        if tree.shares != tree.byteCount {
            report.add("the parts of a blob of \(tree.byteCount) bytes are \(tree.shares) bytes")
        }
    }

    private mutating func add(
        _ delta: Int64, to counter: UsageCounter, of bucket: Octets16
    ) throws(StoreError) {
        try found[bucket, default: UsageCounts()].add(delta, to: counter)
    }

    // MARK: - Comparing

    private func usageRows() async throws(StoreError) -> [Octets16: UsageCounts] {
        var counts: [Octets16: UsageCounts] = [:]
        for try await rows in index.pages(of: Tables.usage) {
            // Nothing is what a damaged one counts: it is reported as different.
            for row in rows where row.key.count == Octets16.byteCount {
                counts[Octets16(row.key.span)] = (try? UsageRow(decoding: row.value))?.counts
            }
        }
        return counts
    }

    private func compare(
        _ found: UsageCounts, _ stored: UsageCounts?, _ id: Octets16, _ report: inout VerifyReport
    ) {
        for counter in UsageCounter.allCases {
            let count = stored?[counter] ?? 0
            guard count != found[counter] else { continue }
            report.add(
                "usage says \(count) \(counter), a recount \(found[counter])",
                bucket: names[BucketID(octets: id)])
        }
    }
}
