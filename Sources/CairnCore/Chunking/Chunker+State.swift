// Part of Cairn, a content-addressed blob store.

// state := version:u8(1) layout:u8 isWalking:u8 reserved:u8(0)[5] content:u64 header:u64
//
// layout: 0 undecided, else BlobLayout. content and header: zero unless isWalking is 1; see TarWalk.

extension Chunker {
    /// The number of bytes of ``savedState``.
    package static let savedStateByteCount = 24

    /// The chunker as of the first uncut byte, to go on from there at any later time.
    package var savedState: [UInt8] {
        var bytes: [UInt8] = [1, layout?.rawValue ?? 0, walk == nil ? 0 : 1, 0, 0, 0, 0, 0]
        bytes.appendChunker(walk?.contentByteCount ?? 0)
        bytes.appendChunker(walk?.headerDistance ?? 0)
        return bytes
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
        guard state.count > 0, state[0] == 1 else {
            throw state.count == 0
                ? CoreError(.corrupted, "The state of the chunker is missing.")
                : CoreError(
                    .unsupportedVersion, "Chunker states of version \(state[0]) are not known.")
        }
        guard state.count == Self.savedStateByteCount, state[2] <= 1,
            state.chunkerUInt32(at: 4) == 0, state[3] == 0
        else {
            throw CoreError(.corrupted, "The state of the chunker is not well-formed.")
        }
        self.init(parameters: parameters, key: key)
        let layout = BlobLayout(rawValue: state[1])
        let content = state.chunkerUInt64(at: 8)
        let header = state.chunkerUInt64(at: 16)
        var walk: TarWalk?
        if state[2] == 1 {
            walk = TarWalk(contentByteCount: content, headerDistance: header)
        }
        guard layout != nil || state[1] == 0,
            state[2] == 0 ? content == 0 && header == 0 : walk != nil && layout == .tar
        else {
            throw CoreError(.corrupted, "The state of the chunker contradicts itself.")
        }
        resume(layout: layout, walk: walk)
    }
}
