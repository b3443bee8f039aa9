// Part of Cairn, a content-addressed blob store.

extension Store {
    /// Gives dead bytes back to the disk, while everything else goes on.
    ///
    /// Removes segments that hold nothing alive, and rewrites those that hold little of it. A
    /// record moves as it is, sealed, by one transaction that only takes effect where the record
    /// still lies where it was found; a segment goes when nothing refers to it and no upload
    /// relies on it. A kill loses nothing, and the next compaction goes on. Sweep first: what
    /// waits for the sweep counts as alive. At the end the catalogue is made complete and short, if
    /// it is not.
    ///
    /// - Throws: ``StoreError`` with code `cancelled` (by the task; what was done stays done),
    ///   `outOfSpace` (no segment can be rewritten in the room that is left), `io`, `closed`.
    @discardableResult
    public func compact(
        _ configuration: CompactionConfiguration = CompactionConfiguration()
    ) async throws(StoreError) -> CompactionReport {
        var compaction = Compaction(engine: engine, configuration: configuration)
        return try await compaction.run()
    }
}
