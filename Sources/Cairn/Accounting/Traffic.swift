// Part of Cairn, a content-addressed blob store.

/// Who got bytes, as far as it matters for their price.
public enum TransferClass: UInt8, Hashable, Sendable, CaseIterable {
    // On disk the place in a row: append, never reorder.
    /// Somebody who has not said who he is.
    case anonymous = 0
    /// Somebody who has.
    case signedIn = 1
    /// Somebody in the same region, which costs nothing.
    case sameRegion = 2

    /// The name in the command line and in JSON.
    public var name: String {
        switch self {
        case .anonymous: "anonymous"
        case .signedIn: "signedIn"
        case .sameRegion: "sameRegion"
        }
    }
}

/// What was asked for.
public enum RequestKind: UInt8, Hashable, Sendable, CaseIterable {
    // On disk the place in a row: append, never reorder.
    /// A blob, its bytes or whether it is there.
    case blobRead = 0
    /// A blob to be stored, or a part of one.
    case blobWrite = 1
    /// An object: a manifest, or whether it is there.
    case objectRead = 2
    /// An object to be stored.
    case objectWrite = 3
    /// A list.
    case list = 4
    /// Something to be deleted.
    case delete = 5

    /// The name in the command line and in JSON.
    public var name: String {
        switch self {
        case .blobRead: "blobRead"
        case .blobWrite: "blobWrite"
        case .objectRead: "objectRead"
        case .objectWrite: "objectWrite"
        case .list: "list"
        case .delete: "delete"
        }
    }
}

/// Bytes that were delivered, by who got them, and requests, by what was asked for.
public struct Traffic: Hashable, Sendable {
    // Transfers first, then requests.
    private var counts = SIMD16<UInt64>()
    private static let requestOffset = TransferClass.allCases.count
    static let countMax = requestOffset + RequestKind.allCases.count

    /// None.
    public init() {}

    init(counts: [UInt64]) {
        for (index, count) in counts.prefix(Self.countMax).enumerated() {
            self.counts[index] = count
        }
    }

    var all: [UInt64] { (0..<Self.countMax).map { counts[$0] } }

    /// Whether there was none.
    public var isZero: Bool { counts == SIMD16() }

    /// Bytes that were delivered.
    public subscript(transfer: TransferClass) -> UInt64 {
        get { counts[Int(transfer.rawValue)] }
        set { counts[Int(transfer.rawValue)] = newValue }
    }

    /// Requests.
    public subscript(request: RequestKind) -> UInt64 {
        get { counts[Self.requestOffset + Int(request.rawValue)] }
        set { counts[Self.requestOffset + Int(request.rawValue)] = newValue }
    }

    /// Adds up; no sum of bytes that were ever sent has 64 bits.
    public static func + (lhs: Self, rhs: Self) -> Self {
        var sum = lhs
        sum.counts = lhs.counts &+ rhs.counts
        return sum
    }
}
