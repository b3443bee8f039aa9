// Part of Cairn, a content-addressed blob store.
//
// multipart := version:u8 state:u8 startedAt:i64 expiresAt:i64 partExpiresAt:i64
//              changeCount:u64 setBackCount:u64 frontier:u16 partCount:u16 byteCount:u64
//              sequence:u64 token:u64
//   state: 1 open, 2 completed, 3 aborted; sequence and token name the version of the object that
//   a completed one has become, else they are zero
//
// contents (metadata record, data key, named by the upload) :=
//     of an open one:      kind:u8(1) domainSlot:u32 algorithm:u8 checksums:u8 object:prefixed
//                          references:prefixed
//     of a completed one:  kind:u8(2) etag[16] parts[16] object:prefixed
//   A row of its own, for it may be long and the other one changes with every part.
//   object: as in an object row; of an open upload only its attributes mean something
//   parts:  the tag of the list of parts that it was completed with
//
// part := version:u8 revision[16] byteCount:u64 modifiedAt:i64 rootID[32] sealed:prefixed
//   rootID: zero for a part too small for a segment
//   sealed (metadata record, data key, named by upload and number) :=
//     algorithm:u8 (digests checksums)? layout:u8 level:u8 storedByteCount:u32 hash[32]
//     bytes:prefixed
//   digests and checksums: of all bytes up to the end of the part; they count while the number of
//            the part is not beyond the frontier of its upload. Algorithm 0: there are none
//   layout:  0 for a part whose bytes are here; then level, storedByteCount and hash are zero

internal import CairnCore

/// A multipart upload, from its beginning until its outcome is forgotten.
struct MultipartRow: Sendable {
    /// On disk: never renumber.
    enum State: UInt8, Sendable {
        case open = 1
        /// Kept for a while, so that who completes it again gets the same answer.
        case completed = 2
        /// Its parts are still to be deleted.
        case aborted = 3
    }

    var state = State.open
    var startedAt: Timestamp
    /// When it is given up: then, or when a lifecycle rule wants it.
    var expiresAt: Timestamp
    /// When it is given up if it gets no other part.
    var partExpiresAt: Timestamp
    /// Grows with every part and every state: who completes the upload can tell that it is as it
    /// was.
    var changeCount: UInt64 = 0
    /// Grows when the frontier is set back: who goes on from it can tell that the bytes before it
    /// are those that they were.
    var setBackCount: UInt64 = 0
    /// The parts 1, 2, 3 and so on up to this one have digests of all bytes before their end.
    var frontier: UInt16 = 0
    var partCount: UInt16 = 0
    var byteCount: UInt64 = 0
    /// Of a completed one.
    var version = ObjectVersionID.null

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.append(rowVersion)
        writer.append(state.rawValue)
        writer.append(startedAt.nanosecondsSinceEpoch)
        writer.append(expiresAt.nanosecondsSinceEpoch)
        writer.append(partExpiresAt.nanosecondsSinceEpoch)
        writer.append(changeCount)
        writer.append(setBackCount)
        writer.append(frontier)
        writer.append(partCount)
        writer.append(byteCount)
        writer.append(version.sequence)
        writer.append(version.token)
        return writer.bytes
    }

    init(startedAt: Timestamp, expiresAt: Timestamp) {
        self.startedAt = startedAt
        self.expiresAt = expiresAt
        partExpiresAt = expiresAt
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        guard let state = State(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a multipart upload has an unknown state")
        }
        self.state = state
        startedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        expiresAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        partExpiresAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        changeCount = try reader.readUInt64()
        setBackCount = try reader.readUInt64()
        frontier = try reader.readUInt16()
        partCount = try reader.readUInt16()
        byteCount = try reader.readUInt64()
        let sequence = try reader.readUInt64()
        version = ObjectVersionID(sequence: sequence, token: try reader.readUInt64())
        // The null version is named by its token alone.
        guard version.sequence == sequence else {
            throw CoreError(.corrupted, "a multipart upload names an impossible version")
        }
        try reader.expectEnd()
        guard max(frontier, partCount) <= MultipartUpload.partCountMax else {
            throw CoreError(.corrupted, "a multipart upload has too many parts")
        }
    }
}

