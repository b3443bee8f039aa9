// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

// Keys of index rows. Integers in keys are big-endian, so that byte order is numeric order.

/// The id of a bucket: random, never reused, independent of its name.
struct BucketID: Hashable, Sendable {
    let octets: Octets16
    var text: String { UUIDText.format(octets) }
}

/// The id of an account: random, never reused, independent of its name.
struct AccountID: Hashable, Sendable {
    let octets: Octets16
    var text: String { UUIDText.format(octets) }
}

/// The keyed name of a digest inside one bucket: HMAC under the bucket's index secret.
///
/// A copy of the index shows which links there are, not whose digests they are.
struct LinkName: Hashable, Sendable {
    let octets: Octets32
}

enum RowKey {
    static func bucketName(_ account: AccountID, _ name: String) -> [UInt8] {
        account.octets.bytes + Array(name.utf8)
    }

    static func link(_ bucket: BucketID, _ name: LinkName) -> [UInt8] {
        bucket.octets.bytes + name.octets.bytes
    }

    static func object(_ bucket: BucketID, _ key: String) -> [UInt8] {
        bucket.octets.bytes + Array(key.utf8)
    }

    /// An older version of an object; of each key the newest comes first. No key has a zero byte.
    static func objectVersion(
        _ bucket: BucketID, _ key: String, sequence: UInt64, token: UInt64
    ) -> [UInt8] {
        objectVersions(bucket, key) + bigEndian(~sequence) + bigEndian(token)
    }

    /// What the keys of all older versions of an object begin with.
    static func objectVersions(_ bucket: BucketID, _ key: String) -> [UInt8] {
        object(bucket, key) + [0]
    }

    /// What belongs to one version of an object wherever its row is.
    static func objectPart(_ bucket: BucketID, _ key: String, token: UInt64) -> [UInt8] {
        bucket.octets.bytes + versionName(key, token: token)
    }

    static func objectLock(
        _ bucket: BucketID, _ end: Timestamp, _ key: String, token: UInt64
    ) -> [UInt8] {
        bucket.octets.bytes + time(end) + versionName(key, token: token)
    }

    /// The first key of a lock that has not ended.
    static func objectLocks(_ bucket: BucketID, endingAfter moment: Timestamp) -> [UInt8] {
        bucket.octets.bytes + time(moment + .nanoseconds(1))
    }

    static func reference(
        _ bucket: BucketID, _ name: LinkName, _ key: String, token: UInt64 = 0
    ) -> [UInt8] {
        bucket.octets.bytes + name.octets.bytes + versionName(key, token: token)
    }

    /// Names a version of an object as long as it exists: the null version by the key alone.
    static func versionName(_ key: String, token: UInt64) -> [UInt8] {
        Array(key.utf8) + (token == 0 ? [] : [0] + bigEndian(token))
    }

    /// The key of an object in the name of one of its versions.
    static func objectKey(ofVersionName name: some Collection<UInt8>) -> String {
        String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    }

    static func upload(_ bucket: BucketID, _ id: UploadID) -> [UInt8] {
        bucket.octets.bytes + id.octets.bytes
    }

    static func uploadExpiry(_ at: Timestamp, _ bucket: BucketID, _ id: UploadID) -> [UInt8] {
        time(at) + upload(bucket, id)
    }

    /// All multipart uploads of one object key, in no order.
    static func multipartUploads(_ bucket: BucketID, _ key: String) -> [UInt8] {
        object(bucket, key) + [0]
    }

    static func multipartUpload(_ bucket: BucketID, _ upload: MultipartName) -> [UInt8] {
        multipartUploads(bucket, upload.key) + upload.id.octets.bytes
    }

    static func multipartExpiry(
        _ at: Timestamp, _ bucket: BucketID, _ upload: MultipartName
    ) -> [UInt8] {
        time(at) + multipartUpload(bucket, upload)
    }

    /// What the keys of all parts of an upload begin with.
    static func parts(_ bucket: BucketID, _ id: MultipartUploadID) -> [UInt8] {
        bucket.octets.bytes + id.octets.bytes
    }

    static func part(
        _ bucket: BucketID, _ id: MultipartUploadID, _ number: PartNumber
    ) -> [UInt8] {
        parts(bucket, id) + [UInt8(number >> 8), UInt8(number & 0xFF)]
    }

    static func blobLease(
        _ end: Timestamp, _ bucket: BucketID, _ name: LinkName
    ) -> [UInt8] {
        time(end) + link(bucket, name)
    }

    /// Times before 1970 do not occur; a negative one sorts first and is due at once.
    static func time(_ moment: Timestamp) -> [UInt8] {
        bigEndian(UInt64(max(0, moment.nanosecondsSinceEpoch)))
    }

    static func lifecycleDue(_ due: Timestamp, _ bucket: BucketID, _ key: String) -> [UInt8] {
        time(due) + object(bucket, key)
    }

    /// The same, of the row that says when rules may be due for a key.
    static func lifecycleDue(of row: IndexEntry) -> [UInt8] {
        Array(row.value.prefix(8)) + row.key
    }

    static func event(_ bucket: BucketID, _ number: UInt64) -> [UInt8] {
        bucket.octets.bytes + bigEndian(number)
    }

    static func sharer(_ root: ChunkID, _ bucket: BucketID) -> [UInt8] {
        root.octets.bytes + bucket.octets.bytes
    }

    static func meteredDay(_ account: Octets16, _ bucket: BucketID, _ day: UInt32) -> [UInt8] {
        account.bytes + bucket.octets.bytes + bigEndian(day)
    }

    static func removedBucket(
        _ day: UInt32, _ account: Octets16, _ bucket: BucketID
    ) -> [UInt8] {
        bigEndian(day) + account.bytes + bucket.octets.bytes
    }

