// Part of Cairn, a content-addressed blob store.
import Testing

@testable import cairn

@Suite struct `Progress on a terminal` {
    @Test func `a line has the share, the bytes, their rate and the time left`() {
        var line = ProgressLine(label: "layer.tar", totalByteCount: 4_000_000)
        line.byteCount = 1_000_000
        #expect(
            line.text(after: .seconds(2), columnCount: 80)
                == "layer.tar  25 %  1.0 MB of 4.0 MB  500.0 kB/s  0:06 left")
    }

    @Test func `a line without a known total makes no promise`() {
        var line = ProgressLine(label: "-")
        line.byteCount = 1500
        line.note = "3 blobs"
        #expect(
            line.text(after: .seconds(1), columnCount: 80) == "-  1.5 kB  1.5 kB/s  3 blobs")
        #expect(line.text(after: .zero, columnCount: 80) == "-  1.5 kB  0 B/s  3 blobs")
    }

    @Test(arguments: 1...60)
    func `a line never wraps`(_ columnCount: Int) {
        var line = ProgressLine(label: String(repeating: "long", count: 20), totalByteCount: 9)
        line.byteCount = 12
        #expect(line.text(after: .seconds(1), columnCount: columnCount).count < columnCount)
    }

    @Test func `quantities are short`() {
        #expect(Quantity.bytes(0) == "0 B")
        #expect(Quantity.bytes(999) == "999 B")
        #expect(Quantity.bytes(1000) == "1.0 kB")
        #expect(Quantity.bytes(999_949) == "999.9 kB")
        #expect(Quantity.bytes(999_951) == "1.0 MB")
        #expect(Quantity.bytes(.max) == "18.4 EB")
        #expect(Quantity.time(0) == "0:00")
        #expect(Quantity.time(59.2) == "1:00")
        #expect(Quantity.time(3661) == "1:01:01")
        #expect(Quantity.time(.infinity) == "99:59:59")
        #expect(Quantity.ratio(3, to: 2) == "1.5")
        #expect(Quantity.ratio(3, to: 0) == nil)
    }
}
