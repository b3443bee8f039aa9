// Part of Cairn, a content-addressed blob store.
import CairnCore

/// SplitMix64 (Steele, Lea, Flood 2014).
///
/// Golden vectors depend on it: never change.
struct ChunkerRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// A number in 0..<bound; not quite uniform, but the same in every version of Swift.
    mutating func number(below bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// Random bytes, each number little-endian.
    mutating func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            var word = next()
            for _ in 0..<8 {
                result.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        result.removeLast(result.count - count)
        return result
    }

    /// Bytes of low entropy: a random walk through few words, as in text.
    mutating func text(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            var word = next()
            for _ in 0..<(3 + word % 6) {
                word >>= 4
                result.append(0x61 + UInt8(word & 15))
            }
            result.append(0x20)
        }
        result.removeLast(result.count - count)
        return result
    }
}

/// A tar archive under construction, down to lies in its headers.
struct ChunkerArchive {
    private(set) var bytes: [UInt8] = []
    /// Where the content of each file lies.
    private(set) var contents: [Range<Int>] = []
    /// Where each header begins.
    private(set) var headers: [Int] = []

    /// Appends a header, whose size may be a lie, and nothing else.
    mutating func appendHeader(
        name: String, size: [UInt8], type: UInt8 = 0x30, hasMagic: Bool = true
    ) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ field: [UInt8], at offset: Int) {
            header.replaceSubrange(offset..<offset + field.count, with: field)
        }
        put(Array(name.utf8.prefix(100)), at: 0)
        put(Array("0000644".utf8), at: 100)
        put(size, at: 124)
        put(Array("14500000000".utf8), at: 136)
        header[156] = type
        if hasMagic { put(Array("ustar\u{0}00".utf8), at: 257) }
        put(Array("        ".utf8), at: 148)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(Self.octal(sum, digits: 6) + [0, 0x20], at: 148)
        headers.append(bytes.count)
        bytes += header
    }

    /// Appends an entry with its content and padding.
    mutating func append(_ content: [UInt8], name: String = "file", type: UInt8 = 0x30) {
        appendHeader(name: name, size: Self.octal(content.count, digits: 11), type: type)
        contents.append(bytes.count..<bytes.count + content.count)
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    /// Appends bytes that belong to no entry.
    mutating func appendRaw(_ raw: [UInt8]) { bytes += raw }

    /// Appends the two empty blocks that end an archive.
    mutating func appendEnd() { appendRaw([UInt8](repeating: 0, count: 1024)) }

    static func octal(_ value: Int, digits: Int) -> [UInt8] {
        let text = String(value, radix: 8)
        return Array((String(repeating: "0", count: digits - text.count) + text).utf8)
    }

    static func base256(_ value: UInt64) -> [UInt8] {
        [0x80, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
    }

    /// An archive of small and large files, with a long name now and then.
    static func random(_ random: inout ChunkerRandom, byteCountMin: Int) -> ChunkerArchive {
        var archive = ChunkerArchive()
        while archive.bytes.count < byteCountMin {
            let kind = random.number(below: 10)
            switch kind {
            case 0: archive.append(random.bytes(300), name: "././@LongLink", type: 0x4c)
            case 1: archive.append(Array("30 mtime=1700000000.123456789\n".utf8), type: 0x78)
            case 2: archive.appendHeader(name: "dir/", size: octal(0, digits: 11), type: 0x35)
            case 3: archive.append(random.bytes(random.number(below: 40_000)))
            case 4: archive.append(random.text(random.number(below: 90_000)))
            case 5: archive.append([UInt8](repeating: 0, count: random.number(below: 9_000)))
            default: archive.append(random.text(random.number(below: 3_000)))
            }
        }
        return archive
    }
}

extension ChunkerParameters {
    /// Reads an encoding.
    static func decoded(_ bytes: [UInt8]) throws(CoreError) -> ChunkerParameters {
        try ChunkerParameters(decoding: bytes.span)
    }

    /// Small sizes, so that rare cuts become common ones.
    static func small() throws -> ChunkerParameters {
        try ChunkerParameters(
            minByteCount: 256, averageByteCount: 1024, maxByteCount: 3000, opaqueByteCount: 5000)
    }
}

extension Chunker {
    /// A key as good as any.
    static let testSecret: [UInt8] = {
        var random = ChunkerRandom(seed: 1)
        return random.bytes(32)
    }()

    /// A chunker for a blob of unknown layout.
    static func test(_ parameters: ChunkerParameters = .version1) -> Chunker {
        Chunker(parameters: parameters, key: ChunkerKey(testSecret.span))
    }

    /// A chunker that has already decided.
    static func test(
        _ layout: BlobLayout, _ parameters: ChunkerParameters = .version1
    ) throws -> Chunker {
        let walks: UInt8 = layout == .tar ? 1 : 0
        let place = [UInt8](repeating: 0, count: 21)
        return try restored([1, layout.rawValue, walks] + place, parameters)
    }

    /// A chunker that goes on from a saved state.
    static func restored(
        _ state: [UInt8], _ parameters: ChunkerParameters = .version1
    ) throws(CoreError) -> Chunker {
        try Chunker(
            restoring: state.span, parameters: parameters, key: ChunkerKey(testSecret.span))
    }

    /// The lengths of all chunks of a whole blob.
    func lengths(of blob: [UInt8]) -> [Int] {
        var chunker = self
        var lengths: [Int] = []
        chunker.cut(blob.span, isFinal: true, into: &lengths)
        return lengths
    }
}

extension [Int] {
    /// The ends of chunks of these lengths.
    var ends: [Int] {
        var end = 0
        return map { length in
            end += length
            return end
        }
    }
}
