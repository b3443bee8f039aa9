// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex

/// A part that is stored and only lacks its row.
struct PreparedPart: Sendable {
    /// What the digests in the part go on from.
    enum Base: Sendable {
        /// Nothing: it is the first.
        case start
        /// The part before it, while the frontier was never set back but so many times.
        case frontier(setBackCount: UInt64)
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
        try delete(Tables.multipartContents, RowKey.parts(bucket, upload.id))
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
        try part.ledger.apply(to: self, for: bucket)
        try add(.inFlightBytes, of: bucket, Int64(clamping: part.row.byteCount))
        try add(.inFlightBytes, of: bucket, -Int64(clamping: replaced?.byteCount ?? 0))
        if let root = replaced?.rootID { try changeReferences([root: -1]) }
        try put(Tables.parts, RowKey.part(bucket, upload.id, number), part.row.encoded())
        row.changeCount &+= 1
        // Of parts that are larger than any disk, the sum means nothing.
        row.byteCount = row.byteCount &- (replaced?.byteCount ?? 0) &+ part.row.byteCount
        if replaced == nil { row.partCount += 1 }
        if number <= row.frontier {
            row.frontier = number - 1
            row.setBackCount &+= 1
        }
        if row.frontier == number - 1, part.base.isMet(before: number, row) {
            row.frontier = number
        }
        row.partExpiresAt = max(row.partExpiresAt, expiry)
        row = row.expiring(by: try settings(of: bucket), upload.key)
        try putMultipart(row, inPlaceOf: old, upload, in: bucket)
    }

    /// Gives parts the digests that they lacked, and moves the frontier over them.
    ///
    /// - Parameters:
    ///   - parts: consecutive ones, from the frontier on.
    ///   - base: what the digests go on from.
    /// - Returns: false when the upload or its parts are not as they were.
    func advanceFrontier(
        over parts: [(number: PartNumber, row: PartRow)], from base: PreparedPart.Base,
        of upload: MultipartName, in bucket: BucketID
    ) throws(StoreError) -> Bool {
        guard let first = parts.first, let last = parts.last,
            var row = try multipart(upload, in: bucket), row.state == .open,
            row.frontier == first.number - 1, base.isMet(before: first.number, row)
        else { return false }
        for (number, part) in parts {
            guard try self.part(number, of: upload.id, in: bucket)?.revision == part.revision else {
                return false
            }
        }
        for (number, part) in parts {
            try put(Tables.parts, RowKey.part(bucket, upload.id, number), part.encoded())
        }
        row.frontier = last.number
        try put(
            Tables.multipartUploads, RowKey.multipartUpload(bucket, upload), row.encoded())
        return true
    }
}

extension PreparedPart.Base {
    /// Whether the digests of a part are those of all bytes up to its end.
    ///
    /// - Parameter row: of the upload, whose frontier is the part before this one.
    fileprivate func isMet(before number: PartNumber, _ row: MultipartRow) -> Bool {
        switch self {
        case .none: false
        case .start: number == 1
        case .frontier(let setBackCount): setBackCount == row.setBackCount
        }
    }
}
