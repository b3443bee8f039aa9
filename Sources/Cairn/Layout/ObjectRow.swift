// Part of Cairn, a content-addressed blob store.
//
// object := version:u8 nameCount:u32 linkName[32]*nameCount sealed:prefixed
//   The first name is the body's; the others are those of the referenced blobs, each once.
//   sealed (metadata record, data key, bound to bucket and object key) :=
//     etag:prefixed algorithm:u8 digest:prefixed byteCount:u64 contentType:prefixed
//     modifiedAt:i64 referenceCount:u32 (algorithm:u8 digest:prefixed)*
//     metadataCount:u16 (name:prefixed value:prefixed)*

internal import CairnCore

struct ObjectRow: Sendable {
    /// The names of the links that the object keeps alive: its body first.
    var linkNames: [LinkName]
    var sealed: [UInt8]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + 32 * linkNames.count + sealed.count)
        writer.append(rowVersion)
        writer.append(UInt32(linkNames.count))
        for name in linkNames { writer.append(name.octets) }
        writer.appendLengthPrefixed(sealed)
        return writer.bytes
    }

    init(linkNames: [LinkName], sealed: [UInt8]) {
        self.linkNames = linkNames
        self.sealed = sealed
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        let count = try reader.readUInt32()
        guard count >= 1, count <= ObjectDescription.referenceCountMax + 1 else {
            throw CoreError(.corrupted, "an object names \(count) blobs")
        }
        linkNames = []
        for _ in 0..<count { linkNames.append(LinkName(octets: try reader.readOctets32())) }
        sealed = [UInt8](copying: try reader.readLengthPrefixed(limit: Int(UInt32.max)))
        try reader.expectEnd()
    }
}

extension ObjectDescription {
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 256 + 80 * references.count)
        writer.appendLengthPrefixed(etag.text)
        writer.append(digest)
        writer.append(byteCount)
        writer.appendLengthPrefixed(contentType)
        writer.append(modifiedAt.nanosecondsSinceEpoch)
        writer.append(UInt32(references.count))
        for reference in references { writer.append(reference) }
        writer.append(UInt16(metadata.count))
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
            writer.appendLengthPrefixed(name)
            writer.appendLengthPrefixed(value)
        }
        return writer.bytes
    }

    init(key: String, decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        let etag = ETag(try reader.readString(limit: 256))
        let digest = try Digest(reading: &reader)
        let byteCount = try reader.readUInt64()
        let contentType = try reader.readString(limit: Self.contentTypeByteCountMax)
        let modifiedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        var references: [Digest] = []
        for _ in 0..<(try reader.readUInt32()) { references.append(try Digest(reading: &reader)) }
        var metadata: [String: String] = [:]
        for _ in 0..<(try reader.readUInt16()) {
            let name = try reader.readString(limit: Self.metadataByteCountMax)
            metadata[name] = try reader.readString(limit: Self.metadataByteCountMax)
        }
        try reader.expectEnd()
        self.init(
            key: key, etag: etag, digest: digest, byteCount: byteCount, contentType: contentType,
            references: references, metadata: metadata, modifiedAt: modifiedAt)
    }
}

extension ByteWriter {
    mutating func append(_ digest: Digest) {
        append(digest.algorithm.rawValue)
        appendLengthPrefixed(digest.bytes)
    }
}

extension Digest {
    init(reading reader: inout ByteReader) throws(CoreError) {
        guard let algorithm = Algorithm(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a row has an unknown digest algorithm")
        }
        try self.init(algorithm: algorithm, bytes: reader.readLengthPrefixed(limit: 64))
    }
}
