// Part of Cairn, a content-addressed blob store.

/// What is counted of a bucket, an account and the store.
///
/// On disk the number is a place in the row: append, never reorder.
enum UsageCounter: Int, CaseIterable, Sendable {
    case blobs = 0
    case logicalBytes = 1
    case objects = 2
    /// Older versions of objects and delete markers.
    case olderVersions = 3
    /// Of the logical bytes those of blobs that something else links too.
    case sharedBytes = 4
    /// Of the logical bytes those of blobs that somebody else has linked first.
    case unownedBytes = 5
    /// The logical bytes less the bucket's part in them, where each is split among all who link it.
    case sharedDiscount = 6
    /// Bytes of checkpoints of upload sessions and of parts of multipart uploads.
    case inFlightBytes = 7
    /// Upload sessions with a checkpoint, and multipart uploads that are open.
    case uploads = 8
    /// Bytes of the records of chunks that the bucket has brought.
    case storedBytes = 9
    /// The bytes in these records before they were compressed.
    case uncompressedBytes = 10

    /// Whether it is about what lies in segments: that outlives the bucket which has brought it.
    var isPhysical: Bool {
        switch self {
        case .storedBytes, .uncompressedBytes: true
        default: false
        }
    }
}

/// One number for each counter, or one change.
///
/// Not a vector: those want an alignment that frames of asynchronous functions do not have.
struct UsageCounts: Sendable {
    private var lanes = InlineArray<16, Int64>(repeating: 0)

    var isZero: Bool { lanes.indices.allSatisfy { lanes[$0] == 0 } }

    subscript(counter: UsageCounter) -> Int64 {
        get { lanes[counter.rawValue] }
        set { lanes[counter.rawValue] = newValue }
    }

    /// A count below zero cannot be; the verification reports it.
    func magnitude(_ counter: UsageCounter) -> UInt64 { UInt64(max(0, self[counter])) }

    /// - Throws: ``StoreError`` with code `limitExceeded` when the sum has more than 63 bits.
    mutating func add(_ delta: Int64, to counter: UsageCounter) throws(StoreError) {
        let (sum, overflow) = self[counter].addingReportingOverflow(delta)
        guard !overflow else {
            throw StoreError(.limitExceeded, "a count of bytes has more than 63 bits")
        }
        self[counter] = sum
    }

    mutating func add(_ other: UsageCounts) throws(StoreError) {
        for counter in UsageCounter.allCases where other[counter] != 0 {
            try add(other[counter], to: counter)
        }
    }

    var negated: UsageCounts {
        var counts = self
        for index in lanes.indices { counts.lanes[index] = 0 &- lanes[index] }
        return counts
    }

    /// Those that are, or are not, about what lies in segments.
    func filtered(physical isPhysical: Bool) -> UsageCounts {
        var counts = self
        for counter in UsageCounter.allCases where counter.isPhysical != isPhysical {
            counts[counter] = 0
        }
        return counts
    }

    /// The bytes that are paid for.
    func chargedBytes(_ mode: ChargingMode) -> Int64 {
        switch mode {
        case .logical: self[.logicalBytes]
        case .unique: self[.logicalBytes] &- self[.unownedBytes]
        case .fairShare: self[.logicalBytes] &- self[.sharedDiscount]
        }
    }
}

/// Who pays for the bytes of a blob that several buckets of an account have.
public enum ChargingMode: UInt8, Hashable, Sendable, CaseIterable {
    // On disk: never renumber.
    /// Each of them, in full: the default.
    case logical = 0
    /// The one that has had it first; when that gives it up, one of those that came next.
    case unique = 1
    /// All of them in equal parts.
    ///
    /// To the byte among up to 33 buckets. Among more, whoever comes or goes shares with 32 others:
    /// the parts always add up to the blob, and stay close to each other.
    case fairShare = 2

    /// The name in the command line and in JSON.
    public var name: String {
        switch self {
        case .logical: "logical"
        case .unique: "unique"
        case .fairShare: "fairShare"
        }
    }
}
