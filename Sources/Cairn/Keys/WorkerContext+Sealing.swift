// Part of Cairn, a content-addressed blob store.

internal import CairnCore

/// A key and what binds the records under it: everything but the record's own name.
struct SealingKey: Sendable {
    var slot: UInt32
    var key: SecretBytes
    var scope: RecordScope
}

// Records of the index: sealed whole, with commitment, bound to scope, type and name.
extension WorkerContext {
    mutating func seal(
        _ plaintext: [UInt8], as type: RecordType, name: Octets32, under key: SealingKey
    ) throws(StoreError) -> [UInt8] {
        try lower(
            "sealing a record",
            core: { () throws(CoreError) in
                let plan = try sealer.plan(
                    plaintext.span, compress: type == .smallBlob, suite: .committed)
                var record = [UInt8](repeating: 0, count: plan.recordByteCount)
                var out = record.mutableSpan
                try key.key.withSpan { (secret) throws(CoreError) in
                    try sealer.seal(
                        plan, plaintext.span, type: type, name: name, keySlot: key.slot,
                        key: secret,
                        scope: key.scope, into: &out)
                }
                return record
            })
    }

    mutating func open(
        _ record: [UInt8], as type: RecordType, name: Octets32, under key: SealingKey
    ) throws(StoreError) -> [UInt8] {
        try lower(
            "opening a sealed record",
            core: { () throws(CoreError) in
                try key.key.withSpan { (secret) throws(CoreError) in
                    try sealer.open(
                        record.span, expecting: type, suite: .committed, name: name, key: secret,
                        scope: key.scope)
                }
            })
    }
}

extension Octets32 {
    /// A 16-byte id as the name of a record: the id, then zeros.
    init(padding id: Octets16) {
        self.init((id.bytes + [UInt8](repeating: 0, count: 16)).span)
    }
}
