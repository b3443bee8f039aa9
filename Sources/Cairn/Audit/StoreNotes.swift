// Part of Cairn, a content-addressed blob store.
//
// note := value code[32]       code = HMAC(key of the audit log, label ‖ value)
//   auditHead       := sequence:u64 code[32]
//   keyringRevision := revision:u64

internal import CairnCore
internal import CairnIndex

/// What the store remembers in its index of files that somebody could set back: where the audit
/// log ends, and how new the keyring is. Who cannot open the keyring cannot write one.
struct StoreNotes: Sendable {
    let format: AuditFormat

    func encode(_ head: AuditHead) -> [UInt8] {
        var writer = ByteWriter(capacity: 72)
        writer.append(head.sequence)
        writer.append(head.code)
        return signed(writer.bytes, MetaKey.auditHead)
    }

    func encode(revision: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 40)
        writer.append(revision)
        return signed(writer.bytes, MetaKey.keyringRevision)
    }

    /// Nil when there is none, or not a genuine one.
    func head(_ row: [UInt8]?) -> AuditHead? {
        guard let value = value(row, MetaKey.auditHead, byteCount: 40) else { return nil }
        let sequence = value.span.littleEndian(UInt64.self, at: 0)
        return AuditHead(sequence: sequence, code: Octets32(value.span.extracting(8..<40)))
    }

    /// Nil when there is none, or not a genuine one.
    func revision(_ row: [UInt8]?) -> UInt64? {
        guard let value = value(row, MetaKey.keyringRevision, byteCount: 8) else { return nil }
        return value.span.littleEndian(UInt64.self, at: 0)
    }

    // MARK: -

    private func signed(_ value: [UInt8], _ label: [UInt8]) -> [UInt8] {
        value + format.authenticate(label, value).bytes
    }

    private func value(_ row: [UInt8]?, _ label: [UInt8], byteCount: Int) -> [UInt8]? {
        guard let row, row.count == byteCount + Octets32.byteCount else { return nil }
        let value = Array(row.prefix(byteCount))
        let code = Octets32(row.span.extracting(byteCount...))
        return format.authenticate(label, value) == code ? value : nil
    }
}
