// Part of Cairn, a content-addressed blob store.

// state := version:u8(1) layout:u8 isWalking:u8 reserved:u8(0)[5] content:u64 header:u64
//
// layout: 0 undecided, else BlobLayout. content and header: zero unless isWalking is 1; see
// TarWalk.

extension Chunker {
    /// The number of bytes of ``savedState``.
    package static let savedStateByteCount = 24

    /// The chunker as of the first uncut byte, to go on from there at any later time.
    package var savedState: [UInt8] {
        var writer = ByteWriter(capacity: Self.savedStateByteCount)
        writer.append(Self.stateVersion)
        writer.append(layout?.rawValue ?? 0)
        writer.append(walk == nil ? UInt8(0) : 1)
        writer.appendZeros(5)
        writer.append(walk?.contentByteCount ?? 0)
        writer.append(walk?.headerDistance ?? 0)
        return writer.bytes
    }

    /// A chunker that goes on where another was saved.
    ///
    /// The parameters and the key must be those of the saved one, and the next bytes presented
    /// those from its first uncut byte on.
    ///
    /// - Throws: ``CoreError`` with code `unsupportedVersion` for a state of a later version, or
    ///   `corrupted` for one that ``savedState`` never is.
    package init(
        restoring state: Span<UInt8>, parameters: ChunkerParameters, key: ChunkerKey
    ) throws(CoreError) {
        var reader = ByteReader(state)
        let version = try reader.readUInt8()
        guard version == Self.stateVersion else {
            throw CoreError(
                .unsupportedVersion, "chunker states of version \(version) are not known")
        }
        let layoutNumber = try reader.readUInt8()
        let isWalking = try reader.readUInt8()
        try reader.readZeros(5)
        let content = try reader.readUInt64()
        let header = try reader.readUInt64()
        try reader.expectEnd()

        let layout = BlobLayout(rawValue: layoutNumber)
        guard layout != nil || layoutNumber == 0 else {
            throw CoreError(.corrupted, "a chunker state names layout \(layoutNumber)")
        }
        var walk: TarWalk?
        if isWalking == 1, layout == .tar {
            walk = TarWalk(contentByteCount: content, headerDistance: header)
        }
        guard walk != nil || (isWalking == 0 && content == 0 && header == 0) else {
            throw CoreError(.corrupted, "a chunker state names an impossible place")
        }
        self.init(parameters: parameters, key: key)
        resume(layout: layout, walk: walk)
    }

    private static var stateVersion: UInt8 { 1 }
}
