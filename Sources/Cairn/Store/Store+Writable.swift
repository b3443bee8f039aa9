// Part of Cairn, a content-addressed blob store.

internal import CairnIndex
internal import CairnSegments

extension Store {
    /// Fails when the store would refuse new blobs now, and tells why.
    ///
    /// For the readiness of a server: one that answers `outOfSpace` or `readOnly` still serves
    /// reads. Looks at what is known and at the file system; writes nothing, syncs nothing and
    /// asks no key provider.
    ///
    /// - Throws: ``StoreError`` with code `closed`, `readOnly` (the file system), `outOfSpace`
    ///   (less than ``StoreConfiguration/reservedByteCount`` is free), or that of an earlier write
    ///   or sync that failed: the store takes no more until it is opened again, but for
    ///   `outOfSpace`, which may end by itself.
    public func checkWritable() async throws(StoreError) {
        try engine.checkOpen()
        // A result, not an error of the job: to be asked is no failure of the store's.
        let result = await engine.pool.run { [engine] _ in engine.writability }
        try result.get()
    }
}

extension Engine {
    /// Blocks: for worker threads.
    fileprivate var writability: Result<Void, StoreError> {
        do throws(StoreError) {
            try checkOpen()
            try lower(
                "looking whether segments can be written",
                segments: { () throws(SegmentError) in try segments.checkWritable() })
            try lower(
                "looking whether the index can be written",
                index: { () throws(IndexError) in try index.checkWritable() })
            try lower(
                "looking at the disk", disk: { () throws(DiskError) in try checkDisk() })
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func checkDisk() throws(DiskError) {
        guard try !disk.isReadOnly() else {
            throw DiskError(.readOnly, "the file system of the store admits no writes")
        }
        let free = try disk.freeByteCount()
        guard free >= configuration.reservedByteCount else {
            throw DiskError(
                .outOfSpace,
                "\(free) bytes are free, of which \(configuration.reservedByteCount) are reserved")
        }
    }
}
