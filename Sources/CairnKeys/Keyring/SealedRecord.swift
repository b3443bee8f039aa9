// Part of Cairn, a content-addressed blob store.
internal import CairnCore

/// Everything that a sealed record of this module is bound to besides its key.
///
/// A record opens only under the label that it was sealed with.
struct SealedRecordLabel {
    let type: RecordType
    /// In the record's header, readable without keys.
    let name: Octets32
    /// In the record's header, readable without keys.
    let slot: UInt32
    /// Not in the record; authenticated.
    let scope: RecordScope
    /// Not in the record; authenticated.
    let binding: Octets32
}

/// Seals and opens single records of suite 2: the only encryption that keys are kept under.
enum SealedRecord {
    /// The complete record; never compressed, since the length of packed secrets tells of them.
    static func seal(
        _ plaintext: Span<UInt8>, as label: SealedRecordLabel, with key: Span<UInt8>,
        random: any RandomSource
    ) throws(CoreError) -> [UInt8] {
        var sealer = try RecordSealer(random: random)
        let plan = try sealer.plan(plaintext, compress: false, suite: .committed)
        var record = [UInt8](repeating: 0, count: plan.recordByteCount)
        var out = record.mutableSpan
        try sealer.seal(
            plan, plaintext, type: label.type, name: label.name, binding: label.binding,
            keySlot: label.slot, key: key, scope: label.scope, into: &out)
        return record
    }

    /// The plaintext of exactly one record.
    ///
    /// - Throws: ``CoreError`` with code `corrupted` for any mismatch, all alike.
    static func open(
        _ record: Span<UInt8>, as label: SealedRecordLabel, with key: Span<UInt8>,
        random: any RandomSource
    ) throws(CoreError) -> SecretBytes {
        let header = try RecordHeader(parsing: record)
        guard header.suite == .committed, header.keySlot == label.slot,
            header.recordByteCount == record.count
        else {
            throw CoreError(.corrupted, "not the record that belongs here")
        }
        var sealer = try RecordSealer(random: random)
        return try SecretBytes(byteCount: header.plaintextByteCount) { out throws(CoreError) in
            try sealer.open(
                record, expecting: label.type, suite: .committed, name: label.name,
                binding: label.binding, key: key, scope: label.scope, into: &out)
        }
    }
}
