// Part of Cairn, a content-addressed blob store.

internal import Glibc

/// Tells what time it is; the store never asks anything else.
///
/// Calls may come from any thread.
public protocol StoreClock: Sendable {
    /// The current moment. It may jump, also backwards, when someone sets the clock.
    func now() -> Timestamp

    /// How long it is since some moment in the past. It never jumps and never runs backwards while
    /// the process lives, whatever is done to the clock.
    func uptime() -> Duration
}

/// The clock of the operating system.
public struct SystemClock: StoreClock {
    /// Creates a clock; all of them tell the same time.
    public init() {}

    /// The current moment.
    public func now() -> Timestamp {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanosecondsSinceEpoch: 0) + .seconds(time.tv_sec)
            + .nanoseconds(time.tv_nsec)
    }

    /// The time since the machine was started, suspensions included.
    public func uptime() -> Duration {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
