// Part of Cairn, a content-addressed blob store.

/// The sizes that a segment store works with.
///
/// None of them is part of the format.
package struct SegmentConfiguration: Hashable, Sendable {
    /// The longest that a segment file grows, header and footer included.
    ///
    /// 256 MiB: few enough files for a large store, small enough to rewrite one when compacting.
    package var segmentByteCount: UInt64 = 256 << 20

    /// The room of one write buffer, and so the most that one append can take.
    ///
    /// Room for four chunks of 1 MiB with their framing, or for one record of the largest chunk;
    /// about 4 MiB at once is what a direct write needs to run at the speed of the device.
    package var bufferByteCount = (4 << 20) + (64 << 10)

    /// How many write buffers there are at most: one being filled, others on their way to disk.
    package var bufferCountMax = 4

    /// The room that is reserved first in a new segment; each further step is twice as large.
    package var reservedByteCountMin: UInt64 = 4 << 20

    /// The largest step in which room is reserved.
    package var reservedByteCountMax: UInt64 = 64 << 20

    /// Bytes of the disk that appending leaves free, for the index and whatever else shares it.
    package var freeByteCountMin: UInt64 = 0

    /// How many descriptors are kept open for reading.
    package var readFileCountMax = 64

    /// The defaults.
    package init() {}

    /// Refuses sizes that cannot work together.
    package func validate() throws(SegmentError) {
        let block = UInt64(SegmentFormat.blockByteCount)
        let overhead = 2 * block
        guard bufferByteCount >= 2 * Int(block), bufferByteCount % Int(block) == 0,
            UInt64(bufferByteCount) <= UInt64(UInt32.max)
        else { throw Self.refusal("bufferByteCount") }
        guard segmentByteCount % block == 0, segmentByteCount >= overhead + UInt64(bufferByteCount)
        else { throw Self.refusal("segmentByteCount") }
        guard bufferCountMax >= 1 else { throw Self.refusal("bufferCountMax") }
        guard readFileCountMax >= 1 else { throw Self.refusal("readFileCountMax") }
        guard reservedByteCountMin > 0, reservedByteCountMin <= reservedByteCountMax
        else { throw Self.refusal("reservedByteCountMin") }
    }

    private static func refusal(_ field: String) -> SegmentError {
        SegmentError(.invalidArgument, "the segment configuration's \(field) cannot work")
    }
}
