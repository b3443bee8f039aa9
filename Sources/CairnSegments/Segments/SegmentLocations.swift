// Part of Cairn, a content-addressed blob store.

/// The number of a segment, from 1 on; never used twice by one store.
package struct SegmentNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number that reaches the disk.
    package let rawValue: UInt32

    /// Wraps a number.
    package init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// Whether the left segment was begun first.
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }

    /// Eight hexadecimal digits, as in the name of the file.
    package var description: String {
        let digits = String(rawValue, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

/// Where a record lies: what the index keeps.
package struct RecordLocation: Hashable, Sendable {
    /// The segment that holds it.
    package let segment: SegmentNumber

    /// The first byte, counted from the start of the file: a multiple of 8.
    package let offset: UInt64

    /// The whole record with its framing and padding.
    package let byteCount: UInt32

    /// Names a place; whether anything is there shows when it is read.
    package init(segment: SegmentNumber, offset: UInt64, byteCount: UInt32) {
        self.segment = segment
        self.offset = offset
        self.byteCount = byteCount
    }
}

/// What a store says about one of its segments.
package struct SegmentSummary: Hashable, Sendable {
    /// Which segment.
    package let number: SegmentNumber

    /// Whether it will never change again.
    package let isSealed: Bool

    /// The length: header, records, padding and footer, without what is only reserved.
    package let byteCount: UInt64

    /// How many whole records it holds; nil when the footer that says so is damaged.
    package let recordCount: UInt64?
}

/// What walking through a segment has shown.
package struct SegmentScanReport: Hashable, Sendable {
    /// How many whole records were found.
    package internal(set) var recordCount: UInt64 = 0

    /// Where the last of them ends.
    package internal(set) var endOffset: UInt64

    /// Bytes that are no part of a segment as it was written, in ascending order.
    ///
    /// In a segment that was recovered after a crash these may be remnants of records that were
    /// never acknowledged; a record that the index refers to never is one.
    package internal(set) var damage: [Range<UInt64>] = []

    /// Whether the segment was sealed by recovery, not by its writer.
    package internal(set) var isRecovered = false
}
