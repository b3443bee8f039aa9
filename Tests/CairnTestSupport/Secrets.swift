// Part of Cairn, a content-addressed blob store.

public import CairnCore
public import CairnKeys

extension SecretBytes {
    /// A secret of these bytes.
    public convenience init(_ bytes: [UInt8]) { self.init(copying: bytes.span) }

    /// A secret of a text's bytes.
    public convenience init(_ text: String) { self.init(Array(text.utf8)) }

    /// The bytes, in the clear.
    public var bytes: [UInt8] { withSpan { [UInt8](copying: $0) } }
}

extension KeyError {
    /// Any error of that code, as equality goes by code.
    public static func with(_ code: Code) -> Self { Self(code, "") }
}
