// Part of Cairn, a content-addressed blob store.

package import CairnCore

/// Append-only files of records.
///
/// All calls block the thread and may be made from any thread. Closures given to it must not call
/// it. Records are opaque here but for their header and their checksums: no keys are needed.
package protocol SegmentStore: Sendable {
    /// The most bytes that one append can take.
    var appendByteCountMax: Int { get }

    /// Reserves contiguous bytes and lets `fill` write whole records there, without a copy.
    ///
    /// Not durable before the next ``sync()`` that is called after this returned; readable at
    /// once. Other appends go on while `fill` runs.
    ///
    /// - Parameters:
    ///   - byteCount: A multiple of 8, from 16 to ``appendByteCountMax``.
    ///   - purpose: What the room is for, which decides how much of the disk it may take.
    ///   - fill: Overwrites every byte of its span with one or more whole records; what the span
    ///     holds before is unspecified.
    /// - Throws: ``SegmentError`` with code
    ///   `fillFailed` (`fill` threw: the reserved bytes are marked void, nothing else is lost),
    ///   `invalidArgument` (the bytes are no sequence of whole records: as above),
    ///   `limitExceeded` (nothing was stored),
    ///   `outOfSpace`, `readOnly`, `tooManyFiles` (nothing was stored; may succeed later, unless
    ///   a write failed: then every later append throws the same),
    ///   `io` (reopen the store), `closed`.
    func append(
        byteCount: Int, for purpose: AppendPurpose,
        _ fill: (inout MutableSpan<UInt8>) throws(CoreError) -> Void
    ) throws(SegmentError) -> RecordLocation

    /// Makes everything durable that was appended before the call.
    ///
    /// Callers that wait at the same time share one sync of the disk.
    ///
    /// - Throws: ``SegmentError``; from then on every append and sync throws the same error until
    ///   the store is reopened, since nobody can know which bytes are safe.
    func sync() throws(SegmentError)

    /// Fails as the next append and sync would for an earlier failure. Waits for no disk.
    ///
    /// - Throws: ``SegmentError``, as ``sync()``.
    func checkWritable() throws(SegmentError)

    /// Reads what an append returned, also before it was synced or written.
    ///
    /// - Parameter bytes: Exactly as long as the location says.
    /// - Throws: ``SegmentError`` with code `segmentUnknown` or `locationInvalid` (the location is
    ///   stale), `corrupted` (the file is damaged), `io`, `tooManyFiles`, `closed` or
    ///   `invalidArgument`. Whether the bytes are the record that was expected is for the caller
    ///   to check, by its checksums and its tag.
    func read(
        _ location: RecordLocation, into bytes: inout MutableSpan<UInt8>
    ) throws(SegmentError)

    /// Reads any range of what a segment holds, for several records that lie close together.
    ///
    /// Waits for appends within the range that are being filled. Throws like
    /// ``read(_:into:)``.
    func read(
        segment: SegmentNumber, offset: UInt64, into bytes: inout MutableSpan<UInt8>
    ) throws(SegmentError)

    /// All segments in ascending order.
    ///
    /// The first call after opening reads the footer of every sealed segment.
    func segments() throws(SegmentError) -> [SegmentSummary]

    /// Walks through a segment and calls `body` with each whole record, in ascending order.
    ///
    /// Checks every byte: both checksums of each record, padding, header and footer. What fails is
    /// skipped and part of the answer; the walk goes on behind it.
    ///
    /// - Returns: What was found. A caller who wants all or nothing checks that `damage` is empty.
    /// - Throws: What `body` throws, or ``SegmentError`` like ``read(_:into:)``.
    func scan(
        _ segment: SegmentNumber,
        _ body: (RecordHeader, RecordLocation, Span<UInt8>) throws(SegmentError) -> Void
    ) throws(SegmentError) -> SegmentScanReport

    /// Seals the segment that is being written; the next append begins another.
    ///
    /// Everything appended before the call is durable on return.
    func seal() throws(SegmentError)

    /// Removes a sealed segment, durably. Reads under way finish undisturbed.
    ///
    /// - Throws: ``SegmentError`` with code `segmentUnknown`, `invalidArgument` (it is not
    ///   sealed) or `io`.
    func delete(_ segment: SegmentNumber) throws(SegmentError)

    /// Seals and ends the store: everything appended is durable, every later call throws `closed`.
    ///
    /// Idempotent. Throws the error of an earlier failed write or sync, and closes all the same.
    func close() throws(SegmentError)
}

/// What an append is for.
package enum AppendPurpose: Hashable, Sendable {
    /// New bytes.
    case storing
    /// Bytes that are moved so that a segment can go: may use most of what is reserved.
    case reclaiming
}

extension SegmentStore {
    /// Appends new bytes; see ``append(byteCount:for:_:)``.
    package func append(
        byteCount: Int, _ fill: (inout MutableSpan<UInt8>) throws(CoreError) -> Void
    ) throws(SegmentError) -> RecordLocation {
        try append(byteCount: byteCount, for: .storing, fill)
    }

    /// Walks through a segment without looking at the bytes of its records.
    package func scan(
        _ segment: SegmentNumber,
        _ body: (RecordHeader, RecordLocation) throws(SegmentError) -> Void
    ) throws(SegmentError) -> SegmentScanReport {
        try scan(segment) { (header, location, _) throws(SegmentError) in
            try body(header, location)
        }
    }
}
