// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Glibc
import Synchronization
import Testing

/// What is left of keys in the memory of the process when nobody holds them any more.
///
/// Looks through all memory that the process can write to, so a copy that was made on the way and
/// not wiped would be found as well. One test after the other: a search holds copies of what it
/// has just read, the pattern of another search among them.
@Suite(.serialized) struct KeyWipingTests {
    private let context: EncryptionContext

    init() throws { context = try EncryptionContext(["bucket": "b"]) }

    @Test func `a secret is wiped when it is released`() throws {
        let random = ForgettingRandom(seed: 0x51)
        let end = 64..<96
        // Between any two copies, so that the allocator neither returns nor reuses all memory.
        var others: [SecretBytes] = []
        func use() throws {
            var copies = [SecretBytes.random(byteCount: 96, from: random)]
            for _ in 0..<64 {
                others.append(SecretBytes("other"))
                copies.append(copies[0].withSpan { SecretBytes(copying: $0) })
            }
            let count = try ProcessMemory.copyCount(of: random, draw: 1001, end)
            #expect(count == copies.count)
        }
        try use()
        #expect(try ProcessMemory.copyCount(of: random, draw: 1001, end) == 0)
        #expect(others.count == 64)
    }

    @Test func `no memory holds a keyring's material when the keyring is released`() async throws {
        let random = ForgettingRandom(seed: 0x52)
        try await useAndRelease(random)
        // The salt of the file, no secret, then the material of the first and the second key.
        for draw in [2, 3] {
            #expect(try ProcessMemory.copyCount(of: random, draw: draw) == 0, "draw \(draw)")
        }
    }

    @Test func `a data key that nobody asked to see is nowhere in memory`() async throws {
        let random = ForgettingRandom(seed: 0x53)
        let keyring = try Keyring.create(
            protection: ProtectionKind.keyFile.right, random: random, clock: FixedClock())
        let wrapped = try await keyring.generateDataKeyWithoutPlaintext(
            under: .default, context: context)
        // Behind the salt of the file and the material of the key.
        #expect(try ProcessMemory.copyCount(of: random, draw: 3) == 0)
        let plaintext = try await keyring.decrypt(wrapped, context: context)
        #expect(try ProcessMemory.copyCount(of: random, draw: 3) > 0)
        #expect(plaintext.byteCount == 32)
    }

    /// Makes two keys, lets them wrap, changes one and reads all from a file.
    private func useAndRelease(_ random: ForgettingRandom) async throws {
        let protection = ProtectionKind.keyFile.right
        let keyring = try Keyring.create(
            protection: protection, random: random, clock: FixedClock()
        ).addingKey(alias: "alias/b")
        let opened = try Keyring(
            decoding: keyring.encoded(), protection: protection, random: random,
            clock: FixedClock())
        let dataKey = try await opened.generateDataKey(under: .default, context: context)
        _ = try await keyring.decrypt(dataKey.wrapped, context: context)
        let last = try opened.rotatingKey(KeyReference("alias/b")).decorating(.default)
        // Each key stands in each of the three keyrings.
        for draw in [2, 3] {
            #expect(try ProcessMemory.copyCount(of: random, draw: draw) >= 2, "draw \(draw)")
        }
        #expect(last.keys.count == keyring.keys.count)
    }
}

/// Random bytes that can be told again and are nowhere kept.
private final class ForgettingRandom: RandomSource {
    private let seed: UInt64
    private let drawCounts = Mutex((ofKeys: 0, ofOthers: 1000))

    init(seed: UInt64) { self.seed = seed }

    func fill(_ bytes: inout MutableSpan<UInt8>) {
        // Draws of 32 bytes, the size of keys and salts, have numbers of their own.
        let isKey = bytes.count == 32
        let draw = drawCounts.withLock { counts in
            if isKey { counts.ofKeys += 1 } else { counts.ofOthers += 1 }
            return isKey ? counts.ofKeys : counts.ofOthers
        }
        for index in bytes.indices { bytes[index] = byte(index, ofDraw: draw) }
    }

    /// Mixes as SplitMix64 does, from the place alone.
    func byte(_ index: Int, ofDraw draw: Int) -> UInt8 {
        var mixed = (seed << 32 | UInt64(draw) << 16 | UInt64(index)) &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return UInt8(truncatingIfNeeded: mixed ^ mixed >> 31)
    }
}

/// The memory of this process, read through `/proc/self/mem`: what another thread unmaps
/// meanwhile is an error and not a crash.
private enum ProcessMemory {
    private static let pieceByteCount = 1 << 20
    /// Larger areas are reserved by sanitizers, not used.
    private static let areaByteCountMax: UInt = 1 << 30

    /// How often a part of a draw stands somewhere in writable memory.
    ///
    /// - Parameter range: Not the begin, over which the allocator writes when memory is freed.
    static func copyCount(
        of random: ForgettingRandom, draw: Int, _ range: Range<Int> = 16..<32
    ) throws -> Int {
        let pattern = UnsafeMutableRawBufferPointer.allocate(
            byteCount: range.count, alignment: 16)
        // Pieces overlap by the length of the pattern.
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pieceByteCount + pattern.count, alignment: 16)
        defer {
            for buffer in [pattern, piece] {
                buffer.initializeMemory(as: UInt8.self, repeating: 0)
                buffer.deallocate()
            }
        }
        for index in pattern.indices {
            pattern[index] = random.byte(range.lowerBound + index, ofDraw: draw)
        }
        let memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC)
        try #require(memory >= 0)
        defer { close(memory) }
        // What this search itself holds does not count.
        let own = [pattern, piece].map { buffer in
            let start = UInt(bitPattern: buffer.baseAddress)
            return start..<start + UInt(buffer.count)
        }
        var count = 0
        for area in try writableAreas() {
            for start in stride(from: area.lowerBound, to: area.upperBound, by: pieceByteCount) {
                let byteCount = min(piece.count, Int(area.upperBound - start))
                let readCount = pread(memory, piece.baseAddress, byteCount, Int(start))
                for offset in matches(of: pattern, in: piece, max(0, readCount))
                where offset < pieceByteCount
                    && !own.contains(where: { $0.contains(start + UInt(offset)) })
                {
                    count += 1
                }
            }
        }
        return count
    }

    private static func matches(
        of pattern: UnsafeMutableRawBufferPointer, in piece: UnsafeMutableRawBufferPointer,
        _ byteCount: Int
    ) -> [Int] {
        guard let base = piece.baseAddress, let wanted = pattern.baseAddress else { return [] }
        var offsets: [Int] = []
        var start = base
        let end = base + byteCount
        // The first byte finds most of what is not the pattern, quickly.
        while let match = memchr(start, Int32(pattern[0]), end - start) {
            if end - match >= pattern.count, memcmp(match, wanted, pattern.count) == 0 {
                offsets.append(match - base)
            }
            start = match + 1
        }
        return offsets
    }

    private static func writableAreas() throws -> [Range<UInt>] {
        let file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
        try #require(file >= 0)
        defer { close(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(file, &buffer, buffer.count), count > 0 {
            text += buffer.prefix(count)
        }
        // `7f0000000000-7f0000001000 rw-p 00000000 00:00 0 [heap]`, man 5 proc
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 1, fields[1].hasPrefix("rw") else { return nil }
            let bounds = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard bounds.count == 2, bounds[1] - bounds[0] <= areaByteCountMax else { return nil }
            return bounds[0]..<bounds[1]
        }
    }
}
