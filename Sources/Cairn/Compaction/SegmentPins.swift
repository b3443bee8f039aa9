// Part of Cairn, a content-addressed blob store.

internal import Synchronization

/// Keeps every segment while somebody reads an old view of the chunk table. Thread-safe.
final class SegmentPins: Sendable {
    private let count = Mutex(0)

    var isFree: Bool { count.withLock { $0 == 0 } }

    /// Until the pin goes, no segment is removed.
    func pin() -> SegmentPin {
        count.withLock { $0 += 1 }
        return SegmentPin(self)
    }

    fileprivate func release() { count.withLock { $0 -= 1 } }
}

final class SegmentPin: Sendable {
    private let pins: SegmentPins

    fileprivate init(_ pins: SegmentPins) { self.pins = pins }

    deinit { pins.release() }
}
