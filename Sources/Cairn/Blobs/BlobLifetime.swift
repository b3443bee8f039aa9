// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// How long a blob stays in a bucket while no object refers to it.
public enum BlobLifetime: Hashable, Sendable {
    /// Until somebody deletes it.
    case untilDeleted
    /// So long from now on, more than nothing; then the next sweep takes it away, unless objects
    /// refer to it. Whoever names the blob in an object until then need not hurry.
    case leased(Duration)

    /// A day: time for the slowest push of an image to come to its manifest.
    public static let leaseDefault = Duration.seconds(24 * 3600)
    /// For ``leaseDefault``.
    public static var leased: Self { .leased(leaseDefault) }
}

/// What keeps a blob in its bucket beside the objects that refer to it.
enum BlobHold: Hashable, Sendable {
    /// Nothing: it is the body of an object, and goes with the last one.
    case object
    case pin
    case lease(until: Timestamp)

    /// - Throws: ``StoreError`` with code `invalidArgument` for a lease that is over at once.
    init(_ lifetime: BlobLifetime, at now: Timestamp) throws(StoreError) {
        switch lifetime {
        case .untilDeleted: self = .pin
        case .leased(let duration):
            guard duration > .zero else {
                throw StoreError(.invalidArgument, "a lease lasts longer than nothing")
            }
            self = .lease(until: Self.leaseEnd(duration, at: now))
        }
    }

    // Rounded up to a sixteenth of the duration: who renews again and again writes seldom.
    private static func leaseEnd(_ duration: Duration, at now: Timestamp) -> Timestamp {
        let end = (now + duration).nanosecondsSinceEpoch
        let step = max(
            1, (Timestamp(nanosecondsSinceEpoch: 0) + duration / 16).nanosecondsSinceEpoch)
        let (sum, overflow) = end.addingReportingOverflow(step - 1)
        return Timestamp(nanosecondsSinceEpoch: overflow ? end : sum - sum % step)
    }
}
