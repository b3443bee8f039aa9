// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// What is computed over a stream of bytes as a whole, in one pass.
///
/// A value: a copy is a point in the stream to go on from.
struct StreamDigests: Sendable {
    /// That of the digest.
    let algorithm: Digest.Algorithm
    /// What is computed beside the digest.
    let checksumAlgorithms: Set<ChecksumAlgorithm>
    private var sha256 = SHA256()
    private var sha512: SHA512?
    private var crc32c: UInt32 = 0
    private var crc64: UInt64 = 0
    private var md5: MD5?

    /// How many bytes were digested.
    var byteCount: UInt64 { sha256.byteCount }

    /// Of all bytes so far.
    var digest: Digest {
        if algorithm == .sha512, let sha512 { return sha512.digest }
        return sha256.digest
    }

    /// Of all bytes so far, in the order of the algorithms.
    var checksums: [Checksum] {
        ChecksumAlgorithm.allCases.filter(checksumAlgorithms.contains).compactMap { algorithm in
            Checksum(algorithm, checksum(algorithm))
        }
    }

    init(_ algorithm: Digest.Algorithm, checksums: Set<ChecksumAlgorithm> = []) {
        self.algorithm = algorithm
        checksumAlgorithms = checksums
        sha512 = algorithm == .sha512 || checksums.contains(.sha512) ? SHA512() : nil
        md5 = checksums.contains(.md5) ? MD5() : nil
    }

    mutating func update(_ bytes: Span<UInt8>) {
        sha256.update(bytes)
        updateOthers(bytes)
    }

    /// Digests more bytes, and all of them for a digest of their own as well, at the cost of one.
    mutating func update(_ bytes: Span<UInt8>, beside other: inout SHA256) {
        SHA256.update(&sha256, &other, with: bytes)
        updateOthers(bytes)
    }

    // MARK: -

    private mutating func updateOthers(_ bytes: Span<UInt8>) {
        sha512?.update(bytes)
        guard !checksumAlgorithms.isEmpty else { return }
        if checksumAlgorithms.contains(.crc32c) {
            crc32c = CRC32C.checksum(bytes, continuing: crc32c)
        }
        if checksumAlgorithms.contains(.crc64NVME) {
            crc64 = CRC64NVME.checksum(bytes, continuing: crc64)
        }
        md5?.update(bytes)
    }

    private func checksum(_ algorithm: ChecksumAlgorithm) -> [UInt8] {
        switch algorithm {
        case .sha256: sha256.digest.bytes
        case .sha512: sha512?.digest.bytes ?? []
        case .crc32c: RowKey.bigEndian(crc32c)
        case .crc64NVME: RowKey.bigEndian(crc64)
        case .md5: md5?.finalized() ?? []
        }
    }
}

// digests   := sha256:prefixed sha512:prefixed        (saved states; empty where there is none)
// checksums := set:u8 crc32c:u32 crc64:u64 md5:prefixed
//   set: bit n of the algorithm n + 1; what is not in it is zero or empty
extension StreamDigests {
    private static let stateByteCountMax = 1024

    func write(digestsTo writer: inout ByteWriter) {
        writer.appendLengthPrefixed(sha256.savedState)
        writer.appendLengthPrefixed(sha512?.savedState ?? [])
    }

    func write(checksumsTo writer: inout ByteWriter) {
        writer.append(ChecksumAlgorithm.flags(of: checksumAlgorithms))
        writer.append(crc32c)
        writer.append(crc64)
        writer.appendLengthPrefixed(md5?.savedState ?? [])
    }

    /// Reads digests; the checksums, if there are any, are elsewhere.
    init(_ algorithm: Digest.Algorithm, reading reader: inout ByteReader) throws(CoreError) {
        self.init(algorithm)
        sha256 = try SHA256(restoring: reader.readLengthPrefixed(limit: Self.stateByteCountMax))
        let second = try reader.readLengthPrefixed(limit: Self.stateByteCountMax)
        sha512 = second.isEmpty ? nil : try SHA512(restoring: second)
        guard algorithm == .sha256 || sha512 != nil else {
            throw CoreError(.corrupted, "the state of a digest is missing")
        }
    }

    /// The same with checksums that were written beside.
    func reading(checksums reader: inout ByteReader) throws(CoreError) -> Self {
        let set = try ChecksumAlgorithm.set(flags: reader.readUInt8())
        var whole = Self(algorithm, checksums: set)
        whole.sha256 = sha256
        whole.sha512 = sha512
        whole.crc32c = try reader.readUInt32()
        whole.crc64 = try reader.readUInt64()
        let state = try reader.readLengthPrefixed(limit: Self.stateByteCountMax)
        whole.md5 = state.isEmpty ? nil : try MD5(restoring: state)
        guard set.contains(.crc32c) || whole.crc32c == 0,
            set.contains(.crc64NVME) || whole.crc64 == 0,
            set.contains(.md5) == (whole.md5 != nil),
            (algorithm == .sha512 || set.contains(.sha512)) == (whole.sha512 != nil)
        else { throw CoreError(.corrupted, "the state of a checksum is missing or too many") }
        return whole
    }
}

extension ChecksumAlgorithm {
    /// A bit for each.
    static func flags(of set: Set<Self>) -> UInt8 {
        set.reduce(0) { $0 | 1 << ($1.rawValue - 1) }
    }

    static func set(flags: UInt8) throws(CoreError) -> Set<Self> {
        let set = Set(allCases.filter { flags & 1 << ($0.rawValue - 1) != 0 })
        guard Self.flags(of: set) == flags else {
            throw CoreError(.corrupted, "an unknown checksum algorithm")
        }
        return set
    }
}

extension SHA256 {
    var digest: Digest {
        // A digest of 32 bytes always makes a SHA-256 digest.
        Digest(sha256: finalized())
    }
}
