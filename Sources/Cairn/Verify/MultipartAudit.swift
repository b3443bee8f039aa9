// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// Compares what the multipart uploads of one bucket say with the parts that they have, and what
/// lifecycle rules have noted of its keys with what will be looked at.
///
/// Memory for a page of rows.
struct MultipartAudit {
    let index: VerifiedIndex
    let bucket: Bucket
    let keys: BucketKeys

    /// - Throws: ``StoreError``, but for damage, which is a problem.
    func run(_ report: inout VerifyReport) async throws(StoreError) {
        var uploadCount: UInt64 = 0
        var partCount: UInt64 = 0
        for try await rows in pages(of: Tables.multipartUploads) {
            uploadCount += UInt64(rows.count)
            for row in rows {
                do throws(StoreError) {
                    partCount += try await check(row, &report)
                } catch {
                    guard error.code == .corrupted || error.code == .formatTooNew else {
                        throw error
                    }
                    add("a multipart upload is damaged: \(error.message)", &report)
                }
            }
        }
        let contentsCount = try await count(Tables.multipartContents)
        if contentsCount != uploadCount {
            add("\(contentsCount) multipart uploads have contents, of \(uploadCount)", &report)
        }
        let rowCount = try await count(Tables.parts)
        if rowCount != partCount {
            add("there are \(rowCount) parts, multipart uploads have \(partCount)", &report)
        }
        for try await rows in pages(of: Tables.lifecycleKeys) {
            for row in rows { try await checkDue(row, &report) }
        }
    }

    // MARK: -

    private struct Found {
        var count: UInt64 = 0
        var byteCount: UInt64 = 0
        /// Parts within the frontier that have digests.
        var digestCount = 0
    }

    // How many parts it has.
    private func check(
        _ row: IndexEntry, _ report: inout VerifyReport
    ) async throws(StoreError) -> UInt64 {
        let (_, upload) = try RowKey.multipartName(of: row.key)
        let multipart = try Engine.decodeMultipart(row.value)
        let id = bucket.bucketID
        let expiry = RowKey.multipartExpiry(multipart.expiresAt, id, upload)
        if try await index.get(Tables.multipartExpiry, expiry) == nil {
            add("a multipart upload would never end", &report)
        }
        let found = try await parts(of: upload, multipart)
        guard
            let sealed = try await index.get(Tables.multipartContents, RowKey.parts(id, upload.id))
        else {
            add("a multipart upload has no contents", &report)
            return found.count
        }
        switch multipart.state {
        case .open:
            _ = try await engine.openContents(sealed, of: upload, in: id) {
                (bytes) throws(CoreError) in
                try OpenMultipart(key: upload.key, decoding: bytes)
            }
            if found.count != multipart.partCount || found.byteCount != multipart.byteCount {
                add(
                    "a multipart upload counts \(multipart.partCount) parts of"
                        + " \(multipart.byteCount) bytes and has \(found.count) of"
                        + " \(found.byteCount)", &report)
            }
            if found.digestCount != multipart.frontier {
                add("a multipart upload lacks digests that it counts on", &report)
            }
        case .completed:
            _ = try await engine.openContents(sealed, of: upload, in: id) {
                (bytes) throws(CoreError) in
                try CompletedMultipart(key: upload.key, decoding: bytes)
            }
            if found.count != 0 { add("a completed multipart upload keeps parts", &report) }
        case .aborted: break
        }
        return found.count
    }

    private func parts(
        of upload: MultipartName, _ multipart: MultipartRow
    ) async throws(StoreError) -> Found {
        var found = Found()
        let pages = index.pages(
            of: Tables.parts, prefix: RowKey.parts(bucket.bucketID, upload.id))
        for try await rows in pages {
            let parts = try await engine.openParts(
                rows, of: upload.id, in: bucket.bucketID, keys)
            found.count += UInt64(parts.count)
            for part in parts {
                found.byteCount &+= part.row.byteCount
                if part.number <= multipart.frontier, part.contents.digests != nil {
                    found.digestCount += 1
                }
            }
        }
        return found
    }

    private func checkDue(
        _ row: IndexEntry, _ report: inout VerifyReport
    ) async throws(StoreError) {
        do throws(StoreError) {
            _ = try RowKey.time(of: row.value)
            if try await index.get(Tables.lifecycleDue, RowKey.lifecycleDue(of: row)) == nil {
                add("lifecycle rules would never look at a key", &report)
            }
        } catch {
            guard error.code == .corrupted else { throw error }
            add("what lifecycle rules know of a key is damaged", &report)
        }
    }

    // MARK: -

    private var engine: Engine { index.engine }

    private func pages(of table: IndexTable) -> RowPages {
        index.pages(of: table, prefix: bucket.bucketID.octets.bytes)
    }

    private func count(_ table: IndexTable) async throws(StoreError) -> UInt64 {
        var count: UInt64 = 0
        for try await rows in pages(of: table) { count += UInt64(rows.count) }
        return count
    }

    private func add(_ problem: String, _ report: inout VerifyReport) {
        report.add(problem, bucket: bucket.name)
    }
}
