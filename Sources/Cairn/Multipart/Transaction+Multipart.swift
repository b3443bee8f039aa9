// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// A part that is stored and only lacks its row.
struct PreparedPart: Sendable {
    /// What the digests in the part go on from.
    enum Base: Sendable {
        /// Nothing: it is the first.
        case start
        /// The part before it, as it was then.
        case after(Octets16)
        /// They are of other bytes, or there are none.
        case none
    }

    var row: PartRow
    var base: Base
    var ledger = ChunkLedger()
}

extension Transaction {
    func multipart(
        _ upload: MultipartName, in bucket: BucketID
    ) throws(StoreError) -> MultipartRow? {
        try row(Tables.multipartUploads, RowKey.multipartUpload(bucket, upload)) {
            (bytes) throws(CoreError) in
            try MultipartRow(decoding: bytes)
        }
    }

    func part(
        _ number: PartNumber, of id: MultipartUploadID, in bucket: BucketID
    ) throws(StoreError) -> PartRow? {
        try row(Tables.parts, RowKey.part(bucket, id, number)) { (bytes) throws(CoreError) in
            try PartRow(decoding: bytes)
        }
    }

    /// Writes the row of an upload, in place of an old one if there is one.
    func putMultipart(
        _ row: MultipartRow, inPlaceOf old: MultipartRow?, _ upload: MultipartName,
        in bucket: BucketID
    ) throws(StoreError) {
        if let old, old.expiresAt != row.expiresAt {
            try delete(
                Tables.multipartExpiry, RowKey.multipartExpiry(old.expiresAt, bucket, upload))
        }
        if old?.expiresAt != row.expiresAt {
            try put(
                Tables.multipartExpiry, RowKey.multipartExpiry(row.expiresAt, bucket, upload), [])
        }
        try put(
            Tables.multipartUploads, RowKey.multipartUpload(bucket, upload), row.encoded())
    }

    func deleteMultipart(
        _ row: MultipartRow, _ upload: MultipartName, in bucket: BucketID
    ) throws(StoreError) {
        try delete(Tables.multipartUploads, RowKey.multipartUpload(bucket, upload))
        try delete(Tables.multipartExpiry, RowKey.multipartExpiry(row.expiresAt, bucket, upload))
    }

    /// Keeps a part, in place of an old one of its number, and moves the frontier.
    ///
    /// - Parameter expiry: when an upload is given up that gets no other part.
    func putPart(
        _ part: PreparedPart, _ number: PartNumber, of upload: MultipartName, in bucket: BucketID,
        expiringAt expiry: Timestamp
    ) throws(StoreError) {
        try checkBucket(bucket)
        let old = try multipart(upload, in: bucket)
        guard let old, old.state == .open else { throw MultipartUpload.unknown }
        var row = old
        let replaced = try self.part(number, of: upload.id, in: bucket)
        try part.ledger.apply(to: self)
        if let root = replaced?.rootID { try changeReferences([root: -1]) }
        try put(Tables.parts, RowKey.part(bucket, upload.id, number), part.row.encoded())
        row.changeCount += 1
        row.byteCount += part.row.byteCount
        if let replaced {
            row.byteCount -= min(row.byteCount, replaced.byteCount)
        } else {
            row.partCount += 1
        }
        if number <= row.frontier { row.frontier = number - 1 }
        if row.frontier == number - 1, try isMet(part.base, before: number, of: upload.id, bucket) {
            row.frontier = number
        }
        row.expiresAt = max(row.expiresAt, expiry)
        try putMultipart(row, inPlaceOf: old, upload, in: bucket)
    }

    /// Gives a part the digests that it lacked.
    ///
    /// - Parameter found: the part as it was when they were computed.
    /// - Returns: false when the upload or its parts are not as they were.
    func advanceFrontier(
        to number: PartNumber, _ part: PreparedPart, inPlaceOf found: PartRow,
        of upload: MultipartName, in bucket: BucketID
    ) throws(StoreError) -> Bool {
        guard var row = try multipart(upload, in: bucket), row.state == .open,
            row.frontier == number - 1,
            try self.part(number, of: upload.id, in: bucket)?.revision == found.revision,
            try isMet(part.base, before: number, of: upload.id, bucket)
        else { return false }
        row.frontier = number
        try put(Tables.parts, RowKey.part(bucket, upload.id, number), part.row.encoded())
        try put(
            Tables.multipartUploads, RowKey.multipartUpload(bucket, upload), row.encoded())
        return true
    }

    // Of an upload whose frontier is the part before this one.
    private func isMet(
        _ base: PreparedPart.Base, before number: PartNumber, of id: MultipartUploadID,
        _ bucket: BucketID
    ) throws(StoreError) -> Bool {
        switch base {
        case .none: return false
        case .start: return number == 1
        case .after(let revision):
            guard number > 1 else { return false }
            return try part(number - 1, of: id, in: bucket)?.revision == revision
        }
    }
}
