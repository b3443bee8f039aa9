// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import Synchronization

/// The last time that a customer key was used (KMS `GetKeyLastUsage`).
public struct KeyUse: Hashable, Sendable {
    /// What it was used for, as AWS KMS names it: `Decrypt`.
    public let operation: String
    /// When.
    public let time: Timestamp

    /// The uses of key material, by their names in AWS KMS.
    enum Operation: String {
        case generateDataKey = "GenerateDataKey"
        case generateDataKeyWithoutPlaintext = "GenerateDataKeyWithoutPlaintext"
        case encrypt = "Encrypt"
        case decrypt = "Decrypt"
        case reEncrypt = "ReEncrypt"
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 48)
        writer.append(rowVersion)
        writer.append(time.nanosecondsSinceEpoch)
        writer.appendLengthPrefixed(operation)
        return writer.bytes
    }

    init(operation: String, time: Timestamp) {
        self.operation = operation
        self.time = time
    }

    init(decoding bytes: [UInt8]) throws(CoreError) {
        var reader = ByteReader(bytes.span)
        try readRowVersion(&reader)
        time = Timestamp(nanosecondsSinceEpoch: try reader.readInt64())
        operation = try reader.readString(limit: 64)
        try reader.expectEnd()
    }
}

/// The last use of each key: exact in memory, noted in the index with the end of the audit log,
/// and found again in the log when a process died in between.
final class KeyUses: Sendable {
    private struct State {
        var uses: [String: KeyUse] = [:]
        var unnoted: Set<String> = []
    }

    /// As many as a keyring has keys; an external provider's may be more, and go unnoted.
    private static let countMax = 10_000
    private let state = Mutex(State())

    subscript(key: KeyID) -> KeyUse? { state.withLock { $0.uses[key.text] } }

    /// Notes an entry of the audit log, if it is one about the use of a key that succeeded.
    func note(_ entry: AuditEntry) {
        guard KeyUse.Operation(rawValue: entry.action) != nil, entry.outcome == AuditEvent.success,
            !entry.key.isEmpty
        else { return }
        let key = entry.key
        let use = KeyUse(operation: entry.action, time: entry.time)
        state.withLock { state in
            guard state.uses[key] != nil || state.uses.count < Self.countMax else { return }
            state.uses[key] = use
            state.unnoted.insert(key)
        }
    }

    func load(_ index: any Index) throws(StoreError) {
        var loaded: [String: KeyUse] = [:]
        let rows = try lower(
            "reading when keys were used",
            index: { () throws(IndexError) in
                try index.scan(Tables.meta, prefix: MetaKey.keyUse, limit: Self.countMax)
            })
        for row in rows {
            // What is only told to people keeps no store closed.
            loaded[Self.key(ofRow: row.key)] = try? KeyUse(decoding: row.value)
        }
        state.withLock { state in
            state.uses.merge(loaded) { known, row in known.time > row.time ? known : row }
        }
    }

    /// The rows to write; whoever takes them writes them.
    func takeUnnoted() -> [(key: [UInt8], value: [UInt8])] {
        state.withLock { state in
            defer { state.unnoted = [] }
            return state.unnoted.compactMap { key in
                state.uses[key].map { (Self.row(of: key), $0.encoded()) }
            }
        }
    }

    /// Takes rows back that could not be written.
    func putBack(_ rows: [(key: [UInt8], value: [UInt8])]) {
        state.withLock { state in
            for row in rows { state.unnoted.insert(Self.key(ofRow: row.key)) }
        }
    }

    /// Forgets keys that were destroyed; the caller deletes the rows.
    func forget(_ keys: [KeyID]) -> [[UInt8]] {
        state.withLock { state in
            for key in keys {
                state.uses[key.text] = nil
                state.unnoted.remove(key.text)
            }
            return keys.map { Self.row(of: $0.text) }
        }
    }

    private static func row(of key: String) -> [UInt8] { MetaKey.keyUse + Array(key.utf8) }

    private static func key(ofRow row: [UInt8]) -> String {
        String(decoding: row.dropFirst(MetaKey.keyUse.count), as: UTF8.self)
    }
}
