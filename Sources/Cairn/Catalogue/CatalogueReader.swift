// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnSegments

/// Reads one file of the catalogue, frame by frame, and past what is damaged.
///
/// Used by one thread at a time; blocks it.
struct CatalogueReader {
    /// What comes next.
    enum Item {
        case frame(CatalogueFormat.Frame, payload: [UInt8])
        /// Bytes that are no frame, up to the next one.
        case damage(Range<UInt64>)
    }

    let header: CatalogueFormat.Header
    private let file: any DiskFile
    private let end: UInt64
    private var position = UInt64(CatalogueFormat.headerByteCount)

    /// - Throws: ``StoreError`` with code `corrupted` when the file has no whole header or is
    ///   another's, `formatTooNew`, `io`.
    init(
        _ disk: any Disk, _ kind: CatalogueFormat.FileKind, _ number: UInt32, storeID: Octets16
    ) throws(StoreError) {
        let path = CatalogueFiles.path(kind, number)
        (file, end) = try lower(
            "reading the catalogue",
            disk: { () throws(DiskError) in
                let file = try disk.open(path, .read)
                return (file, try file.byteCount())
            })
        let bytes = try Self.read(file, 0, CatalogueFormat.headerByteCount, end)
        header = try lower(
            "reading the catalogue",
            core: { () throws(CoreError) in
                let header = try CatalogueFormat.decodeHeader(bytes.span)
                guard header.kind == kind, header.number == number, header.storeID == storeID
                else { throw CoreError(.corrupted, "a file of the catalogue is another's") }
                return header
            })
    }

    /// Where the next item begins.
    var offset: UInt64 { position }

    /// The next frame or damaged range; nil at the end.
    mutating func next() throws(StoreError) -> Item? {
        guard position < end else { return nil }
        if let item = try frame(at: position) {
            position += Self.byteCount(of: item.frame)
            return .frame(item.frame, payload: item.payload)
        }
        let start = position
        position = try nextFrame(after: start)
        return .damage(start..<position)
    }

    func close() { file.close() }

    // MARK: -

    private static let searchByteCount = 1 << 16

    private static func byteCount(of frame: CatalogueFormat.Frame) -> UInt64 {
        UInt64(CatalogueFormat.frameHeaderByteCount + frame.payloadByteCount)
    }

    // Nil: no whole frame begins here.
    private func frame(
        at offset: UInt64
    ) throws(StoreError) -> (frame: CatalogueFormat.Frame, payload: [UInt8])? {
        let bytes = try Self.read(file, offset, CatalogueFormat.frameHeaderByteCount, end)
        guard let frame = try? CatalogueFormat.decodeFrame(bytes.span) else { return nil }
        let start = offset + UInt64(CatalogueFormat.frameHeaderByteCount)
        guard end - start >= UInt64(frame.payloadByteCount) else { return nil }
        let payload = try Self.read(file, start, frame.payloadByteCount, end)
        guard CRC32C.checksum(payload.span) == frame.payloadChecksum else { return nil }
        return (frame, payload)
    }

    // A frame can begin at any byte.
    private func nextFrame(after start: UInt64) throws(StoreError) -> UInt64 {
        var base = start + 1
        while base < end {
            let window = try Self.read(file, base, Self.searchByteCount, end)
            let last = max(1, window.count - CatalogueFormat.frameHeaderByteCount + 1)
            for index in 0..<last {
                let rest = window.span.extracting(droppingFirst: index)
                let header = rest.extracting(
                    first: min(rest.count, CatalogueFormat.frameHeaderByteCount))
                guard (try? CatalogueFormat.decodeFrame(header)) != nil else { continue }
                let offset = base + UInt64(index)
                if try frame(at: offset) != nil { return offset }
            }
            base += UInt64(last)
        }
        return end
    }

    // Up to so many bytes, as far as the file goes.
    private static func read(
        _ file: any DiskFile, _ offset: UInt64, _ byteCount: Int, _ end: UInt64
    ) throws(StoreError) -> [UInt8] {
        let count = Int(min(UInt64(byteCount), end - min(offset, end)))
        return try lower(
            "reading the catalogue",
            disk: { () throws(DiskError) in
                var bytes = [UInt8](repeating: 0, count: count)
                var span = bytes.mutableSpan
                let found = try file.read(into: &span, at: offset)
                return found == count ? bytes : Array(bytes[..<found])
            })
    }
}
