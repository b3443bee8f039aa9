// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// The name of an upload session: 122 random bits, which nobody can guess.
public struct UploadID: Hashable, Sendable, LosslessStringConvertible {
    let octets: Octets16

    init(octets: Octets16) { self.octets = octets }

    /// Reads the text form; nil for anything that is not one.
    public init?(_ description: String) {
        guard let octets = UUIDText.parse(description) else { return nil }
        self.octets = octets
    }

    /// The text form: a UUID in lower case.
    public var description: String { UUIDText.format(octets) }
}
