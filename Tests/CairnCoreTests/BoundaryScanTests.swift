// Part of Cairn, a content-addressed blob store.
import CairnCore
import Glibc
import Testing

@Suite struct BoundaryScanTests {
    static let forms = BoundaryScan.Form.allCases.filter(\.isSupported)

    /// The definition, word by word.
    private func definition(
        _ bytes: [UInt8], _ positions: Range<Int>, _ multiplier: UInt64, _ threshold: UInt64
    ) -> Int? {
        positions.first { position in
            var window: UInt64 = 0
            for index in 0..<8 {
                window |= UInt64(bytes[position - 8 + index]) << UInt64(8 * index)
            }
            return window &* multiplier >= threshold
        }
    }

    @Test func `the scalar form is always there`() {
        #expect(BoundaryScan.Form.scalar.isSupported)
    }

    // Random lengths, starts, multipliers and thresholds, so that boundaries fall into every place
    // of a round and into the rest after the last round.
    @Test(arguments: forms)
    func `a form finds what the definition says`(form: BoundaryScan.Form) {
        var random = ChunkerRandom(seed: 11)
        for _ in 0..<1500 {
            let count = 8 + random.number(below: 400)
            let bytes = random.number(below: 2) == 0 ? random.bytes(count) : random.text(count)
            let multiplier = random.next() | 1
            let threshold = ~(UInt64.max >> UInt64(random.number(below: 14)))
            let lower = 8 + random.number(below: count - 7)
            let upper = lower + random.number(below: count + 2 - lower)
            #expect(
                BoundaryScan.firstBoundary(
                    of: bytes.span, in: lower..<upper, multiplier: multiplier,
                    threshold: threshold, form: form)
                    == definition(bytes, lower..<upper, multiplier, threshold),
                "\(lower)..<\(upper) \(multiplier) \(threshold)")
        }
    }

    // The AVX2 form compares upper halves first: thresholds whose lower half matters.
    @Test(arguments: forms)
    func `a form compares all 64 bits`(form: BoundaryScan.Form) {
        var random = ChunkerRandom(seed: 12)
        for _ in 0..<300 {
            let bytes = random.bytes(300)
            let multiplier = random.next() | 1
            let target = 8 + random.number(below: 292)
            let hash = bytes.span.littleEndianWord(at: target - 8) &* multiplier
            for threshold in [hash, hash &+ 1] where threshold != 0 {
                let expected = definition(bytes, 8..<301, multiplier, threshold)
                #expect(
                    BoundaryScan.firstBoundary(
                        of: bytes.span, in: 8..<301, multiplier: multiplier,
                        threshold: threshold, form: form) == expected)
            }
        }
    }

    @Test(arguments: forms)
    func `zeros have no boundary`(form: BoundaryScan.Form) {
        let zeros = [UInt8](repeating: 0, count: 5000)
        for multiplier in [1, 0xffff_ffff_ffff_ffff, 0x9e37_79b9_7f4a_7c15] as [UInt64] {
            let found = BoundaryScan.firstBoundary(
                of: zeros.span, in: 8..<5001, multiplier: multiplier, threshold: 1, form: form)
            #expect(found == nil)
        }
    }

    // The bytes lie between two pages that cannot be read: a load too far ends the process.
    @Test(arguments: forms)
    func `a form reads nothing outside the windows`(form: BoundaryScan.Form) throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let mapped = mmap(
            nil, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let base = try #require(mapped != MAP_FAILED ? mapped : nil)
        defer { munmap(base, 3 * page) }
        #expect(mprotect(base, page, PROT_NONE) == 0)
        #expect(mprotect(base + 2 * page, page, PROT_NONE) == 0)
        for count in 8..<300 {
            for start in [base + page, base + 2 * page - count] {
                let bytes = UnsafeRawBufferPointer(start: start, count: count)
                let found = BoundaryScan.firstBoundary(
                    of: bytes.bindMemory(to: UInt8.self).span, in: 8..<count + 1,
                    multiplier: 3, threshold: 1, form: form)
                #expect(found == nil)
            }
        }
    }
}
