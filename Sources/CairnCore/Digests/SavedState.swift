// Part of Cairn, a content-addressed blob store.

extension ByteReader {
    /// Reads and checks what the saved states of all digests begin with, and their size.
    @_lifetime(self: copy self)
    mutating func readStateHeader(
        version: UInt8, algorithm: Digest.Algorithm, byteCount: Int
    ) throws(CoreError) {
        let found = try readUInt8()
        guard found <= version else {
            throw CoreError(
                .unsupportedVersion, "a saved \(algorithm.name) state has version \(found)")
        }
        guard found == version else {
            throw CoreError(.corrupted, "a saved \(algorithm.name) state has version \(found)")
        }
        guard try readUInt8() == algorithm.rawValue, offset + remainingByteCount == byteCount
        else {
            throw CoreError(.corrupted, "bytes are not a saved \(algorithm.name) state")
        }
        try readZeros(2)
    }
}
