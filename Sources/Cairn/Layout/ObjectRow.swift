// Part of Cairn, a content-addressed blob store.
//
// object := version:u8(2) flags:u8 lockedUntil:i64 sequence:u64 token:u64 etag[16] byteCount:u64
//           modifiedAt:i64 body[32] referenceCount:u32 sealed:prefixed
//   flags: bit 0 delete marker, which has zeros from etag on but for the time, and sealed empty;
//          bits 1 to 3 the flags of the lock, whose time lockedUntil is; others zero
//   body: the link name of the body; the references are in the table object-references.
//   sealed (metadata record, data key, bound to bucket, object key and token) :=
//     etag[16] algorithm:u8 digest:prefixed byteCount:u64 modifiedAt:i64 referenceCount:u32
//     contentType:prefixed headerCount:u8 (header:u8 value:prefixed)*
//     metadataCount:u16 text* tagCount:u16 text*
//     (lockFlags:u8 lockedUntil:i64 checksumCount:u8 (algorithm:u8 checksum:prefixed)*)?
//   absent at the end: neither a lock nor checksums
//   text := name:prefixed value:prefixed     in the byte order of the names
//
// references := version:u8(1) nameCount:u32 linkName[32]*nameCount sealed:prefixed
//   sealed (metadata record, data key, bound to bucket and object key) :=
//     (algorithm:u8 digest:prefixed)*nameCount

internal import CairnCore

/// What the index says of an object without any key of the bucket.
struct ObjectRow: Sendable {
    static let version: UInt8 = 2
    private static let markerFlag: UInt8 = 1
    private static let flagsMax: UInt8 = 0xF

    /// Says that the object was deleted; has no body.
    var isDeleteMarker = false
    /// Grows with the versions of a key. Set in the transaction that writes the row.
    var sequence: UInt64 = 0
    /// 0 for the null version; see ``ObjectVersionID``.
    var token: UInt64
    /// Nil in a row of version 1, which has it only in what is sealed.
    var etag: Octets16?
    var byteCount: UInt64
    var modifiedAt: Timestamp
    var bodyName: LinkName
    /// How many blobs the row of the table `object-references` names.
    var referenceCount: UInt32
    var lock = ObjectLock.none
    /// The references of a row of version 1, which holds them itself.
    var ownReferences: [LinkName] = []
    /// A row of version 1 as it was found: it moves, and is never written in another form.
    private var version1: [UInt8]?
    var sealed: [UInt8]

    func encoded() -> [UInt8] {
        if let version1 { return version1 }
        var writer = ByteWriter(capacity: 128 + sealed.count)
        writer.append(Self.version)
        writer.append((isDeleteMarker ? Self.markerFlag : 0) | lock.flags << 1)
        writer.append(lock.untilNanoseconds)
        writer.append(sequence)
        writer.append(token)
        writer.append(etag ?? Octets16())
        writer.append(byteCount)
        writer.append(modifiedAt.nanosecondsSinceEpoch)
        writer.append(bodyName.octets)
        writer.append(referenceCount)
        writer.appendLengthPrefixed(sealed)
        return writer.bytes
    }

    /// The name of the version.
    var versionID: ObjectVersionID { ObjectVersionID(sequence: sequence, token: token) }

    init(
        _ description: ObjectDescription, token: UInt64, etag: Octets16, bodyName: LinkName,
        sealed: [UInt8]
    ) {
        self.token = token
        self.etag = etag
        byteCount = description.byteCount
        modifiedAt = description.modifiedAt
        self.bodyName = bodyName
        referenceCount = UInt32(description.referenceCount)  // at most referenceCountMax
        lock = description.lock
        self.sealed = sealed
    }

    init(deleteMarker token: UInt64, at moment: Timestamp) {
        isDeleteMarker = true
        self.token = token
        etag = Octets16()
        byteCount = 0
        modifiedAt = moment
        bodyName = LinkName(octets: Octets32())
        referenceCount = 0
        sealed = []
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        guard bytes.first != rowVersion else {
            self = try Self(decodingVersion1: bytes)
            return
        }
        var reader = ByteReader(bytes.span)
        let version = try reader.readUInt8()
        guard version == Self.version else {
            throw CoreError(.unsupportedVersion, "an object row has version \(version)")
        }
        let flags = try reader.readUInt8()
        guard flags <= Self.flagsMax else {
            throw CoreError(.corrupted, "an object row has unknown flags")
        }
        isDeleteMarker = flags & Self.markerFlag != 0
        lock = try ObjectLock(flags: flags >> 1, untilNanoseconds: reader.readInt64())
        sequence = try reader.readUInt64()
        token = try reader.readUInt64()
        etag = try reader.readOctets16()
        byteCount = try reader.readUInt64()
        modifiedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        bodyName = LinkName(octets: try reader.readOctets32())
        referenceCount = try reader.readUInt32()
        guard referenceCount <= ObjectDescription.referenceCountMax else {
            throw CoreError(.corrupted, "an object refers to \(referenceCount) blobs")
        }
        sealed = [UInt8](copying: try reader.readLengthPrefixed(limit: Int(UInt32.max)))
        try reader.expectEnd()
        guard !isDeleteMarker || sealed.isEmpty && referenceCount == 0 && lock == .none else {
            throw CoreError(.corrupted, "a delete marker has contents")
        }
    }

