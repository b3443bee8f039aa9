// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

/// Hostile input.
///
/// Method: archives with hostile headers, and random states. Purpose: nothing traps, every byte is
/// cut exactly once, and no chunk exceeds its limit.
@Suite struct ChunkerFuzzTests {
    private static let sizes: [[UInt8]] = [
        ChunkerArchive.base256(1 << 63), ChunkerArchive.base256(.max),
        ChunkerArchive.base256((1 << 62) + 1), ChunkerArchive.base256(1 << 62),
        ChunkerArchive.base256((1 << 62) - 1), ChunkerArchive.base256(1 << 40),
        [UInt8](repeating: 0xff, count: 12), [0x80] + [UInt8](repeating: 0xff, count: 11),
        Array("777777777777".utf8), Array("99999999999 ".utf8), Array("           -".utf8),
        [UInt8](repeating: 0, count: 12), [UInt8](repeating: 0x20, count: 12),
        Array("+0000000001 ".utf8), Array("1 1        \0".utf8),
    ]

    private func check(_ lengths: [Int], _ byteCount: Int, max: Int) {
        #expect(lengths.reduce(0, +) == byteCount)
        #expect(lengths.allSatisfy { $0 > 0 && $0 <= max })
    }

    @Test(arguments: sizes)
    func `a hostile size does no harm`(size: [UInt8]) throws {
        var random = ChunkerRandom(seed: 41)
        let parameters = try ChunkerParameters.small()
        for type in [0x30, 0x35, 0x53, 0x78, 0x4c, 0x67, 0] as [UInt8] {
            var archive = ChunkerArchive()
            archive.append(random.text(700))
            archive.appendHeader(name: "hostile", size: size, type: type)
            archive.append(random.text(70_000))
            let chunker = Chunker.test(parameters)
            let lengths = chunker.lengths(of: archive.bytes)
            check(lengths, archive.bytes.count, max: parameters.maxByteCount)

            // Fed in pieces and saved each time, the sizes go through the state as well.
            var resumed = chunker
            var (pieces, start): ([Int], Int) = ([], 0)
            for end in stride(from: 1000, through: archive.bytes.count + 999, by: 1000) {
                let upper = min(end, archive.bytes.count)
                let before = pieces.count
                let rest = archive.bytes.span.extracting(start..<upper)
                resumed.cut(rest, isFinal: upper == archive.bytes.count, into: &pieces)
                start += pieces[before...].reduce(0, +)
                resumed = try Chunker.restored(resumed.savedState, parameters)
            }
            #expect(pieces == lengths)
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `damage anywhere in the headers does no harm`(seed: UInt64) throws {
        var random = ChunkerRandom(seed: seed)
        let parameters = try ChunkerParameters.small()
        let archive = ChunkerArchive.random(&random, byteCountMin: 60_000)
        for _ in 0..<20 {
            var bytes = archive.bytes
            let header = archive.headers[random.number(below: archive.headers.count)]
            // Damage, then a checksum that is right again: the walk believes what it reads.
            for _ in 0..<(1 + random.number(below: 4)) {
                bytes[header + 100 + random.number(below: 57)] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            bytes.replaceSubrange(header + 148..<header + 156, with: Array("        ".utf8))
            let sum = bytes[header..<header + 512].reduce(0) { $0 + Int($1) }
            bytes.replaceSubrange(
                header + 148..<header + 154, with: ChunkerArchive.octal(sum, digits: 6))
            check(
                try Chunker.test(.tar, parameters).lengths(of: bytes), bytes.count,
                max: parameters.maxByteCount)
        }
    }

    @Test func `a state that is not well-formed is refused, and any other works`() throws {
        var random = ChunkerRandom(seed: 42)
        let parameters = try ChunkerParameters.small()
        let text = random.text(10_000)
        var acceptedCount = 0
        for round in 0..<4000 {
            var state = random.bytes(24)
            state[0] = 1
            state[1] = UInt8(random.number(below: 5))
            state[2] = UInt8(random.number(below: 3))
            state.replaceSubrange(3..<8, with: [0, 0, 0, 0, 0])
            // Often small numbers, so that many of them can be places in an archive.
            for offset in [8, 16] where round % 4 > 0 {
                let keep = random.number(below: 3)
                for index in keep..<8 { state[offset + index] = 0 }
            }
            do {
                var chunker = try Chunker.restored(state, parameters)
                #expect(chunker.savedState == state)
                acceptedCount += 1
                var lengths: [Int] = []
                chunker.cut(text.span, isFinal: true, into: &lengths)
                check(lengths, text.count, max: parameters.opaqueByteCount)
            } catch {
                #expect(error.code == .corrupted)
            }
        }
        #expect(acceptedCount > 50)
    }

    @Test func `a state of another length or version is refused`() throws {
        let state = Chunker.test().savedState
        for count in 0..<state.count {
            #expect(throws: CoreError(.corrupted, "")) {
                try Chunker.restored(Array(state[..<count]))
            }
        }
        #expect(throws: CoreError(.corrupted, "")) {
            try Chunker.restored(state + [0])
        }
        #expect(throws: CoreError(.unsupportedVersion, "")) {
            try Chunker.restored([2] + state.dropFirst())
        }
        for offset in 3..<8 {
            var reserved = state
            reserved[offset] = 1
            #expect(throws: CoreError(.corrupted, "")) {
                try Chunker.restored(reserved)
            }
        }
    }

    @Test func `parameters that are not well-formed are refused`() throws {
        let encoded = ChunkerParameters.version1.encoded
        #expect(try ChunkerParameters.decoded(encoded) == .version1)
        for count in 0..<encoded.count {
            #expect(throws: CoreError(.corrupted, "")) {
                try ChunkerParameters.decoded(Array(encoded[..<count]))
            }
        }
        #expect(throws: CoreError(.unsupportedVersion, "")) {
            try ChunkerParameters.decoded([2] + encoded.dropFirst())
        }
        #expect(throws: CoreError(.corrupted, "")) {
            try ChunkerParameters.decoded(encoded + [0])
        }
        var random = ChunkerRandom(seed: 43)
        for _ in 0..<2000 {
            let bytes = [1, 0, 0, 0] + random.bytes(16)
            #expect(throws: CoreError(.corrupted, "")) {
                try ChunkerParameters.decoded(bytes)
            }
        }
    }
}
