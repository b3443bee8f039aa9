// Part of Cairn, a content-addressed blob store.

// record := magic:"CRN1" type:u8 suite:u8 codec:u8 flags:u8(0) keySlot:u32
//           plaintextByteCount:u32 payloadByteCount:u32 name[32] suiteField[12 or 64]
//           headerCRC32C:u32 payload[payloadByteCount] tag[16] payloadCRC32C:u32 zero[0...7]
// Numbers are little-endian. The header checksum covers all before it, the payload checksum the
// payload and the tag. Zeros fill the record up to a multiple of 8 bytes.
//
// suiteField: suite 0: zero[12]; suite 1: nonce[12]; suite 2: salt[32] commitment[32].
// payload: the encoded plaintext, which is the plaintext itself (codec 0) or its LZ4 block (codec
// 1). Suite 2 cuts it into frames of 64 KiB, all but the last one followed by a tag of their own.

/// What a record holds.
package enum RecordType: UInt8, Sendable, CaseIterable {
    // On disk: never renumber.
    case chunk = 1
    case recipe = 2
    case smallBlob = 3
    case wrappedKey = 4
    case metadata = 5
    case referenceList = 6
}

/// How a record is protected.
package enum RecordSuite: UInt8, Sendable, CaseIterable {
    // On disk: never renumber.

    /// In the clear, with a 128-bit checksum: damage is found, intent is not.
    case none = 0
    /// AES-256-GCM under a key of the record's own with a random nonce.
    case convergent = 1
    /// AES-256-GCM under a key derived per record by HKDF-SHA-512 from a random salt, and
    /// committed to: the record opens under no other key.
    case committed = 2

    /// The size of the suite's own field in the header, in bytes.
    package var fieldByteCount: Int {
        switch self {
        case .none, .convergent: 12
        case .committed: 64
        }
    }
}

/// How a record's plaintext is encoded before it is sealed.
package enum RecordCodec: UInt8, Sendable, CaseIterable {
    // On disk: never renumber.
    case raw = 0
    case lz4 = 1
}

/// What stands before a record's payload: enough to find, to check and to skip the record without
/// any key.
///
/// A plain value, safe to share between threads.
package struct RecordHeader: Hashable, Sendable {
    /// What the record holds.
    package let type: RecordType
    /// How the record is protected.
    package let suite: RecordSuite
    /// How the plaintext is encoded.
    package let codec: RecordCodec
    /// Which key of the scope seals the record: a domain's epoch or a bucket's key generation.
    package let keySlot: UInt32
    /// The size of the plaintext in bytes.
    package let plaintextByteCount: Int
    /// The size of the payload in bytes: the encoded plaintext and the tags of all frames but
    /// the last.
    package let payloadByteCount: Int
    /// The chunk's name, or zeros.
    package let name: Octets32

    /// The limit of a record's plaintext in bytes.
    ///
    /// It bounds the memory of whoever opens a record by four of the largest (opaque) chunks.
    package static let plaintextByteCountMax = 4 << 20

    /// How many bytes tell a header's size, see ``byteCount(ofPrefix:)``.
    package static let prefixByteCount = 20

    /// The size of the largest header in bytes.
    package static let byteCountMax = byteCount(suite: .committed)

    /// Records begin at multiples of this, in bytes.
    package static let alignment = 8

    // Offsets of the fields.
    static let magic: UInt32 = 0x314e_5243  // "CRN1"
    static let typeOffset = 4
    static let suiteOffset = 5
    static let codecOffset = 6
    static let flagsOffset = 7
    static let keySlotOffset = 8
    static let plaintextByteCountOffset = 12
    static let payloadByteCountOffset = 16
    static let nameOffset = 20
    static let suiteFieldOffset = 52

    /// Describes a record that is to be written; the counts are the caller's duty.
    init(
        type: RecordType, suite: RecordSuite, codec: RecordCodec, keySlot: UInt32,
        plaintextByteCount: Int, payloadByteCount: Int, name: Octets32
    ) {
        self.type = type
        self.suite = suite
        self.codec = codec
        self.keySlot = keySlot
        self.plaintextByteCount = plaintextByteCount
        self.payloadByteCount = payloadByteCount
        self.name = name
    }

    /// Reads and checks the header at the beginning of `bytes`, which may go on behind it.
    ///
    /// - Throws: ``CoreError`` with code `corrupted` when there is no whole, intact header;
    ///   `unsupportedVersion` when it is intact and holds a value this version does not know.
    package init(parsing bytes: Span<UInt8>) throws(CoreError) {
        let byteCount = try Self.byteCount(ofPrefix: bytes)
        guard bytes.count >= byteCount else {
            throw CoreError(.corrupted, "a record's header ends after \(bytes.count) bytes")
        }
        let checksum = CRC32C.checksum(bytes.extracting(0..<byteCount - 4))
        guard bytes.littleEndian(UInt32.self, at: byteCount - 4) == checksum else {
            throw CoreError(.corrupted, "a record's header does not match its checksum")
        }
        guard let type = RecordType(rawValue: bytes[Self.typeOffset]),
            let suite = RecordSuite(rawValue: bytes[Self.suiteOffset]),
            let codec = RecordCodec(rawValue: bytes[Self.codecOffset]),
            bytes[Self.flagsOffset] == 0
        else {
            throw CoreError(.unsupportedVersion, "a record's header has a value of a later version")
        }
        self.init(
            type: type, suite: suite, codec: codec,
            keySlot: bytes.littleEndian(UInt32.self, at: Self.keySlotOffset),
            plaintextByteCount: Int(
                bytes.littleEndian(UInt32.self, at: Self.plaintextByteCountOffset)),
            payloadByteCount: Int(
                bytes.littleEndian(UInt32.self, at: Self.payloadByteCountOffset)),
            name: Octets32(bytes.extracting(Self.nameOffset..<Self.suiteFieldOffset)))
        try checkCounts(bytes)
    }

    /// The size of the header that begins with `prefix`, in bytes.
    ///
    /// - Parameter prefix: At least ``prefixByteCount`` bytes.
    /// - Throws: ``CoreError`` with code `corrupted` when no header begins there.
    package static func byteCount(ofPrefix prefix: Span<UInt8>) throws(CoreError) -> Int {
        guard prefix.count >= prefixByteCount,
            prefix.littleEndian(UInt32.self, at: 0) == magic,
            let suite = RecordSuite(rawValue: prefix[suiteOffset])
        else { throw CoreError(.corrupted, "no record begins here") }
        return byteCount(suite: suite)
    }

    /// The size of the header with its checksum, in bytes.
    package var byteCount: Int { Self.byteCount(suite: suite) }

    /// The size of the whole record in bytes, with its filling: a multiple of 8.
    package var recordByteCount: Int {
        Self.recordByteCount(suite: suite, payloadByteCount: payloadByteCount)
    }

    /// The size of a whole record in bytes, with its filling: a multiple of 8.
    package static func recordByteCount(suite: RecordSuite, payloadByteCount: Int) -> Int {
        let end =
            byteCount(suite: suite) + payloadByteCount + AES256GCM.tagByteCount + checksumByteCount
        return (end + alignment - 1) / alignment * alignment
    }

    /// The length of a whole record that is not compressed.
    package static func recordByteCount(suite: RecordSuite, plaintextByteCount: Int) -> Int {
        let frames = RecordFrames(suite: suite, encodedByteCount: plaintextByteCount)
        return recordByteCount(suite: suite, payloadByteCount: frames.payloadByteCount)
    }

    static let checksumByteCount = 4

    static func byteCount(suite: RecordSuite) -> Int {
        suiteFieldOffset + suite.fieldByteCount + checksumByteCount
    }

    // MARK: -

    /// Checks that the counts and the suite's field are those that a sealer writes.
    private func checkCounts(_ bytes: Span<UInt8>) throws(CoreError) {
        guard plaintextByteCount <= Self.plaintextByteCountMax else {
            throw CoreError(.corrupted, "a record claims \(plaintextByteCount) bytes of plaintext")
        }
        let frames = try RecordFrames(suite: suite, payloadByteCount: payloadByteCount)
        let isPlausible =
            switch codec {
            case .raw: frames.encodedByteCount == plaintextByteCount
            case .lz4: (1..<max(1, plaintextByteCount)).contains(frames.encodedByteCount)
            }
        guard isPlausible else {
            throw CoreError(.corrupted, "a record's counts contradict each other")
        }
        guard suite == .none else { return }
        for offset in Self.suiteFieldOffset..<byteCount - Self.checksumByteCount
        where bytes[offset] != 0 {
            throw CoreError(.corrupted, "a reserved byte of a record is not zero")
        }
    }
}

