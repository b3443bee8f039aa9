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
    // Transfers first, then requests; empty where there was none, for a bill has very many.
    private var counts: [UInt64] = []
    private static let requestOffset = TransferClass.allCases.count
    static let countMax = requestOffset + RequestKind.allCases.count

    /// None.
    public init() {}

    init(counts: [UInt64]) {
        guard counts.contains(where: { $0 > 0 }) else { return }
        self.counts = Array(counts.prefix(Self.countMax))
        self.counts += [UInt64](repeating: 0, count: Self.countMax - self.counts.count)
    }

    var all: [UInt64] { counts.isEmpty ? [UInt64](repeating: 0, count: Self.countMax) : counts }

    /// Whether there was none.
    public var isZero: Bool { counts.isEmpty }

    /// Bytes that were delivered.
    public subscript(transfer: TransferClass) -> UInt64 {
        get { self[Int(transfer.rawValue)] }
        set { self[Int(transfer.rawValue)] = newValue }
    }

    /// Requests.
    public subscript(request: RequestKind) -> UInt64 {
        get { self[Self.requestOffset + Int(request.rawValue)] }
        set { self[Self.requestOffset + Int(request.rawValue)] = newValue }
    }

    private subscript(index: Int) -> UInt64 {
        get { counts.isEmpty ? 0 : counts[index] }
        set {
            if counts.isEmpty { counts = all }
            counts[index] = newValue
        }
    }

    /// Adds up; no sum of bytes that were ever sent has 64 bits.
    public static func + (lhs: Self, rhs: Self) -> Self {
        if lhs.isZero { return rhs }
        if rhs.isZero { return lhs }
        var sum = lhs
        for index in 0..<countMax { sum.counts[index] &+= rhs.counts[index] }
        return sum
    }
}
