// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// What opens a keyring file.
public enum KeyringProtection: Sendable {
    /// A passphrase that people type, as the bytes of its UTF-8; it is stretched with scrypt.
    ///
    /// 1 to ``passphraseByteCountMax`` bytes. Bytes count: no Unicode normalisation is done.
    case passphrase(SecretBytes)

    /// The content of a key file: exactly ``keyFileByteCount`` random bytes.
    case keyFile(SecretBytes)

    /// The most bytes of a passphrase: more is a file given by mistake.
    public static let passphraseByteCountMax = 1024

    /// The bytes of a key file: as strong as the keys it protects, so not stretched.
    public static let keyFileByteCount = 32
}

/// How much work one guess at the passphrase of a keyring takes.
///
/// scrypt (RFC 7914) needs 128 · N · r bytes of memory and time in proportion to N · r · p.
public struct PassphraseCost: Hashable, Sendable {
    /// The base-2 logarithm of N.
    public let log2N: UInt8
    /// The block size in units of 128 bytes.
    public let r: UInt32
    /// How many independent passes are made.
    public let p: UInt32

    /// N = 2^17, r = 8, p = 1: 128 MiB and half a second of one core for each guess.
    public static let standard = Self(unchecked: 17, 8, 1)

    /// The most memory that a keyring file may ask for: four times the standard.
    ///
    /// The parameters come from a file, so they are bounded before they are obeyed.
    public static let memoryByteCountMax: UInt64 = 512 << 20

    /// The largest N · r · p that a keyring file may ask for: eight times the standard.
    public static let workMax: UInt64 = 8 << 20

    /// Creates parameters within the limits.
    ///
    /// - Throws: ``KeyError`` with code `limitExceeded`.
    public init(log2N: UInt8, r: UInt32, p: UInt32) throws(KeyError) {
        // Each factor is bounded before they are multiplied, so that nothing overflows.
        guard (1...24).contains(log2N), (1...64).contains(r), (1...64).contains(p),
            128 * UInt64(r) << UInt64(log2N) <= Self.memoryByteCountMax,
            UInt64(r) * UInt64(p) << UInt64(log2N) <= Self.workMax
        else {
            throw KeyError(
                .limitExceeded,
                "scrypt with N = 2^\(log2N), r = \(r), p = \(p) is beyond "
                    + "\(Self.memoryByteCountMax >> 20) MiB of memory or the work limit")
        }
        self.init(unchecked: log2N, r, p)
    }

    private init(unchecked log2N: UInt8, _ r: UInt32, _ p: UInt32) {
        self.log2N = log2N
        self.r = r
        self.p = p
    }

    /// The same for the function itself.
    var parameters: ScryptCost { ScryptCost(n: 1 << UInt64(log2N), r: r, p: p) }
}
