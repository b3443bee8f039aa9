// Part of Cairn, a content-addressed blob store.

import ArgumentParser
import Foundation

/// What a blob consists of.
enum Content: String, ExpressibleByArgument {
    /// Random bytes: nothing to compress and nothing to find again, as in a compressed layer.
    case opaque
    /// Words in random order: compresses to about a third, nothing to find again.
    case text
}

/// A file of bytes that depend on the seed alone.
struct SourceFile {
    let path: String
    let byteCount: Int

    init(path: String, content: Content, byteCount: Int) throws {
        self.path = path
        self.byteCount = byteCount
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw CocoaError(.fileWriteUnknown) }
        var generator = SplitMix64(state: 42)
        var rest = byteCount
        while rest > 0 {
            let part = min(rest, 1 << 20)
            let bytes = content == .opaque ? generator.random(part) : generator.text(part)
            try file.write(contentsOf: bytes)
            rest -= part
        }
        try file.synchronize()
        try file.close()
    }
}

/// A generator with published constants (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, OOPSLA 2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    mutating func random(_ byteCount: Int) -> [UInt8] {
        var words: [UInt64] = []
        words.reserveCapacity(byteCount / 8 + 1)
        for _ in 0..<(byteCount + 7) / 8 { words.append(next()) }
        return words.withUnsafeBytes { Array($0.prefix(byteCount)) }
    }

    mutating func text(_ byteCount: Int) -> [UInt8] {
        let words = ["segment", "record", "chunk", "recipe", "usr/lib", "share/doc", "0x7f", "\n"]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + 16)
        while bytes.count < byteCount {
            bytes += words[Int(next() % 8)].utf8
            bytes.append(UInt8(ascii: " "))
        }
        return Array(bytes.prefix(byteCount))
    }
}
