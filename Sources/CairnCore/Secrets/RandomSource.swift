// Part of Cairn, a content-addressed blob store.

internal import COpenSSL

/// Where keys, salts, nonces and identifiers come from.
///
/// A source for production is cryptographically secure; a seeded one makes a simulation repeat.
/// Calls may come from any thread at once.
public protocol RandomSource: Sendable {
    /// Overwrites all of `bytes` with random ones.
    func fill(_ bytes: inout MutableSpan<UInt8>)
}

extension RandomSource {
    /// Sixteen random bytes, for an identifier.
    public func octets16() -> Octets16 {
        var bytes = InlineArray<16, UInt8>(repeating: 0)
        var span = bytes.mutableSpan
        fill(&span)
        return Octets16(bytes.span)
    }

    /// Thirty-two random bytes, for a salt.
    public func octets32() -> Octets32 {
        var bytes = InlineArray<32, UInt8>(repeating: 0)
        var span = bytes.mutableSpan
        fill(&span)
        return Octets32(bytes.span)
    }
}

/// The generator of the process, seeded by the operating system.
///
/// Stateless itself; calls may come from any thread.
public struct SystemRandom: RandomSource {
    /// Creates a source; all of them draw from the same generator.
    public init() {}

    /// Overwrites all of `bytes` with random ones.
    ///
    /// Should OpenSSL's generator fail (it could not be seeded, say), the operating system's own
    /// takes its place: it either answers or ends the process, and never returns bytes that are
    /// not random.
    public func fill(_ bytes: inout MutableSpan<UInt8>) {
        // RAND_bytes counts in Int32.
        let pieceByteCount = 1 << 20
        var offset = 0
        while offset < bytes.count {
            let count = min(pieceByteCount, bytes.count - offset)
            let status = unsafe bytes.withUnsafeMutableBufferPointer {
                unsafe RAND_bytes($0.baseAddress.map { unsafe $0 + offset }, Int32(count))
            }
            if status != 1 {
                Self.fillFromOperatingSystem(&bytes, offset..<offset + count)
            }
            offset += count
        }
    }

    private static func fillFromOperatingSystem(
        _ bytes: inout MutableSpan<UInt8>, _ range: Range<Int>
    ) {
        var generator = SystemRandomNumberGenerator()
        for index in range { bytes[index] = UInt8.random(in: .min ... .max, using: &generator) }
    }
}
