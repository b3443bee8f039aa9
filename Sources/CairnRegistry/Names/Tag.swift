// Part of Cairn, a content-addressed blob store.
public import CairnCore

// tag := [a-zA-Z0-9_] [a-zA-Z0-9._-]{0,127}      (OCI distribution-spec, "Pull")

/// A tag: a name that a repository's manifests take in turn.
public struct Tag: Hashable, Sendable, CustomStringConvertible {
    /// The longest tag in bytes.
    public static let byteCountMax = 128

    /// The tag itself.
    public let description: String

    /// Checks a tag.
    ///
    /// A digest is never a tag: it has a colon.
    ///
    /// - Throws: `tagInvalid`. The message does not repeat the tag.
    public init(_ text: some StringProtocol) throws(RegistryError) {
        guard text.utf8.count <= Self.byteCountMax, let first = text.utf8.first,
            Self.isWord(first),
            text.utf8.allSatisfy({
                Self.isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
            })
        else {
            throw RegistryError(
                .tagInvalid,
                "A tag must have 1 to \(Self.byteCountMax) letters, digits, '_', '.' or '-', "
                    + "the first neither '.' nor '-'.")
        }
        description = String(text)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// How a client names a manifest: by tag or by digest.
public enum ManifestReference: Hashable, Sendable {
    /// By a tag, which may name another manifest tomorrow.
    case tag(Tag)
    /// By the digest of its bytes.
    case digest(Digest)

    /// Parses a reference; what has a colon is meant as a digest.
    ///
    /// - Throws: `digestInvalid`, `tagInvalid`.
    public init(_ text: some StringProtocol) throws(RegistryError) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            self = .digest(try Digest(registry: text))
        } else {
            self = .tag(try Tag(text))
        }
    }
}

extension Digest {
    /// Parses a digest that a client sent.
    ///
    /// - Throws: `digestInvalid`. The message does not repeat the text.
    package init(registry text: some StringProtocol) throws(RegistryError) {
        do throws(CoreError) { self = try Digest(text) } catch {
            throw RegistryError(
                .digestInvalid,
                "A digest must be 'sha256:' or 'sha512:' and lower case hex digits.", cause: error)
        }
    }
}