/// What an open multipart upload seals.
struct OpenMultipart: Sendable {
    /// Where all its parts lie: they become one tree.
    var domainSlot: UInt32
    /// What the digest of the object will be of.
    var algorithm: Digest.Algorithm
    var checksums: Set<ChecksumAlgorithm>
    var attributes: ObjectAttributes
    var references: [Digest]

    /// Of no bytes.
    var digests: StreamDigests { StreamDigests(algorithm, checksums: checksums) }

    func encoded(key: String) -> [UInt8] {
        let object = ObjectDescription(
            key: key, etag: ETag(""), digest: Self.noDigest, byteCount: 0,
            modifiedAt: Timestamp(nanosecondsSinceEpoch: 0), referenceCount: references.count,
            attributes: attributes)
        var writer = ByteWriter(capacity: 512)
        writer.append(MultipartRow.State.open.rawValue)
        writer.append(domainSlot)
        writer.append(algorithm.rawValue)
        writer.append(ChecksumAlgorithm.flags(of: checksums))
        writer.appendLengthPrefixed(object.encoded(etag: Octets16()))
        writer.appendLengthPrefixed(ObjectReferencesRow.encode(references))
        return writer.bytes
    }

    init(
        domainSlot: UInt32, algorithm: Digest.Algorithm, checksums: Set<ChecksumAlgorithm>,
        attributes: ObjectAttributes, references: [Digest]
    ) {
        self.domainSlot = domainSlot
        self.algorithm = algorithm
        self.checksums = checksums
        self.attributes = attributes
        self.references = references
    }

    /// Whether contents are those of an upload that is still open.
    static func isOpen(_ bytes: [UInt8]) -> Bool {
        bytes.first == MultipartRow.State.open.rawValue
    }

    init(key: String, decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        _ = try reader.readUInt8()
        domainSlot = try reader.readUInt32()
        guard let algorithm = Digest.Algorithm(rawValue: try reader.readUInt8()) else {
            throw CoreError(.corrupted, "a multipart upload has an unknown digest algorithm")
        }
        self.algorithm = algorithm
        checksums = try ChecksumAlgorithm.set(flags: reader.readUInt8())
        let object = try ObjectDescription(
            key: key,
            decoding: [UInt8](copying: reader.readLengthPrefixed(limit: Int(UInt32.max))),
            etag: Octets16())
        attributes = object.attributes
        references = try ObjectReferencesRow.decodeDigests(
            [UInt8](copying: reader.readLengthPrefixed(limit: Int(UInt32.max))),
            count: object.referenceCount)
        try reader.expectEnd()
        guard encoded(key: key) == bytes else {
            throw CoreError(.corrupted, "a multipart upload describes an object that is not there")
        }
    }

    // An object is not there yet.
    private static let noDigest = SHA256().digest
}

/// What a completed multipart upload seals.
struct CompletedMultipart: Sendable {
    var object: ObjectDescription
    var etag: Octets16
    /// The tag of the list of parts.
    var parts: Octets16

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 512)
        writer.append(MultipartRow.State.completed.rawValue)
        writer.append(etag)
        writer.append(parts)
        writer.appendLengthPrefixed(object.encoded(etag: etag))
        return writer.bytes
    }

    init(object: ObjectDescription, etag: Octets16, parts: Octets16) {
        self.object = object
        self.etag = etag
        self.parts = parts
    }

    init(key: String, decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        guard try reader.readUInt8() == MultipartRow.State.completed.rawValue else {
            throw CoreError(.corrupted, "a completed multipart upload has other contents")
        }
        etag = try reader.readOctets16()
        parts = try reader.readOctets16()
        object = try ObjectDescription(
            key: key,
            decoding: [UInt8](copying: reader.readLengthPrefixed(limit: Int(UInt32.max))),
            etag: etag)
        try reader.expectEnd()
    }
}

