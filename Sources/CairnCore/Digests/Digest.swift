// Part of Cairn, a content-addressed blob store.

/// The digest of some bytes together with its algorithm: the identity of a blob.
///
/// Its text is that of the OCI image specification, "Digests": `sha256:` and 64 lower-case
/// hexadecimal digits, or `sha512:` and 128. A plain value without heap storage.
public struct Digest: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// How the digest was computed.
    public enum Algorithm: UInt8, Sendable, CaseIterable {
        // On disk: never renumber.
        case sha256 = 1
        case sha512 = 2

        /// The size of such a digest in bytes.
        public var byteCount: Int {
            switch self {
            case .sha256: 32
            case .sha512: 64
            }
        }

        /// What stands before the colon.
        public var name: String {
            switch self {
            case .sha256: "sha256"
            case .sha512: "sha512"
            }
        }
    }

    /// How the digest was computed.
    public let algorithm: Algorithm

    /// The digest, then zeros.
    private let storage: InlineArray<64, UInt8>

    /// Reads a digest from its text.
    ///
    /// Strict: no white space, no upper case, no other algorithm, exactly the right length.
    ///
    /// - Throws: ``CoreError`` with code `digestInvalid`.
    public init(_ text: some StringProtocol) throws(CoreError) {
        for algorithm in Algorithm.allCases {
            let prefix = algorithm.name + ":"
            guard text.utf8.starts(with: prefix.utf8) else { continue }
            var storage = InlineArray<64, UInt8>(repeating: 0)
            let digits = text.utf8.dropFirst(prefix.utf8.count)
            guard Self.parse(digits, into: &storage, byteCount: algorithm.byteCount) else {
                throw CoreError(
                    .digestInvalid,
                    "after '\(prefix)' come \(2 * algorithm.byteCount) lower-case hex digits")
            }
            self.algorithm = algorithm
            self.storage = storage
            return
        }
        throw CoreError(.digestInvalid, "a digest begins with 'sha256:' or 'sha512:'")
    }

    /// Wraps the bytes of a digest.
    ///
    /// - Throws: ``CoreError`` with code `digestInvalid` when their number is wrong.
    public init(algorithm: Algorithm, bytes: Span<UInt8>) throws(CoreError) {
        guard bytes.count == algorithm.byteCount else {
            throw CoreError(
                .digestInvalid,
                "a \(algorithm.name) digest has \(algorithm.byteCount) bytes, not \(bytes.count)")
        }
        self.init(algorithm, bytes)
    }

    /// Wraps the result of SHA-256.
    public init(sha256: Octets32) { self.init(.sha256, sha256.span) }

    /// The SHA-256 digest of `bytes`.
    public static func sha256(of bytes: Span<UInt8>) -> Digest {
        Digest(sha256: SHA256.digest(of: bytes))
    }

    /// The SHA-512 digest of `bytes`.
    public static func sha512(of bytes: Span<UInt8>) -> Digest {
        var digest = SHA512()
        digest.update(bytes)
        return Digest(.sha512, digest.finalized().span)
    }

    /// A view of the digest's bytes, 32 or 64, without a copy.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { storage.span.extracting(0..<algorithm.byteCount) }
    }

    /// The digest's bytes, 32 or 64.
    public var bytes: [UInt8] { [UInt8](copying: span) }

    /// The digest in lower-case hexadecimal digits.
    public var hex: String { span.hex }

    /// The digest's text, `sha256:...`.
    public var description: String { algorithm.name + ":" + hex }

    /// Whether algorithm and bytes are equal.
    public static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.algorithm == rhs.algorithm && lhs.span.hasSameBytes(as: rhs.span)
    }

    /// Whether the left text comes first in lexicographic order.
    public static func < (lhs: Self, rhs: Self) -> Bool {
        guard lhs.algorithm == rhs.algorithm else {
            return lhs.algorithm.rawValue < rhs.algorithm.rawValue
        }
        for index in 0..<lhs.algorithm.byteCount where lhs.storage[index] != rhs.storage[index] {
            return lhs.storage[index] < rhs.storage[index]
        }
        return false
    }

    /// Hashes the first 32 bytes: they alone are as good as random.
    public func hash(into hasher: inout Hasher) {
        for offset in stride(from: 0, to: 32, by: 8) {
            hasher.combine(storage.span.littleEndianWord(at: offset))
        }
    }

    // MARK: -

    /// Both counts are known to fit.
    fileprivate init(_ algorithm: Algorithm, _ bytes: Span<UInt8>) {
        self.algorithm = algorithm
        storage = InlineArray { $0 < bytes.count ? bytes[$0] : 0 }
    }

    private static func parse(
        _ digits: some Collection<UInt8>, into storage: inout InlineArray<64, UInt8>,
        byteCount: Int
    ) -> Bool {
        var count = 0
        for character in digits {
            guard count < 2 * byteCount, let value = value(ofDigit: character) else {
                return false
            }
            storage[count / 2] = storage[count / 2] << 4 | value
            count += 1
        }
        return count == 2 * byteCount
    }

    private static func value(ofDigit character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}

extension SHA512 {
    /// The digest of the bytes so far.
    package var digest: Digest { Digest(.sha512, finalized().span) }
}
