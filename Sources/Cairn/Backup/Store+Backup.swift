// Part of Cairn, a content-addressed blob store.

internal import CairnSegments

extension Store {
    /// Writes a consistent copy of the store, as of one moment during the call, into an empty
    /// directory, while everything else goes on; only while the index is copied, commits wait,
    /// which on the same file system takes no time to speak of. Durable on return.
    ///
    /// The copy is itself a store: restoring is opening it, or a copy of it, with the key of this
    /// one. On the same file system sealed segments and files of the index are shared by hard
    /// links, so that a backup takes only the room of what changes afterwards; on another one
    /// they are copied. None of these files ever changes, so a tool that copies backups elsewhere
    /// file by file copies each only once.
    ///
    /// - Parameters:
    ///   - path: a directory that is empty or not there yet; its parent exists.
    ///   - includesKeyFile: whether to put `keyring.key` into the backup, which anybody who gets
    ///     hold of it can read then.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the directory is not empty),
    ///   `cancelled`, `outOfSpace`, `readOnly`, `io`, `closed`. What was written so far is no
    ///   store; remove it.
    @discardableResult
    public func backUp(
        to path: String, includesKeyFile: Bool = false
    ) async throws(StoreError) -> BackupReport {
        let target = try await engine.pool.run { (_) throws(StoreError) in
            try lower(
                "making the directory of the backup",
                disk: { () throws(DiskError) in
                    try LocalDisk(root: path, createIfMissing: true)
                })
        }
        return try await backUp(
            to: target, index: path + "/" + StoreFormat.index, includesKeyFile: includesKeyFile)
    }

    /// Writes a backup to a disk of the caller's choice.
    func backUp(
        to target: any Disk, index: String, includesKeyFile: Bool
    ) async throws(StoreError) -> BackupReport {
        let backup = Backup(engine: engine, target: target, index: index)
        return try await backup.run(includesKeyFile: includesKeyFile)
    }
}