/// What the index says of a part without any key of the bucket.
struct PartRow: Sendable {
    /// Random: tells one part from another of the same number, and is its tag.
    var revision: Octets16
    var byteCount: UInt64
    var modifiedAt: Timestamp
    /// The root of the tree, counted once by the part; nil when the bytes are in what is sealed.
    var rootID: ChunkID?
    var sealed: [UInt8]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 96 + sealed.count)
        writer.append(rowVersion)
        writer.append(revision)
        writer.append(byteCount)
        writer.append(modifiedAt.nanosecondsSinceEpoch)
        writer.append(rootID?.octets ?? Octets32())
        writer.appendLengthPrefixed(sealed)
        return writer.bytes
    }

    init(
        revision: Octets16, byteCount: UInt64, modifiedAt: Timestamp, rootID: ChunkID?,
        sealed: [UInt8]
    ) {
        self.revision = revision
        self.byteCount = byteCount
        self.modifiedAt = modifiedAt
        self.rootID = rootID
        self.sealed = sealed
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        revision = try reader.readOctets16()
        byteCount = try reader.readUInt64()
        modifiedAt = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        let root = try reader.readOctets32()
        rootID = root == Octets32() ? nil : ChunkID(root)
        sealed = [UInt8](copying: try reader.readLengthPrefixed(limit: Int(UInt32.max)))
        try reader.expectEnd()
    }
}

/// What a part seals.
struct PartContents: Sendable {
    enum Body: Sendable {
        case bytes([UInt8])
        case tree(BlobLayout, TreeEntry)
    }

    /// Of all bytes of the object up to the end of the part.
    var digests: StreamDigests?
    var body: Body

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 512)
        writer.append(digests?.algorithm.rawValue ?? 0)
        if let digests {
            digests.write(digestsTo: &writer)
            digests.write(checksumsTo: &writer)
        }
        switch body {
        case .bytes(let bytes):
            writer.appendZeros(1 + 1 + 4 + Octets32.byteCount)
            writer.appendLengthPrefixed(bytes)
        case .tree(let layout, let root):
            writer.append(layout.rawValue)
            writer.append(root.level)
            writer.append(root.storedByteCount)
            writer.append(root.hash.octets)
            writer.appendLengthPrefixed([UInt8]())
        }
        return writer.bytes
    }

    init(digests: StreamDigests?, body: Body) {
        self.digests = digests
        self.body = body
    }

    /// - Parameter byteCount: what the row says that the part has.
    init(decoding bytes: [UInt8], byteCount: UInt64) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        let number = try reader.readUInt8()
        if number != 0 {
            guard let algorithm = Digest.Algorithm(rawValue: number) else {
                throw CoreError(.corrupted, "a part has digests of an unknown kind")
            }
            digests = try StreamDigests(algorithm, reading: &reader).reading(checksums: &reader)
        }
        let layoutNumber = try reader.readUInt8()
        let level = try reader.readUInt8()
        let storedByteCount = try reader.readUInt32()
        let hash = ChunkHash(try reader.readOctets32())
        let own = try reader.readLengthPrefixed(limit: Engine.smallBlobByteCountMax)
        body = .bytes([UInt8](copying: own))
        try reader.expectEnd()
        guard layoutNumber != 0 else {
            guard UInt64(own.count) == byteCount, level == 0, storedByteCount == 0,
                hash.octets == Octets32()
            else { throw CoreError(.corrupted, "a part is not what its row says") }
            return
        }
        guard own.count == 0 else {
            throw CoreError(.corrupted, "a part has both a tree and bytes")
        }
        guard let layout = BlobLayout(rawValue: layoutNumber), level <= RecipeNode.levelMax else {
            throw CoreError(.corrupted, "a part has an unknown layout or level")
        }
        body = .tree(
            layout,
            TreeEntry(
                hash: hash, storedByteCount: storedByteCount, byteCount: byteCount, level: level))
    }
}