/// How a record's encoded plaintext is cut into frames, each sealed by itself.
///
/// Suites 0 and 1 have one frame. Suite 2 has frames of 64 KiB, so that a long recipe can be opened
/// piece by piece; only the last one may be shorter, and only the only one may be empty.
struct RecordFrames {
    static let byteCountMax = 64 << 10

    let count: Int
    let encodedByteCount: Int
    private let frameByteCount: Int

    init(suite: RecordSuite, encodedByteCount: Int) {
        frameByteCount = suite == .committed ? Self.byteCountMax : Int.max
        self.encodedByteCount = encodedByteCount
        count = max(1, (encodedByteCount - 1) / frameByteCount + 1)
    }

    init(suite: RecordSuite, payloadByteCount: Int) throws(CoreError) {
        guard suite == .committed else {
            self.init(suite: suite, encodedByteCount: payloadByteCount)
            return
        }
        let sealed = Self.byteCountMax + AES256GCM.tagByteCount
        let whole = max(0, payloadByteCount - 1) / sealed
        self.init(
            suite: suite, encodedByteCount: payloadByteCount - whole * AES256GCM.tagByteCount)
        // A count between a full frame and a full frame with its tag comes from no cut.
        guard self.payloadByteCount == payloadByteCount else {
            throw CoreError(.corrupted, "a record's payload does not consist of frames")
        }
    }

    /// The frames with the tags between them, in bytes.
    var payloadByteCount: Int { encodedByteCount + (count - 1) * AES256GCM.tagByteCount }

    /// Where a frame is in the encoded plaintext.
    func encodedRange(_ index: Int) -> Range<Int> {
        guard count > 1 else { return 0..<encodedByteCount }
        return index * frameByteCount..<min((index + 1) * frameByteCount, encodedByteCount)
    }

    /// Where a frame without its tag is in the payload.
    func payloadRange(_ index: Int) -> Range<Int> {
        let range = encodedRange(index)
        let shift = index * AES256GCM.tagByteCount
        return range.lowerBound + shift..<range.upperBound + shift
    }
}
