// Part of Cairn, a content-addressed blob store.

public import CairnCore
public import CairnKeys

/// Where a token is and how it is used.
public struct PKCS11Configuration: Sendable {
    /// The most bytes of a token's label (PKCS#11 2.40, 3.2).
    public static let labelByteCountMax = 32
    /// The numbers of threads that are of use: tokens do little at once.
    public static let threadCounts = 1...64

    /// The library of the token's maker, such as `/usr/lib/softhsm/libsofthsm2.so`.
    ///
    /// Its code runs in this process: as with any program, it has to be a trusted one.
    public var libraryPath: String

    /// The label of the token, without the spaces at its end; 1 to ``labelByteCountMax`` bytes.
    public var tokenLabel: String

    /// The PIN of the token's user.
    public var pin: PKCS11PIN

    /// How many calls the token works on at once, each on a thread and in a session of its own.
    public var threadCount = 4

    /// How many calls may wait for a thread; what comes beyond fails with code `unavailable`.
    public var waitingCountMax = 4096

    /// Dates new keys.
    public var clock: any StoreClock = SystemClock()

    /// Creates a configuration with the usual numbers.
    public init(libraryPath: String, tokenLabel: String, pin: PKCS11PIN) {
        self.libraryPath = libraryPath
        self.tokenLabel = tokenLabel
        self.pin = pin
    }

    func check() throws(KeyError) {
        guard (1...Self.labelByteCountMax).contains(tokenLabel.utf8.count) else {
            throw KeyError(
                .invalidArgument,
                "the label of a token has 1 to \(Self.labelByteCountMax) bytes")
        }
        guard Self.threadCounts.contains(threadCount), waitingCountMax >= 1 else {
            throw KeyError(
                .invalidArgument,
                "a token is used by \(Self.threadCounts.lowerBound) to "
                    + "\(Self.threadCounts.upperBound) threads, and one call at least may wait")
        }
        // Elsewhere than at its first zero byte C would take another path than was checked.
        guard !libraryPath.isEmpty, !libraryPath.utf8.contains(0) else {
            throw KeyError(.invalidArgument, "the path of a PKCS#11 library is empty or no path")
        }
    }
}

/// The PIN of a token's user.
public enum PKCS11PIN: Sendable {
    /// The most bytes of a PIN: above what any token takes.
    public static let byteCountMax = 255

    /// The PIN itself, kept in memory to reopen lost sessions.
    case bytes(SecretBytes)

    /// Gives the PIN each time that it is needed: at opening, and when the token has lost the
    /// login. Called on a thread that may block, one call after the other.
    case source(@Sendable () throws(KeyError) -> SecretBytes)
}
