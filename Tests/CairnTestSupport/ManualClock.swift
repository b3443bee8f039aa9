// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import Synchronization

/// A clock that moves only when a test says so.
public final class ManualClock: StoreClock {
    private let time: Mutex<Timestamp>
    private let passed = Mutex(Duration.zero)

    /// A clock that begins at 2026-01-01T00:00:00Z, unless told otherwise.
    public init(_ start: Timestamp = Timestamp(nanosecondsSinceEpoch: 1_767_225_600_000_000_000)) {
        time = Mutex(start)
    }

    /// The moment the clock was last set to.
    public func now() -> Timestamp { time.withLock { $0 } }

    /// The time that has passed, which is none while the clock is set back or stepped.
    public func uptime() -> Duration { passed.withLock { $0 } }

    /// Lets time pass; a negative duration sets the clock back.
    public func advance(by duration: Duration) {
        time.withLock { $0 = $0 + duration }
        if duration > .zero { passed.withLock { $0 += duration } }
    }

    /// Sets the clock forward or back, without any time passing.
    public func step(by duration: Duration) { time.withLock { $0 = $0 + duration } }
}
