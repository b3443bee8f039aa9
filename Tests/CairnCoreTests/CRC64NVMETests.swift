// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport
import Testing

@Suite struct CRC64NVMETests {
    /// Bit by bit, from the definition.
    private static func reference(_ bytes: [UInt8]) -> UInt64 {
        var crc = UInt64.max
        for byte in bytes {
            crc ^= UInt64(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x9a6c_9329_ac4b_c9b5) }
        }
        return ~crc
    }

    @Test func `published values are met`() {
        // NVM Express NVM Command Set 1.0, figure "64b CRC test cases"; reveng, CRC-64/NVME.
        #expect(
            CRC64NVME.checksum([UInt8](repeating: 0, count: 4096).span) == 0x6482_d367_eb22_b64e)
        #expect(
            CRC64NVME.checksum([UInt8](repeating: 0xFF, count: 4096).span) == 0xc0dd_ba73_02ec_a3ac)
        #expect(CRC64NVME.checksum(Array("123456789".utf8).span) == 0xae8b_1486_0a79_9888)
        #expect(CRC64NVME.checksum(Span()) == 0)
    }

    @Test(arguments: [1, 7, 8, 9, 63, 1000, 4097])
    func `any pieces give what the definition gives for the whole`(_ count: Int) {
        let bytes = TestData.random(count, seed: UInt64(count))
        let expected = Self.reference(bytes)
        #expect(CRC64NVME.checksum(bytes.span) == expected)
        for cut in [0, 1, count / 2, count - 1, count] {
            let first = CRC64NVME.checksum(bytes.span.extracting(..<cut))
            let whole = CRC64NVME.checksum(bytes.span.extracting(cut...), continuing: first)
            #expect(whole == expected)
        }
    }
}
