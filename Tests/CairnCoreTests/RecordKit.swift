// Part of Cairn, a content-addressed blob store.

import CairnCore
import CairnTestSupport

/// One record's circumstances: everything that sealing and opening have to agree about.
struct RecordKit: Sendable {
    var suite: RecordSuite
    var type = RecordType.chunk
    var name = [UInt8](repeating: 0x11, count: 32)
    var binding: [UInt8]?
    var keySlot: UInt32 = 7
    var key = [UInt8](repeating: 0x22, count: 32)
    var storeID = [UInt8](repeating: 0x33, count: 16)
    var ownerID = [UInt8](repeating: 0x44, count: 16)
    var compress = false

    var scope: RecordScope {
        RecordScope(storeID: Octets16(storeID.span), ownerID: Octets16(ownerID.span))
    }

    func seal(_ plaintext: [UInt8], seed: UInt64 = 1) throws -> [UInt8] {
        var sealer = try RecordSealer(random: SeededRandom(seed: seed))
        return try seal(plaintext, with: &sealer)
    }

    func seal(_ plaintext: [UInt8], with sealer: inout RecordSealer) throws -> [UInt8] {
        let plan = try sealer.plan(plaintext.span, compress: compress, suite: suite)
        // Nothing of what was there before may survive.
        var record = [UInt8](repeating: 0xee, count: plan.recordByteCount)
        var span = record.mutableSpan
        try sealer.seal(
            plan, plaintext.span, type: type, name: Octets32(name.span),
            binding: binding.map { Octets32($0.span) }, keySlot: keySlot, key: key.span,
            scope: scope, into: &span)
        return record
    }

    func open(_ record: [UInt8]) throws -> [UInt8] {
        var sealer = try RecordSealer(random: SeededRandom(seed: 0))
        return try open(record, with: &sealer)
    }

    func open(_ record: [UInt8], with sealer: inout RecordSealer) throws -> [UInt8] {
        try sealer.open(
            record.span, expecting: type, suite: suite, name: Octets32(name.span),
            binding: binding.map { Octets32($0.span) }, key: key.span, scope: scope)
    }

    /// The code with which a record fails to open, or nil if it opens.
    func failure(of record: [UInt8]) -> CoreError.Code? {
        do {
            _ = try open(record)
            return nil
        } catch { return (error as? CoreError)?.code }
    }
}

/// What an attacker does who can compute checksums and has no key: makes both of them fit again.
func repairChecksums(_ record: inout [UInt8]) {
    guard let suite = RecordSuite(rawValue: record[5]) else { return }
    let checksumOffset = 52 + suite.fieldByteCount
    guard record.count >= checksumOffset + 4 else { return }
    store(CRC32C.checksum(record.span.extracting(0..<checksumOffset)), at: checksumOffset)
    let payload = Int(record.span.littleEndian(UInt32.self, at: 16))
    let end = checksumOffset + 4 + payload + 16
    guard end + 4 <= record.count else { return }
    store(CRC32C.checksum(record.span.extracting(checksumOffset + 4..<end)), at: end)

    func store(_ checksum: UInt32, at offset: Int) {
        var span = record.mutableSpan
        span.setLittleEndian(checksum, at: offset)
    }
}
