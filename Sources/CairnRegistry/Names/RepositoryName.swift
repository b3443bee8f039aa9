// Part of Cairn, a content-addressed blob store.

// name      := component ("/" component)*                 2 to 255 bytes
// component := alphanumeric+ (separator alphanumeric+)*   alphanumeric: a-z 0-9
// separator := "." | "_" | "__" | "-"+                    (OCI distribution-spec, "Pull")

/// The name of a repository, which is the name of its bucket too.
public struct RepositoryName: Hashable, Sendable, CustomStringConvertible {
    /// The longest name in bytes; 255 is what registries and their clients agree on.
    public static let byteCountMax = 255
    /// The shortest name in bytes, as for buckets.
    public static let byteCountMin = 2

    /// The name itself.
    public let description: String

    /// Checks a name.
    ///
    /// - Throws: `nameInvalid`. The message does not repeat the name.
    public init(_ text: some StringProtocol) throws(RegistryError) {
        let byteCount = text.utf8.count
        guard byteCount >= Self.byteCountMin, byteCount <= Self.byteCountMax else {
            throw RegistryError(
                .nameInvalid,
                "The repository name must have \(Self.byteCountMin) to \(Self.byteCountMax) bytes.")
        }
        let components = Array(text.utf8).split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard components.allSatisfy({ Self.isComponent($0) }) else {
            throw RegistryError(
                .nameInvalid,
                "The repository name must be lower case letters and digits, with single separators."
            )
        }
        description = String(text)
    }

    private static func isComponent(_ bytes: ArraySlice<UInt8>) -> Bool {
        var separator: [UInt8] = []
        var isAtStart = true
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                guard isAtStart ? separator.isEmpty : isSeparator(separator) else { return false }
                separator.removeAll(keepingCapacity: true)
                isAtStart = false
            default:
                separator.append(byte)
            }
        }
        return !isAtStart && separator.isEmpty
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        switch bytes {
        case [], [UInt8(ascii: ".")], [UInt8(ascii: "_")],
            [UInt8(ascii: "_"), UInt8(ascii: "_")]:
            true
        default: bytes.allSatisfy { $0 == UInt8(ascii: "-") }
        }
    }
}
