// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

/// A second chunker, written from the page on the format: sees the whole blob at once, looks at
/// one position after the other, and keeps no state but the start of the chunk.
private struct ChunkerModel {
    let bytes: [UInt8]
    let parameters: ChunkerParameters
    private let multiplier: UInt64
    private var headers: [Int] = []
    private var contents: [Range<Int>] = []
    /// Where a header was expected but is none; the end of the world when the layout is not tar.
    private var walkEnd: Int?

    init(_ bytes: [UInt8], _ parameters: ChunkerParameters, isTar: Bool) {
        self.bytes = bytes
        self.parameters = parameters
        let secret = Chunker.testSecret
        multiplier = secret.span.littleEndianWord(at: 0) | 1
        var header = 0
        while isTar {
            guard header + 512 <= bytes.count, let size = contentSize(at: header) else { break }
            headers.append(header)
            let content = header + 512..<header + 512 + size
            if size >= parameters.minByteCount { contents.append(content) }
            header = content.upperBound + (512 - size % 512) % 512
        }
        walkEnd = isTar ? header : nil
    }

    /// Only understands the well-formed headers that these tests make.
    private func contentSize(at header: Int) -> Int? {
        let block = Array(bytes[header..<header + 512])
        let sum = block.enumerated().reduce(0) {
            $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element))
        }
        guard String(decoding: block[148..<154], as: UTF8.self) == octal(sum, 6) else { return nil }
        if (0x31...0x36).contains(block[156]) { return 0 }
        return Int(String(decoding: block[124..<135], as: UTF8.self), radix: 8)
    }

    private func octal(_ value: Int, _ digits: Int) -> String {
        String(decoding: ChunkerArchive.octal(value, digits: digits), as: UTF8.self)
    }

    func lengths() -> [Int] {
        var lengths: [Int] = []
        var start = 0
        while start < bytes.count {
            let length = length(from: start)
            lengths.append(length)
            start += length
        }
        return lengths
    }

    private func length(from start: Int) -> Int {
        let (minimum, maximum) = (parameters.minByteCount, parameters.maxByteCount)
        var end = min(start + maximum, bytes.count)
        var lastBoundary = end
        if let content = contents.first(where: { $0.contains(start) }) {
            let left = content.upperBound - start
            let whole = left <= maximum ? left : min(maximum, left - minimum)
            end = min(start + whole, bytes.count)
            lastBoundary = min(end, content.upperBound - minimum + 1)
        } else {
            if let next = contents.first(where: { $0.lowerBound > start })?.lowerBound {
                end = min(end, next)
            }
            // The block where a header belongs counts before anyone has looked at it.
            let blocks = headers + (walkEnd.map { [$0] } ?? [])
            if let split = blocks.first(where: {
                $0 > start && $0 < start + maximum && $0 + 512 > start + maximum
            }) {
                end = min(end, split)
            }
            lastBoundary = end
        }
        for position in start..<lastBoundary
        where position - start >= minimum && isBoundary(position, of: start) {
            let splits = headers.contains { $0 < position && position < $0 + 512 }
            if !splits { return position - start }
        }
        return end - start
    }

    private func isBoundary(_ position: Int, of start: Int) -> Bool {
        let average = parameters.averageByteCount
        let normal = parameters.minByteCount + average * 586 / 1024
        // Two to the 64, divided: as `average` is a power of two, a shift.
        let ratio = position - start < normal ? 4 * average : average / 4
        let threshold = 0 &- (UInt64(1) << 63) / UInt64(ratio) * 2
        return bytes.span.littleEndianWord(at: position - 8) &* multiplier >= threshold
    }
}

/// The chunker against the definition.
///
/// Method: random archives, some damaged, with small sizes so that every kind of cut is common.
/// Purpose: the cuts are those of the definition, however the bytes are presented and wherever the
/// state is saved and restored.
@Suite struct ChunkerModelTests {
    static let seeds: ClosedRange<UInt64> = 1...30

    private func blob(_ random: inout ChunkerRandom) -> [UInt8] {
        var archive = ChunkerArchive.random(
            &random, byteCountMin: 20_000 + random.number(below: 150_000))
        if random.number(below: 2) == 0 { archive.appendEnd() }
        var bytes = archive.bytes
        switch random.number(below: 4) {
        case 0: bytes += random.text(random.number(below: 70_000))
        case 1: bytes.removeLast(random.number(below: 9000))
        case 2:
            let header = archive.headers[random.number(below: archive.headers.count)]
            bytes[header + random.number(below: 100)] ^= 0x40
        default: break
        }
        return bytes
    }

    @Test(arguments: seeds)
    func `archives are cut as the definition says`(seed: UInt64) throws {
        var random = ChunkerRandom(seed: seed)
        let parameters = try ChunkerParameters.small()
        let bytes = blob(&random)
        let expected = ChunkerModel(bytes, parameters, isTar: true).lengths()
        #expect(try Chunker.test(.tar, parameters).lengths(of: bytes) == expected)
    }

    @Test(arguments: seeds)
    func `other blobs are cut as the definition says`(seed: UInt64) throws {
        var random = ChunkerRandom(seed: seed)
        let parameters = try ChunkerParameters.small()
        let bytes = blob(&random)
        let expected = ChunkerModel(bytes, parameters, isTar: false).lengths()
        #expect(try Chunker.test(.other, parameters).lengths(of: bytes) == expected)
    }

    @Test(arguments: seeds)
    func `cuts do not depend on how the bytes arrive`(seed: UInt64) throws {
        var random = ChunkerRandom(seed: seed)
        let parameters = try ChunkerParameters.small()
        let bytes = blob(&random)
        let expected = Chunker.test(parameters).lengths(of: bytes)
        for step in [1 + random.number(below: 20), 700, 5000, 100_000] {
            var chunker = Chunker.test(parameters)
            var lengths: [Int] = []
            var (start, end) = (0, 0)
            while end < bytes.count {
                // Until the layout is decided nothing can be cut: skip most of it.
                let least = chunker.layout == nil ? 3000 : 0
                end = min(end + least + random.number(below: step + 1), bytes.count)
                let before = lengths.count
                let rest = bytes.span.extracting(start..<end)
                chunker.cut(rest, isFinal: end == bytes.count, into: &lengths)
                start += lengths[before...].reduce(0, +)
                if random.number(below: 3) == 0 {
                    chunker = try Chunker.restored(chunker.savedState, parameters)
                }
            }
            #expect(lengths == expected, "step \(step)")
        }
    }

    @Test func `a final call without new bytes cuts the tail`() throws {
        var random = ChunkerRandom(seed: 50)
        let bytes = random.text(100_001)
        var chunker = Chunker.test()
        var lengths: [Int] = []
        chunker.cut(bytes.span, isFinal: false, into: &lengths)
        let start = lengths.reduce(0, +)
        chunker.cut(bytes.span.extracting(start..<bytes.count), isFinal: true, into: &lengths)
        #expect(lengths == Chunker.test().lengths(of: bytes))
        #expect(lengths.reduce(0, +) == bytes.count)
    }
}