    static func segment(_ number: SegmentNumber) -> [UInt8] {
        bigEndian(number.rawValue)
    }

    static func keySlot(_ slot: UInt32) -> [UInt8] {
        bigEndian(slot)
    }

    static func bigEndian(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }  // one byte each
    }

    static func bigEndian(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }  // one byte each
    }
}

extension RowKey {
    /// What ``bigEndian(_:)-(UInt32)`` wrote; nil for bytes of another length.
    static func number(_ bytes: [UInt8]) -> UInt32? {
        guard bytes.count == 4 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// What ``bigEndian(_:)-(UInt64)`` wrote; nil for bytes of another length.
    static func number64(_ bytes: some Collection<UInt8>) -> UInt64? {
        guard bytes.count == 8 else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

// Parts of keys that come back from the index: damaged ones are errors, never traps.
extension RowKey {
    /// The bucket whose row, or the first of whose rows, has this key.
    static func bucketID(of key: [UInt8]) throws(StoreError) -> BucketID {
        BucketID(
            octets: try part(of: key) { (reader) throws(CoreError) in
                try reader.readOctets16()
            })
    }

    /// The bucket that a row belongs to whose key goes on behind it.
    static func bucketID(prefixing key: [UInt8]) throws(StoreError) -> BucketID {
        try bucketID(of: Array(key.prefix(Octets16.byteCount)))
    }

    static func linkName(of key: [UInt8]) throws(StoreError) -> LinkName {
        LinkName(
            octets: try part(of: key) { (reader) throws(CoreError) in
                _ = try reader.readOctets16()
                return try reader.readOctets32()
            })
    }

    /// The end of a lease, and the key of the link that has it.
    static func leaseAndLink(
        of key: [UInt8]
    ) throws(StoreError) -> (end: Timestamp, link: [UInt8]) {
        guard key.count == 8 + Octets16.byteCount + Octets32.byteCount,
            let end = number64(key[..<8])
        else { throw StoreError(.corrupted, "the key of a lease has \(key.count) bytes") }
        return (
            Timestamp(nanosecondsSinceEpoch: Int64(clamping: end)), Array(key.dropFirst(8))
        )
    }

    static func sequence(ofNullVersion note: [UInt8]) throws(StoreError) -> UInt64 {
        guard let sequence = number64(note) else {
            throw StoreError(.corrupted, "the note of a null version has \(note.count) bytes")
        }
        return sequence
    }

    static func uploadID(of key: [UInt8]) throws(StoreError) -> UploadID {
        UploadID(
            octets: try part(of: key) { (reader) throws(CoreError) in
                _ = try reader.readOctets16()
                return try reader.readOctets16()
            })
    }

    /// The bucket and the upload that the key of a multipart upload names.
    static func multipartName(
        of key: [UInt8]
    ) throws(StoreError) -> (bucket: BucketID, upload: MultipartName) {
        let objectKey = key.dropFirst(Octets16.byteCount).prefix { $0 != 0 }
        let end = Octets16.byteCount + objectKey.count + 1
        guard !objectKey.isEmpty, key.count == end + Octets16.byteCount else {
            throw StoreError(.corrupted, "the key of a multipart upload has \(key.count) bytes")
        }
        let id = MultipartUploadID(octets: Octets16(key.span.extracting(end...)))
        let name = MultipartName(key: String(decoding: objectKey, as: UTF8.self), id: id)
        return (try bucketID(prefixing: key), name)
    }

    /// The time that a row or a key begins with.
    static func time(of bytes: [UInt8]) throws(StoreError) -> Timestamp {
        guard let nanoseconds = number64(bytes.prefix(8)) else {
            throw StoreError(.corrupted, "a row of \(bytes.count) bytes has no time")
        }
        return Timestamp(nanosecondsSinceEpoch: Int64(clamping: nanoseconds))
    }

    /// The bucket and the object key that a row of what is due names.
    static func dueKey(of key: [UInt8]) throws(StoreError) -> (BucketID, String) {
        let rest = Array(key.dropFirst(8))
        guard rest.count >= Octets16.byteCount else {
            throw StoreError(.corrupted, "the key of what is due has \(key.count) bytes")
        }
        let name = String(decoding: rest.dropFirst(Octets16.byteCount), as: UTF8.self)
        return (try bucketID(prefixing: rest), name)
    }

    static func eventNumber(of key: [UInt8]) throws(StoreError) -> UInt64 {
        guard let number = number64(key.dropFirst(Octets16.byteCount)) else {
            throw StoreError(.corrupted, "the key of an event has \(key.count) bytes")
        }
        return number
    }

    /// The day that the key of a metered day, or of traffic, ends with; nil for no such key.
    static func day(ofMetered key: [UInt8]) -> UInt32? { number(Array(key.suffix(4))) }

    static func partNumber(of key: [UInt8]) throws(StoreError) -> PartNumber {
        guard key.count == 2 * Octets16.byteCount + 2 else {
            throw StoreError(.corrupted, "the key of a part has \(key.count) bytes")
        }
        return PartNumber(key[key.count - 2]) << 8 | PartNumber(key[key.count - 1])
    }

    static func chunkID(of key: [UInt8]) throws(StoreError) -> ChunkID {
        ChunkID(try part(of: key) { (reader) throws(CoreError) in try reader.readOctets32() })
    }

    private static func part<Part>(
        of key: [UInt8], _ read: (inout ByteReader) throws(CoreError) -> Part
    ) throws(StoreError) -> Part {
        try lower(
            "reading the key of a row",
            core: { () throws(CoreError) in
                var reader = ByteReader(key.span)
                let part = try read(&reader)
                try reader.expectEnd()
                return part
            })
    }
}
