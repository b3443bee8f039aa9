// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Foundation
import Synchronization
import Testing

/// A nonce or a salt is drawn afresh for each record, and never used twice.
@Suite struct NonceTests {
    /// 10^7 with long tests; the random source counts, so that what is drawn twice would show.
    private static let recordCount =
        ProcessInfo.processInfo.environment["CAIRN_LONG_TESTS"] == "1" ? 10_000_000 : 50_000

    @Test(arguments: [RecordSuite.convergent, .committed])
    func `each record takes the next draw of the random source`(_ suite: RecordSuite) throws {
        let byteCount = suite == .convergent ? 12 : 32
        let random = CountingRandom(blockByteCount: byteCount)
        var sealer = try RecordSealer(random: random)
        var kit = RecordKit(suite: suite)
        kit.type = suite == .convergent ? .chunk : .metadata
        var last: UInt64 = 0
        for _ in 0..<Self.recordCount {
            let record = try kit.seal([1], with: &sealer)
            // The suite's own field, which begins with the nonce or the salt.
            let field = record.span.extracting(52..<52 + byteCount)
            let number = field.littleEndian(UInt64.self, at: 0)
            guard number > last else {
                Issue.record("a record has draw \(number) behind draw \(last)")
                return
            }
            last = number
        }
        #expect(last >= UInt64(Self.recordCount))
        #expect(random.count >= last)
    }
}

/// Gives 1, 2, 3 and so on, each in a block of its own.
private final class CountingRandom: RandomSource {
    private let blockByteCount: Int
    private let drawn = Mutex<UInt64>(0)

    init(blockByteCount: Int) { self.blockByteCount = blockByteCount }

    var count: UInt64 { drawn.withLock { $0 } }

    func fill(_ bytes: inout MutableSpan<UInt8>) {
        let blockCount = UInt64((bytes.count + blockByteCount - 1) / blockByteCount)
        let first = drawn.withLock { drawn in
            defer { drawn += blockCount }
            return drawn + 1
        }
        for index in bytes.indices {
            let number = first + UInt64(index / blockByteCount)
            let place = index % blockByteCount
            bytes[index] = place < 8 ? UInt8(truncatingIfNeeded: number >> (8 * place)) : 0
        }
    }
}
