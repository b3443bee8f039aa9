// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// One version of a customer key's material (KMS `ListKeyRotations`).
public struct KeyVersion: Hashable, Sendable {
    /// Why a version was made.
    public enum Origin: UInt8, Sendable, CaseIterable {
        // On disk: never renumber.
        /// The first version of a key.
        case creation = 0
        /// The period of its automatic rotation was over.
        case automatic = 1
        /// Somebody asked for it.
        case onDemand = 2
    }

    /// When the version was made; it wraps from then on until there is a newer one.
    public let createdAt: Timestamp
    /// Why it was made.
    public let origin: Origin

    /// Creates a version's description.
    public init(createdAt: Timestamp, origin: Origin) {
        self.createdAt = createdAt
        self.origin = origin
    }
}
