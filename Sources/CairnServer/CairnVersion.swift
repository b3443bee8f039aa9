// Part of Cairn, a content-addressed blob store.

/// Cairn's own version.
public enum CairnVersion {
    /// The version of this build, as `cairn --version` prints it.
    public static let current = "0.1.0"
}
