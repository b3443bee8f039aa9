// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// What may be done with a customer key now.
///
/// A struct, so that a provider with more states can add them without breaking callers. A caller
/// asks ``isUsable``; the rest is for people to read.
public struct KeyState: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: String {
        case enabled, disabled, pendingDeletion, pendingImport, unavailable
    }

    private let kind: Kind

    /// Every call is allowed.
    public static var enabled: Self { Self(kind: .enabled) }
    /// No call that touches key material is allowed until the key is enabled again.
    public static var disabled: Self { Self(kind: .disabled) }
    /// As disabled; the key is destroyed on a stated date unless the deletion is cancelled.
    public static var pendingDeletion: Self { Self(kind: .pendingDeletion) }
    /// The key has no material yet.
    public static var pendingImport: Self { Self(kind: .pendingImport) }
    /// The provider cannot reach the material of the key.
    public static var unavailable: Self { Self(kind: .unavailable) }

    /// Whether data keys can be generated and decrypted.
    public var isUsable: Bool { kind == .enabled }

    /// The name of the state.
    public var description: String { kind.rawValue }
}

/// What a provider tells about a customer key; never its material.
public struct KeyDescription: Hashable, Sendable {
    /// The permanent name of the key; what a wrapped key's record should remember.
    public let id: KeyID
    /// The aliases that lead to the key now, ascending.
    public let aliases: [String]
    /// What may be done with the key now.
    public let state: KeyState
    /// When the key was created.
    public let createdAt: Timestamp
    /// When the key will be destroyed; only in state `pendingDeletion`.
    public let deletionDate: Timestamp?
    /// Days between two automatic rotations; nil without them.
    public let rotationPeriodDays: Int?
    /// When the key gets new material by itself; nil without automatic rotation.
    public let nextRotationDate: Timestamp?
    /// The version of the key's material that wraps now; 1 for a new key, and for a provider that
    /// does not number them.
    public let currentVersion: Int
    /// What people wrote about the key.
    public let description: String
    /// What people tagged the key with.
    public let tags: [String: String]

    /// Creates a description.
    public init(
        id: KeyID, aliases: [String] = [], state: KeyState, createdAt: Timestamp,
        deletionDate: Timestamp? = nil, rotationPeriodDays: Int? = nil,
        nextRotationDate: Timestamp? = nil, currentVersion: Int = 1, description: String = "",
        tags: [String: String] = [:]
    ) {
        self.id = id
        self.aliases = aliases
        self.state = state
        self.createdAt = createdAt
        self.deletionDate = deletionDate
        self.rotationPeriodDays = rotationPeriodDays
        self.nextRotationDate = nextRotationDate
        self.currentVersion = currentVersion
        self.description = description
        self.tags = tags
    }
}
