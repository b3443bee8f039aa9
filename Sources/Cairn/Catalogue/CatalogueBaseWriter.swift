// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// Writes a base, a frame at a time.
///
/// Used by one thread.
struct CatalogueBaseWriter {
    private static let frameByteCount = 1 << 20

    private let file: any DiskFile
    private let sequence: UInt64
    private var offset: UInt64 = 0
    private var changes: [UInt8] = []
    private var bytes: [UInt8]
    /// Why it cannot be written, if it cannot.
    private(set) var failure: DiskError?

    init(file: any DiskFile, header: CatalogueFormat.Header) {
        self.file = file
        sequence = header.preceding
        bytes = CatalogueFormat.encode(header)
    }

    /// - Throws: ``IndexError``, for whoever reads the index meanwhile to stop, when the base
    ///   cannot be written: ``failure`` says why.
    mutating func append(_ row: CatalogueChange) throws(IndexError) {
        row.append(to: &changes)
        if changes.count >= Self.frameByteCount { endFrame(.changes) }
        guard failure == nil else { throw IndexError(.io, "the base cannot be written") }
    }

    /// Makes the base durable.
    ///
    /// - Returns: the bytes of the file.
    mutating func finish() throws(StoreError) -> UInt64 {
        if !changes.isEmpty { endFrame(.changes) }
        endFrame(.end)
        return try lower(
            "writing the catalogue",
            disk: { () throws(DiskError) in
                if let failure { throw failure }
                try file.sync()
                return offset
            })
    }

    private mutating func endFrame(_ kind: CatalogueFormat.FrameKind) {
        CatalogueFormat.append(kind, sequence, durable: sequence, changes, to: &bytes)
        changes = []
        defer { bytes = [] }
        guard failure == nil else { return }
        do throws(DiskError) {
            try file.write(bytes.span, at: offset)
            offset += UInt64(bytes.count)
        } catch {
            failure = error
        }
    }
}
