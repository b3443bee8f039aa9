// Part of Cairn, a content-addressed blob store.

/// Bytes to store, the same for the same seed.
public enum TestData {
    /// Bytes that neither compress nor repeat.
    public static func random(_ byteCount: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            var word: UInt64 = 0
            for index in 0..<byteCount {
                if index % 8 == 0 { word = generator.next() }
                buffer[index] = UInt8(truncatingIfNeeded: word)
                word >>= 8
            }
            count = byteCount
        }
    }

    /// Lines of words, which compress to about a third.
    public static func compressible(_ byteCount: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + 16)
        while bytes.count < byteCount {
            let word = words[Int(generator.next() % UInt64(words.count))]
            bytes.append(contentsOf: word.utf8)
            bytes.append(UInt8(ascii: generator.next() % 8 == 0 ? "\n" : " "))
        }
        bytes.removeLast(bytes.count - byteCount)
        return bytes
    }

    private static let words = [
        "segment", "record", "chunk", "recipe", "index", "bucket", "digest", "sealed", "durable",
        "layer", "manifest", "append", "commit", "verify", "sweep", "0x7f", "usr/lib", "share/doc",
    ]
}

extension [UInt8] {
    /// The bytes of hexadecimal digits; white space between them is skipped.
    public init(hex: String) {
        let digits = hex.compactMap(\.hexDigitValue)
        precondition(digits.count % 2 == 0)
        self = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] * 16 + digits[$0 + 1])
        }
    }

    /// The bytes in lower-case hexadecimal digits.
    public var hex: String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
