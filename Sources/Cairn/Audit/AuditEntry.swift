// Part of Cairn, a content-addressed blob store.

public import CairnCore
public import CairnKeys

/// One line of the audit log: a use of a customer key, or an administrative act.
public struct AuditEntry: Hashable, Sendable {
    /// What was done, as AWS KMS names it where it has a name: `Decrypt`, `DisableKey`; other acts
    /// have names of Cairn's own, such as `ShredBucket`.
    public let action: String
    /// The id of the customer key, or what the caller wrote where that led to none; empty where
    /// none is concerned.
    public let key: String
    /// The encryption context of the call.
    public let context: EncryptionContext
    /// On whose behalf the key service was called; empty for the store itself.
    public let principal: String
    /// What else tells the act from others of its kind: an alias, a name, a number of days.
    public let detail: String
    /// `ok`, or the code of the error.
    public let outcome: String
    /// Grows by one from entry to entry, over restarts.
    public let sequence: UInt64
    /// When it was recorded.
    public let time: Timestamp
}

/// Where an audit log ends: note it elsewhere, and a log that was cut off or replaced shows.
public struct AuditHead: Hashable, Sendable, CustomStringConvertible {
    /// The number of the last entry; 0 before the first.
    public let sequence: UInt64
    let code: Octets32

    init(sequence: UInt64, code: Octets32) {
        self.sequence = sequence
        self.code = code
    }

    /// Reads what ``description`` wrote.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let sequence = UInt64(parts[0]),
            let bytes = Hex.decode(String(parts[1])), bytes.count == Octets32.byteCount
        else { return nil }
        self.init(sequence: sequence, code: Octets32(bytes.span))
    }

    /// The number and the authentication code, which depends on every entry before it.
    public var description: String { "\(sequence):\(Hex.encode(code.bytes))" }

    static let start = AuditHead(sequence: 0, code: Octets32())
}

/// What a check of the audit log has found.
public struct AuditReport: Hashable, Sendable {
    /// Problems named are bounded; ``problemCount`` counts on.
    public static let problemCountMax = 100

    /// Entries that are there and genuine.
    public internal(set) var entryCount: UInt64 = 0
    /// The first of them; later than 1 when older ones were removed to save room.
    public internal(set) var firstSequence: UInt64 = 0
    /// Where the log ends.
    public internal(set) var head = AuditHead.start
    /// The problems, at most ``problemCountMax``.
    public internal(set) var problems: [String] = []
    /// How many problems there are.
    public internal(set) var problemCount: UInt64 = 0

    /// Whether the log is complete and nothing in it was changed.
    public var isSound: Bool { problemCount == 0 }

    mutating func add(_ problem: String) {
        problemCount += 1
        if problems.count < Self.problemCountMax { problems.append(problem) }
    }
}
