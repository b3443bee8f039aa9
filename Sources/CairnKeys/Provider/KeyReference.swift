// Part of Cairn, a content-addressed blob store.

/// The permanent name of a customer key, as its provider writes it.
///
/// A keyring uses lower-case UUIDs; an external provider may use resource names.
public struct KeyID: Hashable, Sendable, CustomStringConvertible {
    /// The most bytes of an id or reference: what AWS KMS allows.
    public static let byteCountMax = 2048

    /// 1 to ``byteCountMax`` printable ASCII characters without spaces.
    public let text: String

    /// Creates an id of its text.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    public init(_ text: String) throws(KeyError) {
        guard (1...Self.byteCountMax).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else {
            throw KeyError(
                .invalidArgument,
                "a key id is 1 to \(Self.byteCountMax) printable ASCII characters without spaces")
        }
        self.text = text
    }

    /// An id that the caller has already checked.
    internal init(unchecked text: String) {
        self.text = text
    }

    /// The text.
    public var description: String { text }
}

/// What a caller writes to mean a customer key: an alias, an id, or a resource name.
public struct KeyReference: Hashable, Sendable, CustomStringConvertible {
    /// What every alias begins with.
    public static let aliasPrefix = "alias/"

    /// What aliases begin with that the store makes for itself; nobody else makes or moves them.
    public static let reservedPrefix = "alias/cairn/"

    /// The most bytes of an alias, prefix included: what AWS KMS allows.
    public static let aliasByteCountMax = 256

    /// The alias of the key that a store uses unless told otherwise.
    public static let defaultAlias = "alias/cairn/default"

    /// The key that a store uses unless told otherwise.
    public static var `default`: Self { Self(unchecked: defaultAlias) }

    /// The reference as written.
    public let text: String

    /// Creates a reference of its text.
    ///
    /// Aliases are checked in full; whether the rest names a key is for the provider to say.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    public init(_ text: String) throws(KeyError) {
        let id = try KeyID(text)
        if text.hasPrefix(Self.aliasPrefix) {
            try Self.checkAlias(text)
        }
        self.init(id)
    }

    /// A reference to the key of that id.
    public init(_ id: KeyID) {
        self.init(unchecked: id.text)
    }

    private init(unchecked text: String) {
        self.text = text
    }

    /// Whether an alias is one of the store's own.
    static func isReserved(_ alias: String) -> Bool { alias.hasPrefix(reservedPrefix) }

    /// Whether the reference goes through an alias.
    public var isAlias: Bool { text.hasPrefix(Self.aliasPrefix) }

    /// The text.
    public var description: String { text }

    /// Accepts `alias/` and then letters, digits, `/`, `_` and `-`.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    package static func checkAlias(_ alias: String) throws(KeyError) {
        let name = alias.utf8.dropFirst(aliasPrefix.utf8.count)
        guard alias.hasPrefix(aliasPrefix), !name.isEmpty,
            alias.utf8.count <= aliasByteCountMax,
            name.allSatisfy(isAliasByte)
        else {
            throw KeyError(
                .invalidArgument,
                "an alias is \(aliasPrefix) with letters, digits, slashes, underscores and "
                    + "hyphens, at most \(aliasByteCountMax) in all")
        }
    }

    private static func isAliasByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default:
            false
        }
    }
}
