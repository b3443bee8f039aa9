// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// How a checksum of an object's bytes is computed, beside the digest that every object has.
public enum ChecksumAlgorithm: UInt8, Hashable, Sendable, CaseIterable {
    // On disk: never renumber.
    /// SHA-256 (FIPS 180-4).
    case sha256 = 1
    /// SHA-512 (FIPS 180-4).
    case sha512 = 2
    /// CRC-32C (RFC 3720 appendix B.4).
    case crc32c = 3
    /// CRC-64/NVME, which S3 computes by default.
    case crc64NVME = 4
    /// MD5 (RFC 1321), for clients that compare it with an ETag of S3.
    case md5 = 5

    /// The size of the checksum in bytes.
    public var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha512: 64
        case .crc32c: 4
        case .crc64NVME: 8
        case .md5: 16
        }
    }

    /// The name in lower case, as in the text of a checksum.
    public var name: String {
        switch self {
        case .sha256: "sha256"
        case .sha512: "sha512"
        case .crc32c: "crc32c"
        case .crc64NVME: "crc64nvme"
        case .md5: "md5"
        }
    }
}

/// A checksum of all bytes of an object, also of one that came in parts.
///
/// Its text is the name of the algorithm, a colon and lower-case hexadecimal digits; numbers are
/// written with the most significant byte first, as in the headers of S3 before Base64.
public struct Checksum: Hashable, Sendable, LosslessStringConvertible {
    /// How it was computed.
    public let algorithm: ChecksumAlgorithm
    /// The checksum.
    public let bytes: [UInt8]

    /// Takes a checksum that a client gave; nil when it does not have the right length.
    public init?(_ algorithm: ChecksumAlgorithm, _ bytes: [UInt8]) {
        guard bytes.count == algorithm.byteCount else { return nil }
        self.algorithm = algorithm
        self.bytes = bytes
    }

    /// Reads the text form.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", maxSplits: 1)
        guard parts.count == 2,
            let algorithm = ChecksumAlgorithm.allCases.first(where: { $0.name == parts[0] }),
            let bytes = Hex.decode(String(parts[1]))
        else { return nil }
        self.init(algorithm, bytes)
    }

    /// The text form.
    public var description: String { algorithm.name + ":" + Hex.encode(bytes) }
}

/// Which checksums of an object are computed and kept, and what they must be.
///
/// ```swift
/// try await bucket.putObject("key", bytes, checksums: [.crc64NVME])
/// try await bucket.putObject("key", bytes, checksums: .expecting([received]))
/// ```
///
/// Each costs a pass of the processor over the bytes while they stream in; SHA-256, which is
/// computed anyway, costs nothing.
public struct ChecksumRequest: Hashable, Sendable, ExpressibleByArrayLiteral {
    /// Those that are computed.
    public private(set) var algorithms: Set<ChecksumAlgorithm>
    /// Those that are known; each of its own algorithm.
    public private(set) var expected: [Checksum] = []

    /// None.
    public static let none: ChecksumRequest = []

    /// Computes checksums, whatever they are.
    public init(arrayLiteral algorithms: ChecksumAlgorithm...) {
        self.algorithms = Set(algorithms)
    }

    /// Computes checksums, whatever they are.
    public init(_ algorithms: Set<ChecksumAlgorithm>) { self.algorithms = algorithms }

    /// Computes the checksums of some algorithms; nothing is written if they are others.
    public static func expecting(_ checksums: [Checksum]) -> ChecksumRequest {
        var request = ChecksumRequest(Set(checksums.map(\.algorithm)))
        request.expected = checksums
        return request
    }

    /// - Throws: ``StoreError`` with code `digestMismatch`, `invalidArgument` (one that was not
    ///   computed is expected).
    static func check(_ expected: [Checksum], _ computed: [Checksum]) throws(StoreError) {
        for checksum in expected {
            guard let found = computed.first(where: { $0.algorithm == checksum.algorithm }) else {
                throw StoreError(
                    .invalidArgument,
                    "\(checksum.algorithm.name) is expected, and was not asked for at the beginning"
                )
            }
            guard found == checksum else {
                throw StoreError(
                    .digestMismatch,
                    "the received bytes do not have the expected \(checksum.algorithm.name)")
            }
        }
    }
}
