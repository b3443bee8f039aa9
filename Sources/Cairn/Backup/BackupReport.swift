// Part of Cairn, a content-addressed blob store.

/// What a backup holds.
public struct BackupReport: Hashable, Sendable {
    /// Segments in the backup.
    public internal(set) var segmentCount: UInt64 = 0
    /// Bytes of files that backup and store share: they take no room of their own.
    public internal(set) var linkedByteCount: UInt64 = 0
    /// Bytes of files that were copied; the index is not among them.
    public internal(set) var copiedByteCount: UInt64 = 0
    /// Whether the key file is in the backup. Without it, and without a passphrase, nobody can
    /// read it.
    public internal(set) var includesKeyFile = false

    /// Nothing yet.
    public init() {}
}
