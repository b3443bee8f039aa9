// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Foundation
import Glibc
import Testing

/// What encryption adds to the work of storing.
@Suite(.serialized) struct SealingCostTests {
    /// A fifth of what the digests of a blob and its chunks cost.
    private static let coreSecondsPerGigabyteMax = 0.3

    @Test(
        .enabled(
            if: ProcessInfo.processInfo.environment["CAIRN_LONG_TESTS"] == "1",
            "measures processor time; Tools/test --long runs it"))
    func `sealing and opening cost at most 0.3 core-seconds per gigabyte more than not to`()
        throws
    {
        let chunk = TestData.random(1 << 20, seed: 1)
        var differences: [Double] = []
        // In turn, so that both see the machine alike; the median of five.
        for _ in 0..<5 {
            let sealed = try Self.coreSeconds(chunk, .convergent)
            let plain = try Self.coreSeconds(chunk, .none)
            differences.append(max(sealed.seal - plain.seal, sealed.open - plain.open))
        }
        let median = differences.sorted()[2]
        print("sealing or opening: \(median) core-seconds per gigabyte more than not to")
        #expect(median <= Self.coreSecondsPerGigabyteMax)
    }

    // For 10^9 bytes in chunks of 1 MiB.
    private static func coreSeconds(
        _ chunk: [UInt8], _ suite: RecordSuite
    ) throws -> (seal: Double, open: Double) {
        let kit = RecordKit(suite: suite)
        var sealer = try RecordSealer(random: SystemRandom())
        let count = 400
        let scale = 1e9 / Double(count * chunk.count)
        var record: [UInt8] = []
        let start = processorSeconds()
        for _ in 0..<count { record = try kit.seal(chunk, with: &sealer) }
        let middle = processorSeconds()
        for _ in 0..<count { _ = try kit.open(record, with: &sealer) }
        let end = processorSeconds()
        return ((middle - start) * scale, (end - middle) * scale)
    }

    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
