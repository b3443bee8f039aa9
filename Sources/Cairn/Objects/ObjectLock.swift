// Part of Cairn, a content-addressed blob store.

public import CairnCore

/// Until when a version of an object cannot be deleted, as S3's Object Lock has it.
public struct Retention: Hashable, Sendable {
    /// Who may end a retention before its time.
    public enum Mode: UInt8, Hashable, Sendable, CaseIterable {
        // On disk: never renumber.
        /// Whoever says that he means to: see `bypassingGovernance`.
        case governance = 1
        /// Nobody. It can be made longer, and nothing else.
        case compliance = 2
    }

    /// The longest retention from now on, in days (as in S3: 100 years).
    public static let dayCountMax = 36_500

    /// Who may end it.
    public var mode: Mode
    /// The moment from which on the version may be deleted.
    public var until: Timestamp

    /// Makes a retention.
    public init(_ mode: Mode, until: Timestamp) {
        self.mode = mode
        self.until = until
    }
}

/// What a bucket gives to new versions of objects that come without a retention of their own; one
/// that they have may be shorter, as in S3.
public struct DefaultRetention: Hashable, Sendable {
    /// Who may end it.
    public var mode: Retention.Mode
    /// How long it is from the writing of the version on: 1 s to 100 years, in whole seconds; a
    /// fraction is dropped.
    public var period: Duration

    /// Makes a default.
    public init(_ mode: Retention.Mode, for period: Duration) {
        self.mode = mode
        self.period = period
    }

    func check() throws(StoreError) {
        guard period >= .seconds(1), period <= .days(Retention.dayCountMax) else {
            throw StoreError(
                .invalidArgument,
                "a retention is 1 second to \(Retention.dayCountMax) days long")
        }
    }
}

/// What keeps a version of an object from being deleted or replaced.
///
/// The store holds to its own clock: whoever can set that forward can end retentions. Destroying
/// the customer key of a bucket makes locked objects unreadable like all others.
public struct ObjectLock: Hashable, Sendable {
    /// Until when; nil is no retention.
    public var retention: Retention?
    /// Whether the version stays until this is taken away, whatever the date (S3: legal hold).
    public var hasLegalHold: Bool

    /// No lock.
    public static let none = ObjectLock()

    /// Makes a lock.
    public init(retention: Retention? = nil, hasLegalHold: Bool = false) {
        self.retention = retention
        self.hasLegalHold = hasLegalHold
    }

    /// The moment from which on nothing locks the version; nil when there is no lock at all.
    var end: Timestamp? {
        hasLegalHold ? Timestamp(nanosecondsSinceEpoch: .max) : retention?.until
    }

    /// Fails while the version may not be deleted or replaced.
    func checkDeletable(
        at now: Timestamp, bypassingGovernance: Bool
    ) throws(StoreError) {
        guard !hasLegalHold else {
            throw StoreError(.objectLocked, "a legal hold keeps the version of the object")
        }
        guard let retention, retention.until > now else { return }
        guard retention.mode == .governance, bypassingGovernance else {
            throw StoreError(.objectLocked, "a retention keeps the version of the object")
        }
    }

    /// Fails when a retention may not take the place of this one.
    func checkReplaceable(
        by other: Retention?, at now: Timestamp, bypassingGovernance: Bool
    ) throws(StoreError) {
        guard let retention, retention.until > now else { return }
        let isLonger = other.map { $0.until >= retention.until } ?? false
        switch retention.mode {
        case .compliance:
            guard isLonger, other?.mode == .compliance else {
                throw StoreError(
                    .objectLocked, "a retention in compliance mode can only be made longer")
            }
        case .governance:
            guard isLonger || bypassingGovernance else {
                throw StoreError(
                    .objectLocked, "a retention is made shorter only by who bypasses governance")
            }
        }
    }

    /// - Throws: ``StoreError`` with code `invalidArgument` (over before it begins, or too long).
    func check(at now: Timestamp) throws(StoreError) {
        guard let retention else { return }
        guard retention.until > now, retention.until <= now + .days(Retention.dayCountMax) else {
            throw StoreError(
                .invalidArgument,
                "a retention ends in the future, in at most \(Retention.dayCountMax) days")
        }
    }
}

// lock := flags:u8 until:i64
//   flags: bit 0 legal hold, bits 1 and 2 the mode of the retention; until is 0 without one
extension ObjectLock {
    private static let holdFlag: UInt8 = 1

    var flags: UInt8 {
        (hasLegalHold ? Self.holdFlag : 0) | (retention?.mode.rawValue ?? 0) << 1
    }

    var untilNanoseconds: Int64 { retention?.until.nanosecondsSinceEpoch ?? 0 }

    init(flags: UInt8, untilNanoseconds: Int64) throws(CoreError) {
        hasLegalHold = flags & Self.holdFlag != 0
        let mode = Retention.Mode(rawValue: flags >> 1)
        retention = mode.map {
            Retention($0, until: Timestamp(nanosecondsSinceEpoch: untilNanoseconds))
        }
        guard mode != nil || flags >> 1 == 0 && untilNanoseconds == 0 else {
            throw CoreError(.corrupted, "a lock of an object is of an unknown kind")
        }
    }
}