    // object := version:u8(1) nameCount:u32 linkName[32]*nameCount sealed:prefixed
    private init(decodingVersion1 bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        version1 = bytes
        var names = try Self.readNames(&reader, countMin: 1)
        token = 0
        bodyName = names.removeFirst()
        ownReferences = names
        referenceCount = 0
        byteCount = 0
        modifiedAt = Timestamp(nanosecondsSinceEpoch: 0)
        sealed = [UInt8](copying: try reader.readLengthPrefixed(limit: Int(UInt32.max)))
        try reader.expectEnd()
    }

    fileprivate static func readNames(
        _ reader: inout ByteReader, countMin: UInt32
    ) throws(CoreError) -> [LinkName] {
        let count = try reader.readUInt32()
        guard (countMin...UInt32(ObjectDescription.referenceCountMax + 1)).contains(count) else {
            throw CoreError(.corrupted, "an object names \(count) blobs")
        }
        var names: [LinkName] = []
        for _ in 0..<count { names.append(LinkName(octets: try reader.readOctets32())) }
        return names
    }
}

/// The blobs that an object keeps alive beside its body. A row of its own, for it may be a hundred
/// times as long as all else that is said of an object, and listings do not need it.
struct ObjectReferencesRow: Sendable {
    var names: [LinkName]
    var sealed: [UInt8]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + 32 * names.count + sealed.count)
        writer.append(rowVersion)
        writer.append(UInt32(names.count))
        for name in names { writer.append(name.octets) }
        writer.appendLengthPrefixed(sealed)
        return writer.bytes
    }

    init(names: [LinkName], sealed: [UInt8]) {
        self.names = names
        self.sealed = sealed
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        names = try ObjectRow.readNames(&reader, countMin: 1)
        sealed = [UInt8](copying: try reader.readLengthPrefixed(limit: Int(UInt32.max)))
        try reader.expectEnd()
    }

    static func encode(_ digests: [Digest]) -> [UInt8] {
        var writer = ByteWriter(capacity: 40 * digests.count)
        for digest in digests { writer.append(digest) }
        return writer.bytes
    }

    static func decodeDigests(_ bytes: [UInt8], count: Int) throws(CoreError) -> [Digest] {
        var reader = ByteReader(bytes.span)
        let digests = try Digest.readMany(&reader, count: count)
        try reader.expectEnd()
        return digests
    }
}

// MARK: - What is sealed

