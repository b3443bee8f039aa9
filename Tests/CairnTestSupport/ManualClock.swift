// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import Synchronization

/// A clock that moves only when a test says so.
public final class ManualClock: StoreClock {
    private let time: Mutex<Timestamp>

    /// A clock that begins at 2026-01-01T00:00:00Z, unless told otherwise.
    public init(_ start: Timestamp = Timestamp(nanosecondsSinceEpoch: 1_767_225_600_000_000_000)) {
        time = Mutex(start)
    }

    /// The moment the clock was last set to.
    public func now() -> Timestamp { time.withLock { $0 } }

    /// Moves the clock, backwards for a negative duration.
    public func advance(by duration: Duration) { time.withLock { $0 = $0 + duration } }
}
