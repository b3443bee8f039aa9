// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTesting
import Testing

@testable import CairnSegments

/// Numbers that are the same in every run.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        // xorshift64*, of which no more is asked than to spread.
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }

    /// A slice of a pool, since making each byte anew would be most of what a test does.
    mutating func bytes(_ count: Int) -> [UInt8] {
        let start = Int.random(in: 0...Self.pool.count - count, using: &self)
        return Array(Self.pool[start..<start + count])
    }

    private static let pool: [UInt8] = {
        var numbers = SeededNumbers(seed: 0)
        return (0..<64 << 10).map { _ in UInt8(truncatingIfNeeded: numbers.next() >> 32) }
    }()
}

/// A record without protection, put together here from its published layout and not by the code
/// that stores use.
func makeRecord(_ payload: [UInt8], name: UInt8 = 0) -> [UInt8] {
    var writer = ByteWriter()
    writer.append([UInt8]("CRN1".utf8))
    writer.append([1, 0, 0, 0] as [UInt8])
    writer.append(UInt32(7))
    writer.append(UInt32(payload.count))
    writer.append(UInt32(payload.count))
    writer.append([UInt8](repeating: name, count: 32))
    writer.appendZeros(12)
    writer.appendChecksum()
    var payloadAndTag = payload
    payloadAndTag.append(contentsOf: [UInt8](repeating: 0, count: 16))
    writer.append(payloadAndTag)
    writer.append(CRC32C.checksum(payloadAndTag.span))
    writer.appendZeros((8 - writer.byteCount % 8) % 8)
    return writer.bytes
}

private func makeStoreID() -> Octets16 {
    let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    return Octets16(bytes.span)
}

let testStoreID = makeStoreID()

extension SegmentConfiguration {
    /// Sizes at which everything that is rare happens all the time.
    static var tiny: SegmentConfiguration {
        var configuration = SegmentConfiguration()
        configuration.segmentByteCount = 32 << 10
        configuration.bufferByteCount = 8 << 10
        configuration.bufferCountMax = 2
        configuration.reservedByteCountMin = 8 << 10
        configuration.reservedByteCountMax = 16 << 10
        configuration.readFileCountMax = 2
        return configuration
    }
}

extension LocalSegmentStore {
    static func openTiny(_ disk: any Disk) throws(SegmentError) -> LocalSegmentStore {
        try open(disk: disk, storeID: testStoreID, configuration: .tiny)
    }

    func append(_ record: [UInt8]) throws(SegmentError) -> RecordLocation {
        try append(byteCount: record.count) { (bytes) throws(CoreError) in
            bytes.copy(record.span)
        }
    }

    func read(_ location: RecordLocation) throws(SegmentError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: Int(location.byteCount))
        var span = bytes.mutableSpan
        try read(location, into: &span)
        return bytes
    }

    func read(
        _ segment: SegmentNumber, _ range: Range<UInt64>
    ) throws(SegmentError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: range.count)
        var span = bytes.mutableSpan
        try read(segment: segment, offset: range.lowerBound, into: &span)
        return bytes
    }

    /// All intact records of a segment, and what else the walk has found.
    func records(
        _ segment: SegmentNumber
    ) throws(SegmentError) -> ([RecordLocation: [UInt8]], SegmentScanReport) {
        var found: [RecordLocation: [UInt8]] = [:]
        let report = try scan(segment) { (_, location, bytes) throws(SegmentError) in
            found[location] = [UInt8](copying: bytes)
        }
        return (found, report)
    }
}

func path(_ segment: SegmentNumber) -> String { "segments/\(segment).segment" }

/// Runs a call and returns the code of the error that it throws.
func code(_ body: () throws(SegmentError) -> Void) -> SegmentError.Code? {
    do {
        try body()
        return nil
    } catch {
        return error.code
    }
}

func diskCode(_ body: () throws(DiskError) -> Void) -> DiskError.Code? {
    do {
        try body()
        return nil
    } catch {
        return error.code
    }
}