extension ObjectDescription {
    /// - Parameter etag: zeros while the tag is being computed.
    func encoded(etag: Octets16) -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.append(etag)
        writer.append(digest)
        writer.append(byteCount)
        writer.append(modifiedAt.nanosecondsSinceEpoch)
        writer.append(UInt32(referenceCount))  // at most referenceCountMax
        writer.appendLengthPrefixed(attributes.contentType)
        let headers = ObjectAttributes.headers.filter { attributes[keyPath: $0.path] != nil }
        writer.append(UInt8(headers.count))
        for (number, path) in headers {
            writer.append(number)
            writer.appendLengthPrefixed(attributes[keyPath: path] ?? "")
        }
        writer.append(attributes.metadata)
        writer.append(attributes.tags)
        if attributes.lock != .none || !checksums.isEmpty {
            writer.append(attributes.lock.flags)
            writer.append(attributes.lock.untilNanoseconds)
            writer.append(UInt8(checksums.count))  // one for each algorithm
            for checksum in checksums {
                writer.append(checksum.algorithm.rawValue)
                writer.appendLengthPrefixed(checksum.bytes)
            }
        }
        return writer.bytes
    }

    init(key: String, decoding bytes: [UInt8], etag: Octets16) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        guard try reader.readOctets16() == etag else {
            throw CoreError(.corrupted, "an object contradicts its description")
        }
        let digest = try Digest(reading: &reader)
        let byteCount = try reader.readUInt64()
        let modifiedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let referenceCount = try Int(reader.readUInt32())
        var attributes = ObjectAttributes(
            contentType: try reader.readString(limit: ObjectAttributes.contentTypeByteCountMax))
        var last: UInt8 = 0
        for _ in 0..<(try reader.readUInt8()) {
            let number = try reader.readUInt8()
            guard number > last,
                let (_, path) = ObjectAttributes.headers.first(where: { $0.number == number })
            else { throw CoreError(.corrupted, "an object has an unknown header") }
            last = number
            attributes[keyPath: path] =
                try reader.readString(limit: ObjectAttributes.headerByteCountMax)
        }
        attributes.metadata = try reader.readTexts()
        attributes.tags = try reader.readTexts()
        var checksums: [Checksum] = []
        if reader.remainingByteCount > 0 {
            attributes.lock = try ObjectLock(
                flags: reader.readUInt8(), untilNanoseconds: reader.readInt64())
            checksums = try Checksum.readMany(&reader)
            guard attributes.lock != .none || !checksums.isEmpty else {
                throw CoreError(.corrupted, "an object has a lock that locks nothing")
            }
        }
        try reader.expectEnd()
        self.init(
            key: key, etag: ETag(etag), digest: digest, byteCount: byteCount,
            modifiedAt: modifiedAt, referenceCount: referenceCount, attributes: attributes,
            checksums: checksums)
    }

    // Version 1 := etag:prefixed algorithm:u8 digest:prefixed byteCount:u64 contentType:prefixed
    //   modifiedAt:i64 referenceCount:u32 (algorithm:u8 digest:prefixed)*
    //   metadataCount:u16 (name:prefixed value:prefixed)*
    static func decodeVersion1(
        _ bytes: [UInt8], key: String
    ) throws(CoreError) -> (ObjectDescription, references: [Digest]) {
        var reader = ByteReader(bytes.span)
        let etag = ETag(try reader.readString(limit: 256))
        let digest = try Digest(reading: &reader)
        let byteCount = try reader.readUInt64()
        let contentType = try reader.readString(limit: ObjectAttributes.contentTypeByteCountMax)
        let modifiedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let references = try Digest.readMany(&reader, count: Int(reader.readUInt32()))
        let metadata = try reader.readTexts()
        try reader.expectEnd()
        let object = ObjectDescription(
            key: key, etag: etag, digest: digest, byteCount: byteCount, modifiedAt: modifiedAt,
            referenceCount: references.count,
            attributes: ObjectAttributes(contentType: contentType, metadata: metadata))
        return (object, references)
    }
}

extension Checksum {
    fileprivate static func readMany(
        _ reader: inout ByteReader
    ) throws(CoreError) -> [Checksum] {
        var checksums: [Checksum] = []
        for _ in 0..<(try reader.readUInt8()) {
            let number = try reader.readUInt8()
            let bytes = [UInt8](copying: try reader.readLengthPrefixed(limit: 64))
            guard let algorithm = ChecksumAlgorithm(rawValue: number),
                let checksum = Checksum(algorithm, bytes),
                checksums.last.map({ $0.algorithm.rawValue < number }) ?? true
            else { throw CoreError(.corrupted, "an object has an impossible checksum") }
            checksums.append(checksum)
        }
        return checksums
    }
}

extension ByteWriter {
    mutating func append(_ digest: Digest) {
        append(digest.algorithm.rawValue)
        appendLengthPrefixed(digest.bytes)
    }

    /// In the order of the names, so that equal ones are the same bytes.
    mutating func append(_ texts: [String: String]) {
        append(UInt16(texts.count))  // bounded by the limits of metadata and tags
        for (name, value) in texts.sorted(by: { precedes($0.key, $1.key) }) {
            appendLengthPrefixed(name)
            appendLengthPrefixed(value)
        }
    }
}

extension ByteReader {
    @_lifetime(self: copy self)
    mutating func readTexts() throws(CoreError) -> [String: String] {
        var texts: [String: String] = [:]
        var last: String?
        for _ in 0..<(try readUInt16()) {
            let name = try readString(limit: ObjectAttributes.metadataByteCountMax)
            guard last.map({ precedes($0, name) }) ?? true, texts[name] == nil else {
                throw CoreError(.corrupted, "names are out of order")
            }
            texts[name] = try readString(limit: ObjectAttributes.metadataByteCountMax)
            last = name
        }
        return texts
    }
}

// By bytes: the order of strings is that of their characters, and may change with Unicode.
private func precedes(_ one: String, _ other: String) -> Bool {
    one.utf8.lexicographicallyPrecedes(other.utf8)
}

extension Digest {
    init(reading reader: inout ByteReader) throws(CoreError) {
        guard let algorithm = Algorithm(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a row has an unknown digest algorithm")
        }
        let bytes = try reader.readLengthPrefixed(limit: 64)
        do throws(CoreError) { try self.init(algorithm: algorithm, bytes: bytes) } catch {
            throw CoreError(.corrupted, "a row has a digest of \(bytes.count) bytes")
        }
    }

    fileprivate static func readMany(
        _ reader: inout ByteReader, count: Int
    ) throws(CoreError) -> [Digest] {
        var digests: [Digest] = []
        for _ in 0..<count { digests.append(try Digest(reading: &reader)) }
        return digests
    }
}
